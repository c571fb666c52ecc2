// Files of the format as it is today, with every type of record in them, which every later version must read to the
// same state. tests/common/store/golden/<format>-<n>/ (0: a journal.db alone, as the first format had it) holds a
// journal.db, the archive before it, a snapshot and state.txt. Before the format's release, MODELHOP_REWRITE=1 makes
// them anew, of simulated histories. After it they stay, and a new format gets new folders.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "common/store/archive.h"
#include "common/store/snapshot_file.h"
#include "scheduler/server/recovery.h"
#include "scheduler/server/replay.h"
#include "scheduler/sim/simulation.h"
#include "tests/common/store/scratch.h"

using namespace modelhop;
namespace fs = std::filesystem;

namespace {

const std::string kGolden = std::string(MODELHOP_SOURCE_DIR) + "/tests/common/store/golden";
constexpr const char* kFormat = "1";
constexpr std::size_t kTypes = std::variant_size_v<RecordBody>;
constexpr std::uint64_t kSeeds = 4'000;  // looked through for histories that have every type

// What apply() and the views need of a spec, as text of our own: a golden file must not depend on a spec's syntax.
std::string spec_text(const Spec& spec) {
  std::ostringstream out;
  out << "golden " << spec.maximize << ' ' << static_cast<int>(spec.metric_scope) << ' ' << spec.evaluate_every << ' '
      << static_cast<int>(spec.reproducibility) << ' ' << spec.metric << ' ' << spec.max_trials.value_or(0) << ' '
      << spec.epochs;
  return out.str();
}

class AnySearch final : public Search {
 public:
  void apply(const SearchRecord&) override {}
  std::vector<Decision> decide(const SearchView&) const override { return {}; }
};

CoreHooks golden_hooks() {
  CoreHooks hooks;
  hooks.load_spec = [](std::string_view text) -> Result<std::shared_ptr<const Spec>> {
    auto spec = std::make_shared<Spec>();
    std::string name;
    int scope = 0, reproducibility = 0;
    std::istringstream in{std::string(text)};
    if (!(in >> name >> spec->maximize >> scope >> spec->evaluate_every >> reproducibility >> spec->metric)) {
      return invalid("no golden spec: " + std::string(text));
    }
    spec->metric_scope = static_cast<MetricScope>(scope);
    spec->reproducibility = static_cast<Reproducibility>(reproducibility);
    std::uint64_t trials = 0;
    if (in >> trials >> spec->epochs && trials != 0) spec->max_trials = trials;  // the first folders lack them
    spec->expanded = text;
    return std::shared_ptr<const Spec>(std::move(spec));
  };
  hooks.make_search = [](std::shared_ptr<const Spec>, std::uint64_t) -> Result<std::unique_ptr<Search>> {
    return std::unique_ptr<Search>(new AnySearch);
  };
  hooks.recipe = [](const Spec&, const Params&) { return std::string(); };
  hooks.with_limits = [](const Spec& spec, const SpecLimits& limits) -> Result<std::shared_ptr<const Spec>> {
    auto raised = std::make_shared<Spec>(spec);
    if (limits.max_trials != 0) raised->max_trials = limits.max_trials;
    raised->epochs = limits.epochs;
    raised->expanded = spec_text(*raised);
    return std::shared_ptr<const Spec>(std::move(raised));
  };
  return hooks;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A row a line, so that a difference can be read.
std::string state_text(const Core& core) {
  std::string text;
  for (const char c : core.snapshot()) {
    text += c;
    if (c == '}' || c == '[') text += '\n';
  }
  return text;
}

std::set<std::size_t> types_of(const std::vector<Record>& records) {
  std::set<std::size_t> types;
  for (const Record& record : records) types.insert(record.body.index());
  return types;
}

// Training in the simulator never diverges; this says that a unit did.
void add_divergence(std::vector<Record>& records) {
  const auto finished = std::find_if(records.begin(), records.end(), [](const Record& record) {
    return std::holds_alternative<UnitFinished>(record.body);
  });
  if (finished == records.end()) return;
  const auto& unit = std::get<UnitFinished>(finished->body);
  const Record diverged{finished->seq, finished->at, UnitDiverged{unit.experiment, unit.unit, unit.state, unit.state}};
  for (auto record = records.insert(finished + 1, diverged); record != records.end(); ++record) ++record->seq;
}

std::vector<Record> simulated(std::uint64_t seed) {
  std::vector<Record> records = sim::Simulation(seed, false).run().journal;
  const sim::Plan plan = sim::make_plan(seed);
  for (Record& record : records) {
    if (auto* created = std::get_if<ExperimentCreated>(&record.body)) {
      created->spec_expanded = spec_text(*plan.experiments.at(created->experiment.value - 1).spec);
    }
  }
  add_divergence(records);
  return records;
}

// The seeds whose histories have every type between them: each time the one with most that are still lacking, the
// shortest of those.
std::vector<std::uint64_t> seeds_with_every_type() {
  std::set<std::size_t> seen;
  std::vector<std::uint64_t> chosen;
  while (seen.size() < kTypes) {
    std::size_t most = 0, shortest = 0;
    std::uint64_t best = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const std::vector<Record> records = sim::Simulation(seed, false).run().journal;
      std::size_t fresh = 0;
      for (const std::size_t type : types_of(records)) fresh += seen.contains(type) ? 0 : 1;
      if (fresh < most || (fresh == most && records.size() >= shortest)) continue;
      most = fresh;
      shortest = records.size();
      best = seed;
    }
    if (most == 0) break;  // the test names what no simulated history has
    chosen.push_back(best);
    for (const std::size_t type : types_of(simulated(best))) seen.insert(type);
  }
  return chosen;
}

void make_golden(const std::string& folder, const std::vector<Record>& records) {
  const Scratch scratch;
  Core core({}, golden_hooks());
  const std::uint64_t snapshot_at = records.size() * 3 / 5, archived = records.size() / 3;
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    journal->append(records);
    journal->flush();
    for (const Record& record : records) {
      REQUIRE(core.apply(record).ok());
      if (record.seq != snapshot_at) continue;
      REQUIRE(write_snapshot(scratch.path, {{record.seq, *stored_check(scratch.path, record.seq).value()}, core.save()})
                  .ok());
    }
    journal->leave_until(archive_until(scratch.path, archived).value());
    for (int i = 0; i < 500; ++i) {
      auto database = std::move(Database::open(scratch / "journal.db", Database::Mode::kRead)).value();
      if (database.number("SELECT min(seq) FROM records").value() == archived + 1) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  {
    auto database = std::move(Database::open(scratch / "journal.db", Database::Mode::kCreate)).value();
    REQUIRE(database.run("VACUUM").ok());
  }
  fs::create_directories(folder + "/archive");
  fs::copy_file(scratch / "journal.db", folder + "/journal.db");
  fs::copy_file(snapshot_path(scratch.path, snapshot_at), snapshot_path(folder, snapshot_at));
  const std::string segment = list_segments(scratch.path).at(0).path;
  fs::copy_file(segment, folder + "/archive/" + fs::path(segment).filename().string());
  std::ofstream(folder + "/state.txt", std::ios::binary) << state_text(core);
}

void rewrite() {
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    if (entry.path().filename().string().starts_with(std::string(kFormat) + "-")) fs::remove_all(entry.path());
  }
  std::size_t number = 0;
  for (const std::uint64_t seed : seeds_with_every_type()) {
    make_golden(kGolden + "/" + kFormat + "-" + std::to_string(++number), simulated(seed));
  }
}

}  // namespace

