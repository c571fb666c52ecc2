#include "worker/process/unit_run.h"

#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <optional>

#include "common/base/visit_order.h"
#include "common/state/state_file.h"
#include "tests/common/store/fault_files.h"
#include "tests/worker/data/example_data.h"
#include "tests/worker/process/fake_trainer.h"
#include "worker/process/training_thread.h"

using namespace modelhop;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kPartitions = 2;
constexpr const char* kRecipe = R"({"dataset":{"name":"tiny"},"seed":7,
  "model":{"type":"sequential","layers":[{"type":"flatten"},{"type":"linear","out_features":3}]},
  "training":{"epochs":2,"batch_size":4,"loss":"cross_entropy","metrics":["accuracy"],"optimizer":{"name":"sgd","lr":0.1}}})";

struct Fixture {
  explicit Fixture(std::chrono::microseconds batch = 0us) : trainer(batch) {
    write_mnist(folder / "raw", 60, 0);
    ImportRequest request = request_of(ImportFrom::kIdx, {folder / "raw"}, kPartitions);
    request.validation_rows = 10;
    manifest = import_dataset(folder / "store", request).value();
    store = std::move(open_store(folder / "store")).value();
    saver.emplace(*store, 0, Saver::Saved());
    cache = std::move(PartitionCache::open(folder / "store", folder / "data", 1 << 24)).value();
  }

  RunUnit unit(const StateRef& parent, bool then_evaluate = false) const {
    RunUnit run;
    run.lease.unit = {{1}, {5},          UnitKind::kTrain, {Member{start.trial, start.lineage, parent, 0, {}}},
                      {},  then_evaluate};
    run.lease.unit.partition = partition_of_visit(0, parent.at.epoch * kPartitions + parent.at.visit, kPartitions);
    run.lease.token = {1, 1};
    run.recipes = {kRecipe};
    run.dataset = "tiny";
    run.dataset_identity = identity(manifest);
    run.partitions = kPartitions;
    run.cluster = 1;
    return run;
  }
  UnitReport run(const RunUnit& unit_to_run, Hop& hop) {
    UnitStop stop{Stop::kNo};
    return run_unit({trainer, *cache, hop, *saver}, unit_to_run, stop, {});
  }

  TempFolder folder;
  FakeTrainer trainer;
  Manifest manifest;
  std::unique_ptr<BlobStore> store;
  std::unique_ptr<PartitionCache> cache;
  StateRef start{{1}, {3}, 0, {}, {}, {}, 0};
  std::optional<Saver> saver;  // takes nothing: what a unit makes is in the store when it ends
};

}  // namespace

TEST_CASE("visits follow one another by the same bits, staying or by the store", "[process]") {
  Fixture f;
  std::vector<ContentHash> hashes;
  for (const std::uint64_t kept : {0ull, 1ull << 20}) {
    Hop hop(*f.store, kept);
    StateRef head = f.start;
    for (int visit = 0; visit < 4; ++visit) {
      const UnitReport report = f.run(f.unit(head, visit % 2 == 1), hop);
      INFO(report.detail);
      REQUIRE(report.fault == Fault::kNone);
      REQUIRE(report.members.size() == 1);
      CHECK(report.path == (visit == 0 ? HopPath::kInitial : kept == 0 ? HopPath::kStore : HopPath::kStay));
      CHECK(report.members[0].validation.empty() == (visit % 2 == 0));
      head = report.members[0].state;
    }
    CHECK(head.at.epoch == 2);
    hashes.push_back(head.hash);
  }
  CHECK(hashes[0] == hashes[1]);
}

TEST_CASE("a unit stopped inside its visit goes on to the same bits", "[process]") {
  Fixture f;
  Hop hop(*f.store, 0);
  const StateRef whole = f.run(f.unit(f.start), hop).members[0].state;
  StateRef head = f.start;
  int pieces = 0;
  for (bool yielded = true; yielded; ++pieces) {
    UnitStop stop{Stop::kNo};
    const UnitReport report = run_unit({f.trainer, *f.cache, hop, *f.saver}, f.unit(head), stop,
                                       [&](const Cursor&) { stop.store(Stop::kKeep); });
    REQUIRE(report.members.size() == 1);
    yielded = report.members[0].yielded;
    head = report.members[0].state;
  }
  CHECK(pieces == 7);  // 25 rows by 4
  CHECK(head == whole);
}

TEST_CASE("a unit stopped before its first batch gives its parent back, and a dropped one gives nothing", "[process]") {
  Fixture f;
  Hop hop(*f.store, 1 << 20);
  UnitStop stop{Stop::kKeep};
  const UnitReport early = run_unit({f.trainer, *f.cache, hop, *f.saver}, f.unit(f.start), stop, {});
  REQUIRE(early.members.size() == 1);
  CHECK(early.members[0].yielded);
  CHECK(early.members[0].state == f.start);
  stop = Stop::kNo;
  const UnitReport dropped = run_unit({f.trainer, *f.cache, hop, *f.saver}, f.unit(f.start), stop,
                                      [&](const Cursor&) { stop.store(Stop::kDrop); });
  CHECK(dropped.members.empty());
  CHECK(dropped.fault == Fault::kNone);
}

