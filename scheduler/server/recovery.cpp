#include "scheduler/server/recovery.h"

#include "common/store/archive.h"
#include "common/store/snapshot_file.h"

namespace modelhop {
namespace {

class Recoverer {
 public:
  Recoverer(const std::string& state_dir, const CoreConfig& config, const CoreHooks& hooks)
      : state_dir_(state_dir), config_(config), hooks_(hooks) {}
  Result<Recovery> run();

 private:
  Status try_from(const Snapshot& snapshot);
  Status check_tail();
  Status lost_tail(std::uint64_t known, const std::string& by) const;
  void note(const std::string& line) { out_.notes.push_back(line); }

  const std::string& state_dir_;
  const CoreConfig& config_;
  const CoreHooks& hooks_;
  Recovery out_;
  std::optional<JournalEnd> witness_;
  std::uint64_t newest_snapshot_ = 0;  // a good one's: it was written when its record was durable
};

Status Recoverer::lost_tail(std::uint64_t known, const std::string& by) const {
  return corrupt(state_dir_ + "/journal.db: ends at record " + std::to_string(out_.end.seq) + ", but record " +
                 std::to_string(known) + " was durable, says " + by +
                 ": the records between are lost. Restore a newer copy, or start with --accept-lost-tail to go on "
                 "without them");
}

Status Recoverer::try_from(const Snapshot& snapshot) {
  out_.core = std::make_unique<Core>(config_, hooks_);
  if (snapshot.end.seq > 0) RETURN_IF_ERROR(out_.core->load(snapshot.state));
  if (out_.core->state().seq != snapshot.end.seq) return corrupt("its state is of another record");
  Core& core = *out_.core;
  const auto sink = [&core](const Record& record) { return core.apply(record); };
  ASSIGN_OR_RETURN(out_.end, read_journal(state_dir_, snapshot.end, sink));
  out_.snapshot = snapshot.end.seq;
  return {};
}

Status Recoverer::check_tail() {
  if (config_.accept_lost_tail) return {};
  if (witness_ && witness_->seq > out_.end.seq) return lost_tail(witness_->seq, state_dir_ + "/witness");
  if (newest_snapshot_ > out_.end.seq) return lost_tail(newest_snapshot_, snapshot_path(state_dir_, newest_snapshot_));
  if (!witness_ || witness_->seq == 0) return {};
  std::optional<ContentHash> check = out_.end.check;
  if (witness_->seq != out_.end.seq) {
    ASSIGN_OR_RETURN(check, stored_check(state_dir_, witness_->seq));
  }
  if (!check || *check == witness_->check) return {};  // none: it left the archive long ago
  return corrupt(
      state_dir_ + ": record " + std::to_string(witness_->seq) +
      " is another one than its witness file names: this journal.db is of another history. Restore the right "
      "one, or start with --accept-lost-tail to go on with this one");
}

Result<Recovery> Recoverer::run() {
  if (Result<std::optional<JournalEnd>> witness = read_witness(state_dir_); witness.ok()) {
    witness_ = *witness;
  } else if (witness.status().code() == Code::kCorrupt) {
    note(witness.status().message());
  } else {
    return witness.status();
  }
  const std::vector<std::uint64_t> snapshots = list_snapshots(state_dir_);
  if (!journal_begun(state_dir_)) {
    out_.core = std::make_unique<Core>(config_, hooks_);
    if (!snapshots.empty()) return lost_tail(snapshots.front(), snapshot_path(state_dir_, snapshots.front()));
    RETURN_IF_ERROR(check_tail());
    return not_found(state_dir_ + ": holds no journal.db; is it a scheduler's --state-dir?");
  }
  Status first;
  const auto attempt = [&](const Snapshot& snapshot, const std::string& name) {
    const Status status = try_from(snapshot);
    if (status.ok()) return true;
    if (first.ok()) first = status;
    note(name + ": " + status.message());
    return false;
  };
  bool done = false;
  for (std::size_t i = 0; i < snapshots.size() && !done; ++i) {
    Result<Snapshot> snapshot = read_snapshot(state_dir_, snapshots[i]);
    if (!snapshot.ok()) {
      note("passed over: " + snapshot.status().message());
      continue;
    }
    newest_snapshot_ = std::max(newest_snapshot_, snapshots[i]);
    done = attempt(*snapshot, "passed over: " + snapshot_path(state_dir_, snapshots[i]));
  }
  if (!done) done = attempt({}, "the whole journal");
  if (!done) {
    std::string message = first.message();
    for (const std::string& line : out_.notes) {
      if (line.find(message) == std::string::npos) message += "; " + line;
    }
    return Status(first.code(), message);
  }
  RETURN_IF_ERROR(check_tail());
  return std::move(out_);
}

}  // namespace

Result<Recovery> recover(const std::string& state_dir, const CoreConfig& config, const CoreHooks& hooks) {
  return Recoverer(state_dir, config, hooks).run();
}

Result<Recovery> recover(const std::string& state_dir, const CoreConfig& config) {
  return recover(state_dir, config, default_hooks());
}

}  // namespace modelhop
