#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "common/base/limits.h"
#include "scheduler/core/spread.h"
#include "scheduler/core/tables.h"
#include "tests/scheduler/core/rig.h"

using namespace modelhop;
using namespace modelhop::test;

TEST_CASE("every visit is made once and in order, whatever the workers", "[core]") {
  for (unsigned workers = 1; workers <= 4; ++workers) {
    for (std::uint32_t partitions = 1; partitions <= 5; ++partitions) {
      Rig rig;
      REQUIRE(rig.create(make_spec(6, 2), partitions).ok());
      for (unsigned w = 1; w <= workers; ++w) rig.hello(w);
      for (int i = 0; i < 1000 && !rig.experiment().ended(); ++i) {
        rig.now = rig.now + kMillisecond;
        const auto open = rig.open_leases();
        REQUIRE_FALSE(open.empty());
        rig.finish(open[static_cast<std::size_t>(i) % open.size()]);
      }
      CHECK(rig.experiment().state == ExperimentState::kCompleted);
      CHECK(rig.experiment().leases.size() == 6 * 2 * partitions);
      for (const TrialRow& trial : rig.experiment().trials) CHECK(trial.milestones.size() == 2);
      Core replayed({}, hooks());
      for (const Record& record : rig.all.records) REQUIRE(replayed.apply(record).ok());
      CHECK(replayed.snapshot() == rig.core.snapshot());
    }
  }
}

TEST_CASE("a free worker goes on with the trial it just ran if its next partition is here", "[core][assign]") {
  Rig rig;
  REQUIRE(rig.create(make_spec(3, 3), 2).ok());
  rig.hello(1);  // holds both partitions
  for (int visit = 0; visit < 6; ++visit) {
    const auto open = rig.open_leases();
    REQUIRE(open.size() == 1);
    CHECK(open[0].trial == TrialId{1});
    rig.finish(open[0]);
  }
  CHECK(rig.open_leases().at(0).trial == TrialId{2});
}

TEST_CASE("else it takes the trial with the longest remaining work, ties by id", "[core][assign]") {
  CoreConfig config;
  config.workers_expected = 2;
  Rig rig(config);
  REQUIRE(rig.create(make_spec(4, 2), 2).ok());  // offsets 0 1 0 1
  rig.hello(1);
  rig.hello(2);
  auto open = rig.open_leases();
  REQUIRE(open.size() == 2);
  CHECK(open[0].trial == TrialId{1});
  CHECK(open[1].trial == TrialId{2});
  rig.finish(open[0]);  // trial 1 is wanted on worker 2 now; trial 3 (4 visits left) waits for partition 0
  CHECK(rig.open_leases().back().trial == TrialId{3});
  rig.finish(open[1]);  // trial 4 has more left than trial 1
  CHECK(rig.open_leases().back().trial == TrialId{4});
}

TEST_CASE("the oldest experiment is served first", "[core][assign]") {
  Rig rig;
  REQUIRE(rig.create(make_spec(1, 1), 1).ok());
  REQUIRE(rig.create(make_spec(1, 9), 1).ok());
  rig.hello(1);
  CHECK(rig.experiment(0).leases.size() == 1);
  CHECK(rig.experiment(1).leases.empty());
  rig.finish(rig.open_leases()[0]);
  CHECK(rig.experiment(0).ended());
  CHECK(rig.experiment(1).leases.size() == 1);
}

TEST_CASE("the limit of live experiments refuses one more", "[core][limits]") {
  Rig rig;
  for (std::size_t i = 0; i < kExperimentsLiveMax; ++i) REQUIRE(rig.create(make_spec(1, 1), 1).ok());
  const Status refused = rig.create(make_spec(1, 1), 1);
  CHECK(refused.code() == Code::kConflict);
  CHECK(rig.core.state().experiments.size() == kExperimentsLiveMax);
  rig.step(ControlExperiment{{}, {1}, Control::kCancel});
  CHECK(rig.create(make_spec(1, 1), 1).ok());
}

TEST_CASE("a data set past the limit of partitions, or without any, is refused", "[core][limits]") {
  Rig rig;
  CHECK(rig.create(make_spec(1, 1), kPartitionsMax + 1).code() == Code::kInvalid);
  CHECK(rig.create(make_spec(1, 1), 0).code() == Code::kInvalid);
  CHECK(rig.create(make_spec(1, 1), kPartitionsMax).ok());
}

