#include <numeric>
#include <utility>

#include "tests/scheduler/core/rig.h"

using namespace modelhop;
using namespace modelhop::test;

namespace {

std::uint64_t ignored(const Rig& rig, Ignored reason) {
  return rig.core.counts(rig.now).ignored[static_cast<std::size_t>(reason)];
}

std::uint64_t bytes_of(const StateRef& state) { return 1000 + state.at.step; }

// A report with a state of some size and a path, as a worker would send it.
UnitReport sized(Rig& rig, const LeaseRow& lease, HopPath path = HopPath::kStore) {
  UnitReport report = rig.report(lease);
  report.members[0].state.size_bytes = bytes_of(report.members[0].state);
  report.path = path;
  report.times = {1, 2 * static_cast<std::uint64_t>(kMillisecond), 3, 4, 5};
  return report;
}

void answer(Rig& rig, const LeaseRow& open, UnitReport report) {
  const LeaseRow lease = open;
  rig.now = rig.now + 100 * kMillisecond;
  rig.step(UnitDone{lease.incarnation, std::move(report)});
}

Totals replayed(const Rig& rig) {
  Core core({}, hooks());
  for (const Record& record : rig.all.records) REQUIRE(core.apply(record).ok());
  return core.totals();
}

void carry_out_deletions(Rig& rig) {
  const auto deletes = std::exchange(rig.all.deletes, {});
  for (const DeleteState& one : deletes) rig.step(StateGone{one.state});
}

}  // namespace

TEST_CASE("totals add up the journal, and a replay gives the same", "[core][totals]") {
  Spec spec = make_spec(1, 2);
  spec.max_restarts = 9;
  Rig rig;
  REQUIRE(rig.create(spec, 2).ok());
  rig.hello(1);
  const Totals& totals = rig.core.totals();
  const auto open = [&] { return rig.open_leases().at(0); };
  const auto& store = totals.hops[static_cast<std::size_t>(HopPath::kStore)];
  const auto trials = [&](TrialState state) { return totals.trials[static_cast<std::size_t>(state)]; };
  CHECK(trials(TrialState::kRunning) == 1);

  answer(rig, open(), sized(rig, open(), HopPath::kInitial));  // visit 0 of 4
  const StateRef first = rig.experiment().trials[0].head;
  CHECK(totals.units[0].finished == 1);
  CHECK(totals.units[0].duration.sum_ns == 100 * kMillisecond);
  CHECK(totals.hops[static_cast<std::size_t>(HopPath::kInitial)].done == 1);
  CHECK(store.bytes == 0);
  CHECK(totals.checkpoint_bytes == bytes_of(first));

  UnitReport lost = rig.report(open());  // visit 1 is the milestone of epoch 1
  lost.fault = Fault::kHashMismatch;
  lost.members.clear();
  answer(rig, open(), lost);
  rig.pass(kSecond);
  CHECK(store.failed == 1);
  CHECK(store.done == 0);
  CHECK(totals.units[1].released == 1);
  CHECK(totals.released[static_cast<std::size_t>(Fault::kHashMismatch)] == 1);

  UnitReport yielded = sized(rig, open());
  yielded.members[0].state = child(first, 2, 3);
  yielded.members[0].state.size_bytes = 7;
  yielded.members[0].yielded = true;
  answer(rig, open(), yielded);
  CHECK(totals.units[1].yielded == 1);
  CHECK(store.bytes == bytes_of(first));
  CHECK(totals.checkpoint_bytes == bytes_of(first) + 7);

  UnitReport at_once = sized(rig, open());  // yields before its first batch: it stored nothing
  at_once.members[0].state = rig.experiment().trials[0].head;
  at_once.members[0].yielded = true;
  answer(rig, open(), at_once);
  CHECK(store.done == 2);
  CHECK(store.bytes == bytes_of(first) + 7);
  CHECK(totals.checkpoint_bytes == bytes_of(first) + 7);
  CHECK(totals.checkpoint.sum_ns == 2 * 5);

  answer(rig, open(), sized(rig, open()));
  answer(rig, open(), sized(rig, open(), HopPath::kStay));
  CHECK(store.done == 3);
  CHECK(store.bytes == bytes_of(first) + 7 + 7);
  answer(rig, open(), sized(rig, open()));
  REQUIRE(rig.experiment().ended());
  CHECK(trials(TrialState::kRunning) == 0);
  CHECK(trials(TrialState::kCompleted) == 1);
  CHECK(totals.units[0].finished + totals.units[1].finished == 4);
  carry_out_deletions(rig);
  CHECK(totals.store_bytes == bytes_of(rig.experiment().trials[0].head));  // the best and the latest
  CHECK(std::accumulate(totals.records.begin(), totals.records.end(), std::uint64_t{0}) == rig.core.state().seq);
  CHECK(replayed(rig) == totals);

  const Totals before = totals;
  rig.step(ControlExperiment{{}, {1}, Control::kDelete});
  CHECK(totals.store_bytes == before.store_bytes);  // still there
  CHECK(trials(TrialState::kCompleted) == 0);
  carry_out_deletions(rig);
  CHECK(totals.store_bytes == 0);
  CHECK(totals.trials_ended == before.trials_ended);
  CHECK(totals.units == before.units);
  CHECK(totals.hops == before.hops);
  CHECK(totals.checkpoint_bytes == before.checkpoint_bytes);
  CHECK(replayed(rig) == totals);
}

