#include "scheduler/server/replay.h"

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <fstream>
#include <thread>

#include "common/store/archive.h"
#include "common/store/snapshot_file.h"
#include "scheduler/server/recovery.h"
#include "tests/common/store/scratch.h"
#include "tests/scheduler/server/history.h"

using namespace modelhop;
using modelhop::test::History;

namespace {

std::vector<Record> recorded_history(std::size_t count) {
  History history;
  history.create(3, 2);
  while (history.records.size() < count) {
    if (!history.end_lease()) history.create(3, 2);
  }
  history.records.resize(count);
  return history.records;
}

void write_records(const std::string& state_dir, const std::vector<Record>& records) {
  auto journal = std::move(open_journal(state_dir)).value();
  journal->append(records);
  journal->flush();
}

std::unique_ptr<Core> core_of(const std::vector<Record>& records, std::size_t count,
                              const CoreHooks& hooks = default_hooks()) {
  auto core = std::make_unique<Core>(CoreConfig{}, hooks);
  for (std::size_t i = 0; i < count; ++i) REQUIRE(core->apply(records[i]).ok());
  return core;
}

// With the checksum of the record that is there, whatever the state is of.
void plant_snapshot(const std::string& state_dir, std::uint64_t seq, const Core& core) {
  const ContentHash check = stored_check(state_dir, seq).value().value();
  REQUIRE(write_snapshot(state_dir, {{seq, check}, core.save()}).ok());
}

void change_journal(const std::string& path, const std::string& sql) {
  auto database = std::move(Database::open(path, Database::Mode::kCreate)).value();
  REQUIRE(database.run(sql).ok());
}

// Until the records up to `seq` have left journal.db.
void let_leave(const std::string& state_dir, std::uint64_t seq) {
  auto journal = std::move(open_journal(state_dir)).value();
  journal->leave_until(archive_until(state_dir, seq).value());
  for (int i = 0; i < 500; ++i) {
    auto database = std::move(Database::open(state_dir + "/journal.db", Database::Mode::kRead)).value();
    if (database.number("SELECT min(seq) FROM records").value() == seq + 1) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL("the records did not leave");
}

std::size_t first_evaluation(const std::vector<Record>& records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (std::holds_alternative<TrialEvaluated>(records[i].body)) return i;
  }
  FAIL("no milestone in so short a history");
  return 0;
}

}  // namespace

TEST_CASE("the records from the first on give the state of the snapshots and of a start, archive and all", "[replay]") {
  const std::vector<Record> records = recorded_history(90);
  const Scratch scratch;
  write_records(scratch.path, records);
  CHECK(replay_journal(scratch.path, default_hooks())->snapshots.empty());
  plant_snapshot(scratch.path, 30, *core_of(records, 30));
  plant_snapshot(scratch.path, 60, *core_of(records, 60));
  let_leave(scratch.path, 30);
  const Result<Replay> replay = replay_journal(scratch.path, default_hooks());
  INFO(replay.status().message());
  REQUIRE(replay.ok());
  CHECK_FALSE(replay->difference);
  CHECK(replay->notes.empty());
  CHECK(replay->snapshots == std::vector<std::uint64_t>{30, 60});
  CHECK(replay->fold.end.seq == 90);
  CHECK(replay->fold.core->save() == core_of(records, 90)->save());
  std::uint64_t counted = 0;
  for (const auto& [experiment, count] : replay->fold.records) counted += count;
  CHECK(counted == 90);
  CHECK(replay->fold.records.at(ExperimentId{1}) > 10);
}

TEST_CASE("a fold stops at any record, and what lies after it may be damaged", "[replay]") {
  const std::vector<Record> records = recorded_history(40);
  const Scratch scratch;
  write_records(scratch.path, records);
  let_leave(scratch.path, 15);
  for (const std::uint64_t until : {1u, 14u, 15u, 16u, 40u}) {
    const Result<Fold> fold = fold_journal(scratch.path, until, default_hooks());
    INFO(fold.status().message());
    REQUIRE(fold.ok());
    CHECK(fold->end.seq == until);
    CHECK(fold->core->save() == core_of(records, until)->save());
  }
  const Result<Fold> beyond = fold_journal(scratch.path, 41, default_hooks());
  CHECK(beyond.status().code() == Code::kInvalid);
  CHECK(beyond.status().message().find("ends at record 40, before 41") != std::string::npos);
  change_journal(scratch / "journal.db", "UPDATE records SET body = body || ' ' WHERE seq = 30");
  CHECK(fold_journal(scratch.path, 29, default_hooks()).ok());
  for (const std::uint64_t until : {30u, 40u}) {
    const Result<Fold> fold = fold_journal(scratch.path, until, default_hooks());
    CHECK(fold.status().code() == Code::kCorrupt);
    CHECK(fold.status().message().find("record 30 or one before it is not what was written") != std::string::npos);
  }
}