TEST_CASE("a worker past the limit, without a name or with one too long is refused", "[core][limits]") {
  Rig rig;
  const auto refused = [&] {
    const auto* message = std::get_if<ToWorker>(&rig.all.sends.back().message);
    return message != nullptr && std::holds_alternative<Refused>(*message);
  };
  rig.hello(1, std::string(kNameBytesMax + 1, 'x'));
  CHECK(refused());
  rig.hello(1, std::string(kNameBytesMax, 'x'));
  CHECK_FALSE(refused());
  for (unsigned w = 2; w <= kWorkersMax; ++w) {
    WorkerHello event;
    event.name = "n" + std::to_string(w);
    event.incarnation = incarnation(w % 256, 1 + w / 256);
    rig.core.step(rig.now, {1}, event, rig.all);
  }
  CHECK(rig.core.state().workers.size() == kWorkersMax);
  rig.hello(9999);
  CHECK(refused());
  CHECK(rig.core.check_invariants().empty());
}

TEST_CASE("a report with two members, too many sums or times that overflow does no harm", "[core][bad]") {
  Spec spec = make_spec(1, 2);
  spec.max_restarts = 9;
  Rig rig;
  REQUIRE(rig.create(spec, 1).ok());
  rig.hello(1);
  const auto bad = [&](auto spoil) {
    const LeaseRow lease = rig.open_leases().at(0);
    UnitReport report = rig.report(lease);
    spoil(report);
    rig.step(UnitDone{lease.incarnation, report});
    rig.pass(60 * kSecond);  // a worker that talks nonsense is a fault of its machine, and backs off
    return rig.experiment().leases[rig.experiment().leases.size() - 2].outcome;
  };
  CHECK(bad([](UnitReport& r) { r.members.push_back(r.members[0]); }) == LeaseOutcome::kReleased);
  CHECK(bad([](UnitReport& r) { r.members[0].train.resize(kSumsMax + 1); }) == LeaseOutcome::kReleased);
  CHECK(bad([](UnitReport& r) { r.members[0].state.at.visit = 7; }) == LeaseOutcome::kReleased);
  CHECK(bad([](UnitReport& r) { r.members[0].state.lineage = 1; }) == LeaseOutcome::kReleased);
  CHECK(bad([](UnitReport& r) { r.members[0].state.hash = {}; }) == LeaseOutcome::kReleased);
  CHECK(bad([](UnitReport& r) { r.members[0].state.experiment = {2}; }) == LeaseOutcome::kReleased);
  CHECK(bad([](UnitReport& r) { r.times.train_ns = r.times.save_ns = UINT64_MAX; }) == LeaseOutcome::kFinished);
  const LiveAccounting sums = rig.core.accounting({1}, rig.now);
  std::uint64_t sum = 0;
  for (const std::uint64_t ns : sums.slot_ns) sum += ns;
  CHECK(sum == sums.slot_time_ns);
}

TEST_CASE("words about experiments, units and workers that do not exist change nothing", "[core][bad]") {
  Rig rig;
  REQUIRE(rig.create(make_spec(1, 1), 1).ok());
  rig.hello(1);
  const std::string before = rig.core.snapshot();
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{2}, UINT64_MAX}) {
    UnitReport report;
    report.experiment = {id};
    report.unit = {id};
    rig.step(UnitDone{incarnation(1, 1), report});
    report.experiment = {1};
    rig.step(UnitDone{incarnation(7, 7), report});
    rig.step(Heartbeat{incarnation(1, 1), {{{id}, {id}, {id, id}, {}}}});
    rig.step(Heartbeat{incarnation(7, 7), {}});
    rig.step(WorkerGone{incarnation(7, 7), "gone"});
    rig.step(StateGone{{{id}, {id}, 0, {}, {}, {}, 0}});
    rig.step(ControlExperiment{{}, {id == 2 ? 0 : id}, Control::kCancel});
  }
  CHECK(rig.core.snapshot() == before);
}

