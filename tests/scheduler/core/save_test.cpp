#include <catch2/catch_test_macros.hpp>
#include <charconv>

#include "common/wire/bytes.h"
#include "scheduler/core/state_fields.h"
#include "tests/scheduler/core/rig.h"

using namespace modelhop;
using namespace modelhop::test;

namespace {

// As hooks(), for texts that are no number of a spec too.
CoreHooks careful_hooks() {
  CoreHooks careful = hooks();
  careful.load_spec = [](std::string_view text) -> Result<std::shared_ptr<const Spec>> {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number >= specs().size() ||
        specs()[number]->expanded != text) {
      return invalid("there is no spec " + std::string(text));
    }
    return specs()[number];
  };
  return careful;
}

// Two experiments, one of them deleted, two workers, milestones, a release and a lease that is open.
struct Lived : Rig {
  Lived() {
    REQUIRE(create(make_spec(1, 1), 2, "first").ok());
    hello(1);
    for (int i = 0; i < 2; ++i) finish(open_leases().at(0));
    step(ControlExperiment{{}, {1}, Control::kDelete});
    const std::vector<StateRef> deleting = experiment().deleting;
    for (const StateRef& state : deleting) step(StateGone{state});
    REQUIRE(experiment().state == ExperimentState::kDeleted);
    Spec spec = make_spec(3, 2);
    spec.max_restarts = 5;
    CreateExperiment second;
    second.idempotency_key = "second";
    second.spec = keep(spec);
    second.dataset = make_dataset(2);
    step(second);
    hello(2);
    for (int i = 0; i < 5; ++i) {
      const LeaseRow lease = leases().at(0);
      now = now + kSecond;
      step(UnitDone{lease.incarnation, report_of(lease)});
    }
    const LeaseRow lease = leases().at(0);
    UnitReport failed = report_of(lease);
    failed.fault = Fault::kUserCode;
    failed.detail = "its code";
    failed.members.clear();
    step(UnitDone{lease.incarnation, failed});
    const std::vector<LeaseRow> open = leases();
    for (const LeaseRow& one : open) {  // some states are only held
      UnitReport held = report_of(one);
      held.members[0].durable = one.then_evaluate;
      if (!one.then_evaluate) step(UnitDone{one.incarnation, held});
    }
    REQUIRE_FALSE(leases().empty());
    const auto& trials = experiment(1).trials;
    REQUIRE(std::any_of(trials.begin(), trials.end(), [](const TrialRow& trial) { return !trial.held.empty(); }));
  }
  std::vector<LeaseRow> leases() {
    std::vector<LeaseRow> open;
    for (const LeaseRow& lease : experiment(1).leases) {
      if (lease.outcome == LeaseOutcome::kOpen) open.push_back(lease);
    }
    return open;
  }
  UnitReport report_of(const LeaseRow& lease) {
    UnitReport result;
    result.experiment = {2};
    result.unit = lease.unit;
    result.token = lease.token;
    MemberResult member;
    member.state = child(experiment(1).trials[lease.trial.value - 1].head, 2);
    member.train = {{"loss", 0.5, 10}};
    member.durable = true;
    member.validation = {{"loss", 1, 1}};
    result.members.push_back(member);
    return result;
  }
};

}  // namespace

TEST_CASE("a saved state is read back as the same state, index and bytes", "[core][save]") {
  Lived rig;
  const std::vector<std::uint8_t> bytes = rig.core.save();
  Core loaded({}, hooks());
  REQUIRE(loaded.load(bytes).ok());
  CHECK(loaded.snapshot() == rig.core.snapshot());
  CHECK(rig.core.snapshot().find("\"validation\":[{\"name\":\"loss\"") != std::string::npos);  // all of a milestone
  CHECK(loaded.totals() == rig.core.totals());
  CHECK(loaded.check_index().empty());
  CHECK(loaded.save() == bytes);
  Core replayed({}, hooks());
  for (const Record& record : rig.all.records) REQUIRE(replayed.apply(record).ok());
  CHECK(replayed.save() == bytes);
}

TEST_CASE("a state saved after any record, and the records after it, are the whole journal", "[core][save]") {
  Lived rig;
  Core core({}, hooks());
  for (std::size_t at = 0; at <= rig.all.records.size(); ++at) {
    Core restored({}, hooks());
    REQUIRE(restored.load(core.save()).ok());
    CHECK(restored.check_index().empty());
    for (std::size_t i = at; i < rig.all.records.size(); ++i) REQUIRE(restored.apply(rig.all.records[i]).ok());
    CHECK(restored.save() == rig.core.save());
    CHECK(restored.check_invariants().empty());
    if (at < rig.all.records.size()) REQUIRE(core.apply(rig.all.records[at]).ok());
  }
}

TEST_CASE("a core goes on from a loaded state as it would have gone on", "[core][save]") {
  Lived rig;
  Core loaded({}, hooks());
  REQUIRE(loaded.load(rig.core.save()).ok());
  Core replayed({}, hooks());
  for (const Record& record : rig.all.records) REQUIRE(replayed.apply(record).ok());
  Actions of_loaded, of_replayed;
  const Instant now = rig.now + 100 * kSecond;
  REQUIRE(loaded.begin_serving(2, now, {5}, of_loaded).ok());
  REQUIRE(replayed.begin_serving(2, now, {5}, of_replayed).ok());
  for (int i = 1; i < 100; ++i) {  // leases expire, workers are lost, and one comes back
    WorkerHello hello;
    hello.name = "w1";
    hello.incarnation = incarnation(1, 3);
    hello.profile.bytes[0] = 1;
    const Event event = i == 50 ? Event(hello) : Event(Tick{});
    loaded.step(now + i * kSecond, {5 + i}, event, of_loaded);
    replayed.step(now + i * kSecond, {5 + i}, event, of_replayed);
  }
  CHECK(of_loaded.records.size() > 3);
  CHECK(of_loaded.records.size() == of_replayed.records.size());
  CHECK(loaded.save() == replayed.save());
}

TEST_CASE("a saved state cut short or with bytes left over is refused and changes nothing", "[core][save][bad]") {
  Lived rig;
  std::vector<std::uint8_t> bytes = rig.core.save();
  Core core({}, careful_hooks());
  const std::string empty = core.snapshot();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(core.load(std::span(bytes).first(size)).ok());
  }
  bytes.push_back(0);
  CHECK_FALSE(core.load(bytes).ok());
  CHECK(core.snapshot() == empty);
}

TEST_CASE("a saved state with any flipped bit is refused, or is one that a core can hold", "[core][save][bad]") {
  Lived rig;
  const std::vector<std::uint8_t> bytes = rig.core.save();
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<std::uint8_t> damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    Core core({}, careful_hooks());
    if (!core.load(damaged).ok()) {
      ++refused;
      continue;
    }
    CHECK((core.save() == damaged));  // one state has one encoding
    (void)core.check_invariants();    // reads every row: a sanitizer sees what check_rows() let through
    (void)core.check_index();
  }
  CHECK(refused > bytes.size());
}

TEST_CASE("a state of a newer format is refused by number", "[core][save]") {
  ByteWriter writer;
  writer.put(kStateFormat + 1);
  Core core({}, hooks());
  const Status status = core.load(writer.bytes);
  CHECK(status.code() == Code::kInvalid);
  CHECK(status.message().find(std::to_string(kStateFormat + 1)) != std::string::npos);
}
