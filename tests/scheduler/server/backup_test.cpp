#include "scheduler/server/backup.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/store/archive.h"
#include "common/store/snapshot_file.h"
#include "scheduler/server/fence.h"
#include "scheduler/server/recovery.h"
#include "tests/common/store/scratch.h"
#include "tests/scheduler/server/history.h"

using namespace modelhop;
using modelhop::test::History;

namespace {

std::vector<std::uint8_t> state_of(const std::string& state_dir) {
  Result<Recovery> recovery = recover(state_dir, CoreConfig{});
  INFO(recovery.status().message());
  REQUIRE(recovery.ok());
  return recovery->core->save();
}

}  // namespace

TEST_CASE("a backup made beside a writer that compacts is a whole journal, and can be restored", "[backup]") {
  History history;
  history.create(6, 2);
  history.run_to(600);
  const Scratch scratch;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    auto journal = std::move(open_journal(scratch / "state")).value();
    Core core(CoreConfig{});
    std::uint64_t last = 0;
    for (std::size_t i = 0; i < history.records.size() && !stop; ++i) {
      journal->append({history.records[i]});
      journal->flush();
      (void)core.apply(history.records[i]);
      if ((i + 1) % 40 != 0) continue;
      const std::uint64_t seq = i + 1;
      const auto check = stored_check(scratch / "state", seq);
      (void)write_snapshot(scratch / "state", {{seq, **check}, core.save()});
      (void)remove_old_snapshots(scratch / "state");
      if (last > 0) {
        auto archived = archive_until(scratch / "state", last);
        if (archived.ok()) journal->leave_until(*archived);
      }
      last = seq;
    }
  });
  std::uint64_t copies = 0, before = 0;
  for (int i = 0; i < 12; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    const std::string into = scratch / ("backup" + std::to_string(i));
    const Result<Copied> copied = backup_state(scratch / "state", into);
    INFO(copied.status().message());
    if (!copied.ok()) {
      stop = true;
      writer.join();
      REQUIRE(copied.ok());
    }
    CHECK(copied->seq >= before);
    before = copied->seq;
    Core core(CoreConfig{});
    for (std::uint64_t seq = 1; seq <= copied->seq; ++seq) REQUIRE(core.apply(history.records[seq - 1]).ok());
    CHECK(state_of(into) == core.save());
    ++copies;
  }
  writer.join();
  CHECK(copies == 12);
  CHECK(list_segments(scratch / "state").size() > 5);

  REQUIRE(backup_state(scratch / "state", scratch / "last").ok());
  CHECK(backup_state(scratch / "state", scratch / "last").status().code() == Code::kConflict);
  CHECK(restore_state(scratch / "last", scratch / "state").status().code() == Code::kConflict);
  CHECK(restore_state(scratch / "nowhere", scratch / "new").status().code() == Code::kNotFound);
  const Copied restored = restore_state(scratch / "last", scratch / "new").value();
  CHECK(restored.seq == history.records.size());
  CHECK(state_of(scratch / "new") == state_of(scratch / "state"));
  std::uint64_t seq = 0;
  REQUIRE(read_journal(scratch / "new", [&](const Record& record) -> Status {
            ++seq;
            return to_json(record) == to_json(history.records[seq - 1]) ? Status() : corrupt("differs");
          }).ok());
  CHECK(seq == history.records.size());
}

TEST_CASE("a restored copy is refused over the store until it takes it over", "[backup]") {
  History history;
  history.create(2, 1);
  history.run_to(60);
  const Scratch scratch;
  const auto store = std::move(open_store(scratch / "store")).value();
  const auto claim = [&](const std::string& state_dir) {
    auto journal = std::move(open_journal(state_dir)).value();
    const FenceClaim wanted{fence_identity(state_dir, journal->cluster()).value(), "tcp://here", 1,
                            journal->durable_seq(), false};
    return claim_fence(*store, wanted).status();
  };
  {
    auto journal = std::move(open_journal(scratch / "state")).value();
    journal->append(history.records);
  }
  REQUIRE(claim(scratch / "state").ok());
  REQUIRE(backup_state(scratch / "state", scratch / "backup").ok());
  REQUIRE(restore_state(scratch / "backup", scratch / "restored").ok());
  CHECK(claim(scratch / "restored").code() == Code::kConflict);
  CHECK(take_store_over(scratch / "restored", *store, false).value() == history.records.size());
  CHECK(claim(scratch / "restored").ok());
  CHECK(claim(scratch / "state").code() == Code::kConflict);
  CHECK(take_store_over(scratch / "nowhere", *store, false).status().code() == Code::kNotFound);
}

TEST_CASE("a backup that rots is refused", "[backup][bad]") {
  History history;
  history.create(2, 1);
  history.run_to(60);
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch / "state")).value();
    journal->append(history.records);
  }
  REQUIRE(backup_state(scratch / "state", scratch / "backup").ok());
  {
    auto database = std::move(Database::open(scratch / "backup/journal.db", Database::Mode::kCreate)).value();
    REQUIRE(database.run("DELETE FROM records WHERE seq = 30").ok());
  }
  CHECK(restore_state(scratch / "backup", scratch / "restored").status().message().find("record 30") !=
        std::string::npos);
}