TEST_CASE("apply is total: a record that does not fit is refused and changes nothing", "[core][replay]") {
  CoreConfig config;
  config.workers_expected = 2;
  Rig rig(config);
  REQUIRE(rig.create(make_spec(2, 2), 2, "key").ok());
  rig.hello(1);
  rig.hello(2);
  for (int i = 0; i < 20 && !rig.experiment().ended(); ++i) rig.finish(rig.open_leases().at(0));
  REQUIRE(rig.experiment().ended());
  std::uint64_t refused = 0;
  Core core({}, hooks());
  for (std::size_t at = 0; at < rig.all.records.size(); ++at) {
    // Every record of the journal is offered at every place; where it is not its turn, nearly all are refused.
    const std::string before = core.snapshot();
    for (const Record& other : rig.all.records) {
      if (&other == &rig.all.records[at]) continue;
      if (!core.apply(other).ok()) ++refused;
      Record renumbered = other;
      renumbered.seq = core.state().seq + 1;
      Core trial({}, hooks());
      for (std::size_t i = 0; i < at; ++i) REQUIRE(trial.apply(rig.all.records[i]).ok());
      const std::string unchanged = trial.snapshot();
      if (const Status status = trial.apply(renumbered); !status.ok()) {
        ++refused;
        CHECK(status.code() == Code::kCorrupt);
        CHECK(trial.snapshot() == unchanged);
      }
    }
    CHECK(core.snapshot() == before);
    REQUIRE(core.apply(rig.all.records[at]).ok());
  }
  CHECK(refused > 1000);
}

TEST_CASE("a boot number that is not above the journal's is refused", "[core][replay]") {
  Rig rig;
  Core core({}, hooks());
  for (const Record& record : rig.all.records) REQUIRE(core.apply(record).ok());
  Actions actions;
  CHECK(core.begin_serving(1, {}, {}, actions).code() == Code::kConflict);
  CHECK(actions.records.empty());
  CHECK(core.begin_serving(2, {}, {}, actions).ok());
}

TEST_CASE("a worse or missing value is never the best", "[core][metric]") {
  Spec spec = make_spec(3, 1);
  ExperimentRow row;
  const double nan = std::nan("");
  CHECK_FALSE(better(spec, nan, 1));
  CHECK_FALSE(better(spec, 1, 1));
  CHECK(better(spec, 1, 2));
  row.spec = std::make_shared<const Spec>(spec);
  for (const double value : {std::numeric_limits<double>::infinity(), 0.5, 0.5}) {
    TrialRow trial;
    trial.id = {row.trials.size() + 1};
    trial.milestones.push_back({1, value, {{"loss", 6, 4}}, {}, {}, {}});
    row.trials.push_back(trial);
  }
  CHECK(best_trial(row)->id == TrialId{2});
  CHECK(metric_value(row.trials[0].milestones[0], "val_loss") == 1.5);
  CHECK(std::isnan(metric_value(row.trials[0].milestones[0], "train_loss")));
  CHECK(std::isnan(metric_value(row.trials[0].milestones[0], "loss")));
}

TEST_CASE("every state that is not an end has a way on, and an end is left by what somebody asks for",
          "[core][tables]") {
  const auto leaves = [](TrialState state) {
    return std::any_of(std::begin(kTrialEdges), std::end(kTrialEdges),
                       [&](const auto& edge) { return edge.from == state; });
  };
  for (const TrialState on : {TrialState::kPending, TrialState::kRunning, TrialState::kPaused}) CHECK(leaves(on));
  for (const auto& edge : kTrialEdges) {
    if (live(edge.from)) continue;
    const bool completed = edge.from == TrialState::kCompleted;
    CHECK(std::string(edge.reason).starts_with(completed ? "its target was raised" : "retry was asked"));
  }
  for (const auto& edge : kExperimentEdges) {
    if (edge.from < ExperimentState::kCompleted || edge.to == ExperimentState::kDeleted) continue;
    CHECK(edge.from != ExperimentState::kDeleted);
    CHECK(std::string(edge.reason).starts_with("a trial is tried again"));
  }
  CHECK_FALSE(has_edge(kUnitEdges, UnitState::kDone, UnitState::kLeased));
}

TEST_CASE("partitions are spread evenly, neighbours together, and move little", "[core][placement]") {
  const auto ids = [](unsigned n) {
    std::vector<WorkerId> all;
    for (unsigned i = 1; i <= n; ++i) all.push_back({i});
    return all;
  };
  const auto moved = [](const Holders& a, const Holders& b) {
    std::size_t count = 0;
    for (std::size_t p = 0; p < a.size(); ++p) {
      for (const WorkerId id : b[p]) count += std::find(a[p].begin(), a[p].end(), id) == a[p].end();
    }
    return count;
  };
  for (unsigned partitions = 1; partitions <= 17; ++partitions) {
    for (unsigned workers = 1; workers <= 9; ++workers) {
      for (unsigned replicas = 1; replicas <= 3; ++replicas) {
        INFO(partitions << " partitions, " << workers << " workers, " << replicas << " replicas");
        const Holders first = spread(Holders(partitions), ids(workers), replicas);
        std::vector<std::size_t> load(workers + 1);
        for (const auto& holders : first) {
          CHECK(holders.size() == std::min(replicas, workers));
          CHECK(std::is_sorted(holders.begin(), holders.end()));
          CHECK(std::adjacent_find(holders.begin(), holders.end()) == holders.end());
          for (const WorkerId id : holders) ++load[id.value];
        }
        CHECK(*std::max_element(load.begin() + 1, load.end()) - *std::min_element(load.begin() + 1, load.end()) <=
              1 + (replicas > 1));
        CHECK(spread(first, ids(workers), replicas) == first);  // nothing to do, nothing moves
        const Holders joined = spread(first, ids(workers + 1), replicas);
        if (replicas == 1) CHECK(moved(first, joined) <= partitions / (workers + 1) + 1);
      }
    }
  }
  CHECK(spread(Holders(4), ids(2), 1) == Holders{{{1}}, {{1}}, {{2}}, {{2}}});
  CHECK(spread(Holders(2), {}, 1) == Holders(2));
}

