#include "scheduler/server/replay.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/hash.h"
#include "common/store/archive.h"
#include "common/store/snapshot_file.h"
#include "common/wire/bytes.h"
#include "scheduler/core/state_fields.h"
#include "scheduler/server/recovery.h"

namespace modelhop {
namespace {

constexpr std::size_t kFieldTextMax = 120;  // of a value that is shown

// Records of deleted experiments leave the archive, so a record may be missing there without any damage.
Status of_deleted(const std::string& state_dir, std::uint64_t missing, const CoreHooks& hooks, const Status& status) {
  const std::vector<Segment> segments = list_segments(state_dir);
  const bool archived = std::any_of(segments.begin(), segments.end(), [&](const Segment& segment) {
    return segment.from <= missing && missing <= segment.to;
  });
  if (!archived || status.message().find("is missing") == std::string::npos) return status;
  const Result<Recovery> now = recover(state_dir, CoreConfig{}, hooks);
  if (!now.ok()) return status;
  std::string deleted;
  for (const ExperimentRow& row : now->core->state().experiments) {
    if (row.state != ExperimentState::kDeleted) continue;
    deleted += deleted.empty() ? "" : ", ";
    deleted += to_string(row.id);
  }
  if (deleted.empty()) return status;
  return conflict(state_dir + ": record " + std::to_string(missing) + " has left the archive with what was deleted (" +
                  deleted + "), so the records from there on cannot be folded; replay a backup that still has it");
}

Status want_whole(const std::string& state_dir) {
  ASSIGN_OR_RETURN(const auto reader, open_journal_reader(state_dir));
  ASSIGN_OR_RETURN(const std::uint64_t first, reader->gone_before(0, {}));
  if (first == 0) return {};
  return conflict(state_dir + ": its history begins at record " + std::to_string(first) +
                  " (those before are kept no longer: --history-max), and a fold cannot begin before that; replay a "
                  "backup that still has them");
}

// From fold.end on.
Status fold_on(const std::string& state_dir, std::uint64_t until, const CoreHooks& hooks, Fold& fold) {
  const auto sink = [&fold](const Record& record) -> Status {
    RETURN_IF_ERROR(fold.core->apply(record));
    ++fold.records[experiment_of(record.body)];
    return {};
  };
  const Result<JournalEnd> end = read_journal(state_dir, fold.end, sink, until);
  if (!end.ok()) return of_deleted(state_dir, fold.core->state().seq + 1, hooks, end.status());
  fold.end = *end;
  return {};
}

std::string shown(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kFieldTextMax) text = text.substr(0, kFieldTextMax) + "...";
  return text;
}

// The first field, in the order of its names, in which the two texts of a state differ. False: in none.
bool find_field(const nlohmann::json& a, const nlohmann::json& b, const std::string& path, ReplayDifference& out) {
  if (a == b) return false;
  const auto below = [&](const std::string& name, const auto& key) {
    const std::string inner = path.empty() ? name : path + "/" + name;
    return find_field(a[key], b[key], inner, out);
  };
  if (a.is_object() && b.is_object()) {
    for (const auto& item : a.items()) {
      if (b.contains(item.key()) && below(item.key(), item.key())) return true;
    }
  } else if (a.is_array() && b.is_array()) {
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (below(std::to_string(i), i)) return true;
    }
    out.field = path;
    out.folded = std::to_string(a.size()) + " rows";
    out.read = std::to_string(b.size()) + " rows";
    return true;
  }
  out.field = path;
  out.folded = shown(a);
  out.read = shown(b);
  return true;
}

// "experiments/0/trials/2/visits" -> "e1.3 visits".
std::string named(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t end = std::min(path.find('/', from), path.size());
    parts.push_back(path.substr(from, end - from));
    from = end + 1;
  }
  if (parts.size() < 3 || parts[0] != "experiments") return path;
  const ExperimentId experiment{std::stoull(parts[1]) + 1};
  std::size_t used = 2;
  std::string out = to_string(experiment);
  if (parts.size() > 4 && parts[2] == "trials") {
    out = to_string(experiment, TrialId{std::stoull(parts[3]) + 1});
    used = 4;
  } else if (parts.size() > 4 && parts[2] == "units") {
    out = to_string(experiment, UnitId{std::stoull(parts[3]) + 1});
    used = 4;
  }
  for (std::size_t i = used; i < parts.size(); ++i) {
    out += i == used ? " " : "/";
    out += parts[i];
  }
  return out;
}

ReplayDifference difference_of(const Core& folded, const Core& read, const std::string& other) {
  ReplayDifference out;
  out.seq = folded.state().seq;
  out.other = other;
  const auto a = nlohmann::json::parse(folded.snapshot(), nullptr, false),
             b = nlohmann::json::parse(read.snapshot(), nullptr, false);
  if (find_field(a, b, "", out)) {
    out.field = named(out.field);
  } else {
    out.read = folded.totals() == read.totals() ? "its bytes differ though no field does" : "its totals differ";
  }
  return out;
}