TEST_CASE("what goes wrong is a named fault of that unit", "[process]") {
  Fixture f;
  Hop hop(*f.store, 0);
  const StateRef head = f.run(f.unit(f.start), hop).members[0].state;

  RunUnit unit = f.unit(f.start);
  unit.recipes = {"{}"};
  CHECK(f.run(unit, hop).fault == Fault::kInvalidParams);
  unit.recipes.clear();
  CHECK(f.run(unit, hop).fault == Fault::kInvalidParams);
  unit = f.unit(f.start);
  unit.dataset_identity.bytes[0] ^= 1;
  CHECK(f.run(unit, hop).fault == Fault::kData);
  unit = f.unit(f.start);
  unit.lease.unit.partition = {7};
  CHECK(f.run(unit, hop).fault == Fault::kData);

  const std::string path = f.store->local_path(state_blob_name(head, {1, kPartitions})).value();
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x7f');
  }
  const UnitReport spoiled = f.run(f.unit(head), hop);
  CHECK(spoiled.fault == Fault::kHashMismatch);
  CHECK(spoiled.detail.find("states/c1/e1/3/") != std::string::npos);
  CHECK(spoiled.members.empty());
  std::filesystem::remove(path);
  CHECK(f.run(f.unit(head), hop).fault == Fault::kHashMismatch);
}

TEST_CASE("a full, broken or read-only disk at any call of a unit is the environment's fault, and again it goes well",
          "[process][fault]") {
  StateRef expected;
  {
    Fixture f;
    Hop hop(*f.store, 0);
    expected = f.run(f.unit(f.start, true), hop).members[0].state;
  }
  Fixture f;
  Hop hop(*f.store, 0);
  int faults = 0;
  for (const int error : {ENOSPC, EIO, EROFS}) {
    for (std::uint64_t at = 1;; ++at) {
      CAPTURE(error, at);
      // The data directory is empty, and the state was never stored.
      REQUIRE(f.cache->place({"tiny", identity(f.manifest)}, {}).ok());
      REQUIRE(f.store->remove(state_blob_name(expected, {1, kPartitions})).ok());
      UnitReport report;
      std::uint64_t calls = 0;
      {
        const FaultFiles files(f.folder.path(), {.at = at, .error = error});
        report = f.run(f.unit(f.start, true), hop);
        calls = files.calls();
      }
      CHECK((report.fault == Fault::kEnvironment ||
             (report.fault == Fault::kNone && report.members[0].state == expected)));
      if (report.fault != Fault::kNone) {
        ++faults;
        CHECK(report.members.empty());
        CHECK(report.detail.find(std::strerror(error)) != std::string::npos);
        const UnitReport again = f.run(f.unit(f.start, true), hop);
        REQUIRE(again.fault == Fault::kNone);
        CHECK(again.members[0].state == expected);
      }
      if (calls < at) break;
    }
  }
  CHECK(faults > 30);
}

TEST_CASE("the five times of a unit sum to the whole", "[process]") {
  Fixture f(1ms);
  Hop hop(*f.store, 0);
  const Instant before = monotonic_now();
  const UnitReport report = f.run(f.unit(f.start, true), hop);
  const auto whole = static_cast<std::uint64_t>(monotonic_now() - before);
  const UnitTimes& t = report.times;
  const std::uint64_t sum = t.load_ns + t.hop_ns + t.train_ns + t.evaluate_ns + t.save_ns;
  CHECK(sum <= whole);
  CHECK(sum * 10 >= whole * 8);
  CHECK(t.train_ns >= 7'000'000);
}

TEST_CASE("the training thread answers each start once, and stops at the next batch", "[process]") {
  Fixture f(5ms);
  std::atomic<int> woken{0};
  TrainingThread thread(f.trainer, *f.cache, *f.store, {1 << 24, 1 << 20}, [&] { ++woken; });
  thread.place({1, "tiny", identity(f.manifest), {{0}, {1}}});
  std::vector<UnitReport> reports;
  bool progressed = false;
  const auto take = [&](std::size_t count) {
    const Instant until = monotonic_now() + 10 * kSecond;
    while (reports.size() < count && monotonic_now() < until) {
      for (const WorkerEvent& event : thread.take_events()) {
        if (const auto* ended = std::get_if<UnitEnded>(&event)) reports.push_back(ended->report);
        progressed |= std::holds_alternative<UnitProgress>(event);
      }
      std::this_thread::sleep_for(1ms);
    }
    REQUIRE(reports.size() == count);
  };
  RunUnit first = f.unit(f.start), second = f.unit(f.start);
  second.lease.token = {1, 2};
  thread.start(first);
  thread.start(second);
  std::this_thread::sleep_for(12ms);
  thread.stop({1, 1}, true);
  thread.stop({1, 2}, false);
  take(2);
  CHECK(reports[0].token == Token{1, 1});
  CHECK(reports[0].members[0].yielded);
  CHECK(reports[1].members.empty());
  CHECK(woken == 2);
  thread.start(f.unit(f.start));
  take(3);
  CHECK_FALSE(reports[2].members[0].yielded);
  CHECK(progressed);
  thread.start(f.unit(f.start));  // dropped by the end of the thread
}