TEST_CASE("the golden files of every format are read to the state they were", "[golden]") {
  if (std::getenv("MODELHOP_REWRITE") != nullptr) {
    fs::create_directories(kGolden);
    rewrite();
  }
  std::set<std::size_t> seen;
  std::size_t folders = 0;
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    CAPTURE(entry.path().filename().string());
    ++folders;
    const Scratch scratch;
    const std::string copy = scratch / "copy";
    fs::copy(entry.path(), copy, fs::copy_options::recursive);
    const std::string expected = read_text(copy + "/state.txt");
    std::uint64_t last = 0;
    const Status status = read_journal(copy, [&](const Record& record) -> Status {
      seen.insert(record.body.index());
      last = record.seq;
      return {};
    });
    INFO(status.message());
    REQUIRE(status.ok());
    const std::vector<std::uint64_t> snapshots = list_snapshots(copy);
    const Result<Replay> replay = replay_journal(copy, golden_hooks());
    INFO(replay.status().message());
    REQUIRE(replay.ok());
    CHECK_FALSE(replay->difference);
    CHECK(replay->snapshots.size() == snapshots.size());
    CHECK(snapshots.size() == (entry.path().filename().string().starts_with("0-") ? 0 : 1));
    for (const bool with_snapshot : {true, false}) {
      if (with_snapshot && snapshots.empty()) continue;
      if (!with_snapshot && !snapshots.empty()) fs::remove(snapshot_path(copy, snapshots[0]));
      Result<Recovery> recovery = recover(copy, {}, golden_hooks());
      INFO(recovery.status().message());
      REQUIRE(recovery.ok());
      CHECK(recovery->snapshot == (with_snapshot ? snapshots[0] : 0));
      CHECK(recovery->notes.empty());
      CHECK(recovery->end.seq == last);
      if (std::getenv("MODELHOP_REWRITE") != nullptr && snapshots.empty()) {
        std::ofstream(entry.path() / "state.txt", std::ios::binary) << state_text(*recovery->core);
        continue;
      }
      CHECK((state_text(*recovery->core) == expected));  // no print of both
      CHECK(recovery->core->check_index().empty());
    }
  }
  CHECK(folders > 0);
  for (std::size_t type = 0; type < kTypes; ++type) {
    if (seen.contains(type)) continue;
    FAIL_CHECK("no golden file has a record of RecordBody's type " << type << ": MODELHOP_REWRITE=1 makes them anew");
  }
}