TEST_CASE("slot seconds never fall, and with the open leases they sum to slots x time", "[core][totals]") {
  CoreConfig config;
  config.workers_expected = 2;
  Rig rig(config);
  Spec few = make_spec(3, 2);
  few.max_concurrent_trials = 1;
  REQUIRE(rig.create(few, 2).ok());
  REQUIRE(rig.create(make_spec(1, 1), 2).ok());  // a slot that waits for both is counted once
  rig.hello(1);
  rig.hello(2);
  const Instant start = rig.now;
  LiveCounts last = rig.core.counts(rig.now);
  for (int i = 0; i < 60 && !(rig.experiment(0).ended() && rig.experiment(1).ended()); ++i) {
    rig.now = rig.now + (i % 7 + 1) * 10 * kMillisecond;
    const LiveCounts counts = rig.core.counts(rig.now);
    std::uint64_t sum = 0;
    for (std::size_t cause = 0; cause < kCauses; ++cause) {
      CHECK(counts.slot_ns[cause] >= last.slot_ns[cause]);
      sum += counts.slot_ns[cause];
    }
    for (const auto& slot : rig.core.slots(rig.now))
      sum += slot.unit ? static_cast<std::uint64_t>(rig.now - slot.since) : 0;
    CHECK(sum == 2 * static_cast<std::uint64_t>(rig.now - start));
    last = counts;
    for (const ExperimentRow& row : rig.core.state().experiments) {
      const auto lease = std::find_if(row.leases.begin(), row.leases.end(),
                                      [](const LeaseRow& l) { return l.outcome == LeaseOutcome::kOpen; });
      if (lease == row.leases.end()) continue;
      UnitReport report;
      report.experiment = row.id;
      report.unit = lease->unit;
      report.token = lease->token;
      report.times.train_ns = static_cast<std::uint64_t>(5 * kMillisecond);
      MemberResult member;
      member.state = child(row.trials[lease->trial.value - 1].head, row.partitions);
      member.validation = {{"loss", 1, 1}};
      member.durable = true;
      report.members.push_back(member);
      if (i % 5 == 4) report.members.clear();  // it kept nothing: time of a failure
      const Incarnation from = lease->incarnation;
      rig.step(UnitDone{from, report});
      break;
    }
  }
  CHECK(rig.experiment(0).ended());
  CHECK(rig.experiment(1).ended());
  const auto of = [&](Cause cause) { return rig.core.counts(rig.now).slot_ns[static_cast<std::size_t>(cause)]; };
  CHECK(of(Cause::kTrain) > 0);
  CHECK(of(Cause::kFailure) > 0);
  const CauseTimes at_end = rig.core.counts(rig.now).slot_ns;
  CHECK(rig.core.counts(rig.now + kSecond).slot_ns == at_end);  // nothing runs, nothing waits
}