TEST_CASE("damage that a start from a snapshot does not see is found by its seq", "[replay]") {
  const std::vector<Record> records = recorded_history(60);
  const Scratch scratch;
  write_records(scratch.path, records);
  plant_snapshot(scratch.path, 40, *core_of(records, 40));
  change_journal(scratch / "journal.db", "UPDATE records SET at = at + 1 WHERE seq = 7");
  CHECK(recover(scratch.path, CoreConfig{}).ok());
  const Result<Replay> replay = replay_journal(scratch.path, default_hooks());
  CHECK(replay.status().code() == Code::kCorrupt);
  CHECK(replay.status().message().find("record 7 or one before it is not what was written") != std::string::npos);
  change_journal(scratch / "journal.db", "DELETE FROM records WHERE seq = 7");
  CHECK(replay_journal(scratch.path, default_hooks()).status().message().find("record 7 is missing") !=
        std::string::npos);
  change_journal(scratch / "journal.db", "DELETE FROM records WHERE seq > 50");
  CHECK(replay_journal(scratch.path, default_hooks()).status().message().find("record 60 was durable") !=
        std::string::npos);
}

TEST_CASE("a snapshot whose checksum is right and whose content is not is found, by seq and field", "[replay]") {
  const std::vector<Record> records = recorded_history(150);
  std::vector<Record> other = records;
  const std::size_t at = first_evaluation(records);
  REQUIRE(at + 3 <= records.size());
  auto& changed = std::get<TrialEvaluated>(other[at].body);
  changed.value += 1e-9;
  const Scratch scratch;
  write_records(scratch.path, records);
  plant_snapshot(scratch.path, at + 2, *core_of(other, at + 2));
  plant_snapshot(scratch.path, at + 3, *core_of(records, at + 3));
  const Result<Replay> replay = replay_journal(scratch.path, default_hooks());
  INFO(replay.status().message());
  REQUIRE(replay.ok());
  REQUIRE(replay->difference);
  CHECK(replay->difference->seq == at + 2);
  CHECK(replay->difference->other == snapshot_path(scratch.path, at + 2));
  INFO(replay->difference->folded << " and " << replay->difference->read);
  CHECK(replay->difference->field == to_string(changed.experiment, changed.trial) + " milestones/0/value");
  CHECK_FALSE(replay->difference->folded == replay->difference->read);
  CHECK(replay->fold.end.seq == 150);  // it is folded to the end all the same
}

TEST_CASE("a snapshot of totals that are not the records' is found, though every row is right", "[replay]") {
  const std::vector<Record> records = recorded_history(60);
  const Scratch scratch;
  write_records(scratch.path, records);
  std::vector<std::uint8_t> state = core_of(records, 40)->save();
  const std::vector<std::uint8_t> good = state;
  state[state.size() - 8] ^= 1;  // the last total
  REQUIRE(write_snapshot(scratch.path, {{40, stored_check(scratch.path, 40).value().value()}, state}).ok());
  const Result<Replay> replay = replay_journal(scratch.path, default_hooks());
  INFO(replay.status().message());
  REQUIRE(replay.ok());
  REQUIRE(replay->difference);
  CHECK(replay->difference->seq == 40);
  CHECK(replay->difference->read.find("totals differ") != std::string::npos);
}

TEST_CASE("a snapshot of another history is found", "[replay]") {
  const std::vector<Record> records = recorded_history(60);
  const Scratch scratch;
  write_records(scratch.path, records);
  const auto core = core_of(records, 40);
  REQUIRE(write_snapshot(scratch.path, {{40, hash_bytes(std::string_view("another"))}, core->save()}).ok());
  const Result<Replay> replay = replay_journal(scratch.path, default_hooks());
  REQUIRE(replay.ok());
  REQUIRE(replay->difference);
  CHECK(replay->difference->read.find("another history") != std::string::npos);
}