namespace {

std::optional<std::string> fatal_of(Core& core, std::uint64_t seq_boot, std::uint64_t seq_seen) {
  WorkerHello hello;
  hello.name = "w9";
  hello.incarnation = incarnation(9, 1);
  hello.boot_seen = seq_boot;
  hello.seq_boot = seq_boot;
  hello.seq_seen = seq_seen;
  Actions actions;
  core.step({2 * kSecond}, {2}, hello, actions);
  return actions.fatal;
}

void replay_to(Core& core, const Rig& rig, std::size_t records) {
  for (std::size_t i = 0; i < records; ++i) REQUIRE(core.apply(rig.all.records[i]).ok());
}

}  // namespace

TEST_CASE("a worker that was told of a record which the journal lost ends the service", "[core][witness]") {
  Rig rig;
  REQUIRE(rig.create(make_spec(2, 2), 2).ok());
  rig.hello(1);
  const std::uint64_t told = rig.all.records.back().seq;
  for (const Send& send : rig.all.sends) {
    const ToWorker* message = std::get_if<ToWorker>(&send.message);
    const RunUnit* run = message == nullptr ? nullptr : std::get_if<RunUnit>(message);
    if (run != nullptr) CHECK(run->seq == send.after_seq);
  }
  Actions actions;
  Core whole({}, hooks());
  replay_to(whole, rig, rig.all.records.size());
  REQUIRE(whole.begin_serving(2, {}, {}, actions).ok());
  CHECK_FALSE(fatal_of(whole, 1, told));
  CHECK_FALSE(fatal_of(whole, 2, whole.state().seq));  // of this boot
  CHECK(fatal_of(whole, 1, told + 1));                 // of boot 1, though the journal is longer now

  Core cut({}, hooks());
  replay_to(cut, rig, rig.all.records.size() - 1);
  REQUIRE(cut.begin_serving(2, {}, {}, actions).ok());
  const std::optional<std::string> line = fatal_of(cut, 1, told);
  REQUIRE(line);
  CHECK(line->find("record " + std::to_string(told) + " by boot 1") != std::string::npos);
  CHECK(line->find("ends at record " + std::to_string(told - 1)) != std::string::npos);
  CHECK(line->find("--accept-lost-tail") != std::string::npos);
}

TEST_CASE("a lost tail that was accepted once is accepted at every later start", "[core][witness]") {
  Rig rig;
  REQUIRE(rig.create(make_spec(2, 2), 2).ok());
  Actions actions;
  CoreConfig accepting;
  accepting.accept_lost_tail = true;
  Core core(accepting, hooks());
  replay_to(core, rig, rig.all.records.size());
  REQUIRE(core.begin_serving(3, {}, {}, actions).ok());
  CHECK_FALSE(fatal_of(core, 1, 999));
  CHECK_FALSE(fatal_of(core, 2, 999));  // a boot whose every record is lost
  Core later({}, hooks());
  replay_to(later, rig, rig.all.records.size());
  for (const Record& record : actions.records) REQUIRE(later.apply(record).ok());
  Actions more;
  REQUIRE(later.begin_serving(4, {}, {}, more).ok());
  CHECK_FALSE(fatal_of(later, 1, 999));
  CHECK(fatal_of(later, 3, 999));
}

TEST_CASE("a worker of another journal is refused, and the service goes on", "[core][witness]") {
  Core core({}, hooks());
  Actions actions;
  REQUIRE(core.begin_serving(7, {}, {}, actions).ok());
  CHECK_FALSE(fatal_of(core, 6, 5));
  CHECK(core.state().workers.empty());
}