TEST_CASE("what the core ignores is counted by its reason", "[core][totals]") {
  Rig rig;
  REQUIRE(rig.create(make_spec(2, 2), 1).ok());
  rig.hello(1);
  const LeaseRow first = rig.open_leases().at(0);
  const UnitReport report = rig.report(first);
  rig.step(UnitDone{first.incarnation, report});
  CHECK(ignored(rig, Ignored::kStaleToken) == 0);
  rig.step(UnitDone{first.incarnation, report});  // a copy
  CHECK(ignored(rig, Ignored::kStaleToken) == 1);
  rig.step(Heartbeat{first.incarnation, {{{1}, first.unit, first.token, {}}}});
  CHECK(ignored(rig, Ignored::kStaleToken) == 2);
  const LeaseRow now_open = rig.open_leases().at(0);
  rig.step(Heartbeat{now_open.incarnation, {{{1}, now_open.unit, now_open.token, {}}}});
  CHECK(ignored(rig, Ignored::kStaleToken) == 2);

  rig.step(Heartbeat{incarnation(7, 7), {}});
  rig.step(WorkerBye{incarnation(7, 7), "leaves"});
  rig.step(UnitDone{incarnation(7, 7), report});
  CHECK(ignored(rig, Ignored::kUnknownIncarnation) == 3);

  WorkerHello newer;
  newer.name = "w9";
  newer.incarnation = incarnation(9, 1);
  newer.boot_seen = 2;
  rig.step(newer);
  CHECK(ignored(rig, Ignored::kNewerBoot) == 1);

  Core restarted({}, hooks());
  for (const Record& record : rig.all.records) REQUIRE(restarted.apply(record).ok());
  Actions actions;
  REQUIRE(restarted.begin_serving(2, rig.now, {1}, actions).ok());
  restarted.step(rig.now, {1}, UnitDone{first.incarnation, report}, actions);
  CHECK(restarted.counts(rig.now).ignored[static_cast<std::size_t>(Ignored::kOldBoot)] == 1);
  CHECK(restarted.counts(rig.now).ignored[static_cast<std::size_t>(Ignored::kStaleToken)] == 0);
}

TEST_CASE("a lease that nobody renews is counted as expired, one of a silent worker is not", "[core][totals]") {
  CoreConfig config;
  for (const bool heartbeats : {true, false}) {
    config.worker_lost_ms = heartbeats ? 60'000 : 5'000;
    Rig rig(config);
    REQUIRE(rig.create(make_spec(1, 1), 1).ok());
    rig.hello(1);
    const Incarnation self = rig.open_leases().at(0).incarnation;
    for (int i = 0; i < 32; ++i) {
      rig.now = rig.now + kSecond / 2;
      heartbeats ? rig.step(Heartbeat{self, {}}) : rig.step(Tick{});  // names no unit
    }
    CHECK(rig.core.counts(rig.now).lease_expirations == (heartbeats ? 1 : 0));
    CHECK(rig.core.totals().released[static_cast<std::size_t>(Fault::kWorkerLost)] == 1);
  }
}

TEST_CASE("time in which the scheduler was stopped counts against no worker", "[core][totals]") {
  for (const bool stopped : {true, false}) {
    Rig rig;
    REQUIRE(rig.create(make_spec(1, 1), 1).ok());
    rig.hello(1);
    for (int i = 0; i < 120; ++i) {
      if (!stopped || i == 119) rig.step(Tick{});
      rig.now = rig.now + kSecond / 2;
    }
    CHECK(rig.core.state().workers.at(0).present == stopped);
    for (int i = 0; stopped && i < 21; ++i) {  // its silence from now on tells
      rig.step(Tick{});
      rig.now = rig.now + kSecond / 2;
    }
    CHECK(!rig.core.state().workers.at(0).present);
  }
}