namespace {

// Load() gets a spec that apply() did not have: what a snapshot that lacks a field would do.
CoreHooks forgetful_hooks() {
  CoreHooks hooks = default_hooks();
  hooks.load_spec = [](std::string_view text) -> Result<std::shared_ptr<const Spec>> {
    const bool loaded = text.ends_with('#');
    if (loaded) text.remove_suffix(1);
    ASSIGN_OR_RETURN(const std::shared_ptr<const Spec> spec, restore_spec(text));
    auto copy = std::make_shared<Spec>(*spec);
    if (loaded) copy->reproducibility = Reproducibility::kVerify;
    copy->expanded += '#';
    return std::shared_ptr<const Spec>(std::move(copy));
  };
  return hooks;
}

}  // namespace

TEST_CASE("a start that parts from the records after its snapshot is found by the record that parts them", "[replay]") {
  const std::vector<Record> records = recorded_history(60);
  const auto is_lease = [](const Record& record) { return std::holds_alternative<UnitLeased>(record.body); };
  const auto lease = std::find_if(records.begin(), records.end(), is_lease);
  REQUIRE(lease != records.end());
  const Scratch scratch;
  write_records(scratch.path, records);
  const CoreHooks hooks = forgetful_hooks();
  const auto before = static_cast<std::size_t>(lease - records.begin());  // the first lease binds the numeric profile
  plant_snapshot(scratch.path, before, *core_of(records, before, hooks));
  const Result<Replay> replay = replay_journal(scratch.path, hooks);
  INFO(replay.status().message());
  REQUIRE(replay.ok());
  REQUIRE(replay->difference);
  CHECK(replay->difference->seq == lease->seq);
  CHECK(replay->difference->field.find("e1 profile") != std::string::npos);
}

TEST_CASE("a history that does not begin with its first record is refused, and says where it begins", "[replay]") {
  const std::vector<Record> records = recorded_history(60);
  const Scratch scratch;
  write_records(scratch.path, records);
  plant_snapshot(scratch.path, 20, *core_of(records, 20));
  plant_snapshot(scratch.path, 40, *core_of(records, 40));
  let_leave(scratch.path, 20);
  CHECK(replay_journal(scratch.path, default_hooks()).ok());
  REQUIRE(trim_archive(scratch.path, 0).ok());
  for (const Status& status : {replay_journal(scratch.path, default_hooks()).status(),
                               fold_journal(scratch.path, 50, default_hooks()).status()}) {
    CHECK(status.code() == Code::kConflict);
    CHECK(status.message().find("its history begins at record 21") != std::string::npos);
  }
}

TEST_CASE("records that left with a deleted experiment are told apart from damage", "[replay]") {
  History history;
  history.create(2, 1);
  while (history.end_lease()) {
  }
  history.control(ExperimentId{1}, Control::kDelete);
  const std::uint64_t archived = history.records.size();
  history.create(2, 1);
  while (history.end_lease()) {
  }
  const Scratch scratch;
  write_records(scratch.path, history.records);
  let_leave(scratch.path, archived);
  CHECK_FALSE(replay_journal(scratch.path, default_hooks())->difference);
  plant_snapshot(scratch.path, archived, *core_of(history.records, archived));
  REQUIRE(drop_experiments(scratch.path, {ExperimentId{1}}).ok());
  const Result<Replay> replay = replay_journal(scratch.path, default_hooks());
  INFO(replay.status().message());
  CHECK(replay.status().code() == Code::kConflict);
  CHECK(replay.status().message().find("has left the archive with what was deleted (e1)") != std::string::npos);
}

TEST_CASE("the same rows have the same hash", "[replay]") {
  const std::vector<Record> records = recorded_history(60);
  const auto a = core_of(records, 60), b = core_of(records, 60), shorter = core_of(records, 59);
  CHECK(rows_hash(a->state().experiments[0]) == rows_hash(b->state().experiments[0]));
  CHECK_FALSE(rows_hash(a->state().experiments[0]) == rows_hash(shorter->state().experiments[0]));
}