class Replayer {
 public:
  Replayer(const std::string& state_dir, const CoreHooks& hooks) : state_dir_(state_dir), hooks_(hooks) {}
  Result<Replay> run();

 private:
  Status compare(const Core& core, const Snapshot& snapshot);
  Status compare_ends(const Recovery& recovery);
  Result<bool> equal_at(std::uint64_t seq, std::uint64_t from);

  const std::string& state_dir_;
  const CoreHooks& hooks_;
  Replay out_;
};

// Called with the core that has just applied the snapshot's record.
Status Replayer::compare(const Core& core, const Snapshot& snapshot) {
  out_.snapshots.push_back(snapshot.end.seq);
  if (out_.difference) return {};
  const std::string path = snapshot_path(state_dir_, snapshot.end.seq);
  ASSIGN_OR_RETURN(const auto check, stored_check(state_dir_, snapshot.end.seq));
  if (check != snapshot.end.check) {
    out_.difference = {snapshot.end.seq, path, "", "", "it is of another history: its record's check is another"};
    return {};
  }
  if (core.save() == snapshot.state) return {};
  Core read(CoreConfig{}, hooks_);
  if (const Status loaded = read.load(snapshot.state); !loaded.ok()) {
    out_.difference = {snapshot.end.seq, path, "", "", "it cannot be loaded: " + loaded.message()};
  } else {
    out_.difference = difference_of(core, read, path);
  }
  return {};
}

// Whether the fold to `seq` and a start from the snapshot `from` agree.
Result<bool> Replayer::equal_at(std::uint64_t seq, std::uint64_t from) {
  ASSIGN_OR_RETURN(const Fold fold, fold_journal(state_dir_, seq, hooks_));
  ASSIGN_OR_RETURN(const Snapshot snapshot, read_snapshot(state_dir_, from));
  Core core(CoreConfig{}, hooks_);
  RETURN_IF_ERROR(core.load(snapshot.state));
  const auto sink = [&core](const Record& record) { return core.apply(record); };
  RETURN_IF_ERROR(read_journal(state_dir_, snapshot.end, sink, seq).status());
  if (core.save() == fold.core->save()) return true;
  out_.difference =
      difference_of(*fold.core, core, "the state of snapshot " + std::to_string(from) + " and the records after it");
  return false;
}

// Equal at the snapshot and different at the end: the record that parts them lies between.
Status Replayer::compare_ends(const Recovery& recovery) {
  if (out_.difference || out_.fold.core->save() == recovery.core->save()) return {};
  out_.difference = difference_of(*out_.fold.core, *recovery.core, "the state that a start makes");
  if (recovery.snapshot == 0) return {};
  std::uint64_t equal = recovery.snapshot, differs = recovery.end.seq;
  while (differs - equal > 1) {
    const std::uint64_t middle = equal + (differs - equal) / 2;
    ASSIGN_OR_RETURN(const bool same, equal_at(middle, recovery.snapshot));
    (same ? equal : differs) = middle;
  }
  return {};
}

Result<Replay> Replayer::run() {
  RETURN_IF_ERROR(want_whole(state_dir_));
  ASSIGN_OR_RETURN(const Recovery recovery, recover(state_dir_, CoreConfig{}, hooks_));
  out_.notes = recovery.notes;
  std::map<std::uint64_t, Snapshot> snapshots;  // a live scheduler may remove one at any time
  for (const std::uint64_t seq : list_snapshots(state_dir_)) {
    Result<Snapshot> snapshot = read_snapshot(state_dir_, seq);
    if (snapshot.ok() && seq <= recovery.end.seq) snapshots.emplace(seq, std::move(*snapshot));
  }
  out_.fold.core = std::make_unique<Core>(CoreConfig{}, hooks_);
  for (const auto& [seq, snapshot] : snapshots) {
    RETURN_IF_ERROR(fold_on(state_dir_, seq, hooks_, out_.fold));
    RETURN_IF_ERROR(compare(*out_.fold.core, snapshot));
  }
  RETURN_IF_ERROR(fold_on(state_dir_, recovery.end.seq, hooks_, out_.fold));
  RETURN_IF_ERROR(compare_ends(recovery));
  return std::move(out_);
}

}  // namespace

Result<Fold> fold_journal(const std::string& state_dir, std::optional<std::uint64_t> until, const CoreHooks& hooks) {
  RETURN_IF_ERROR(want_whole(state_dir));
  Fold fold;
  fold.core = std::make_unique<Core>(CoreConfig{}, hooks);
  RETURN_IF_ERROR(fold_on(state_dir, until.value_or(UINT64_MAX), hooks, fold));
  if (until && fold.end.seq < *until) {
    return invalid(state_dir + ": the journal ends at record " + std::to_string(fold.end.seq) + ", before " +
                   std::to_string(*until));
  }
  return fold;
}

Result<Replay> replay_journal(const std::string& state_dir, const CoreHooks& hooks) {
  return Replayer(state_dir, hooks).run();
}

ContentHash rows_hash(const ExperimentRow& row) {
  ByteWriter writer;
  fields(writer, row);
  return hash_bytes(writer.bytes);
}

}  // namespace modelhop
