#include <catch2/catch_test_macros.hpp>

#include "worker/core/worker_core.h"

using namespace modelhop;

namespace {

struct Rig {
  explicit Rig(WorkerConfig config = make_config()) : core(config) {}
  static WorkerConfig make_config() {
    WorkerConfig config;
    config.name = "w1";
    config.incarnation.bytes[0] = 1;
    return config;
  }
  std::vector<WorkerAction> step(const WorkerEvent& event) {
    std::vector<WorkerAction> actions;
    core.step(now, event, actions);
    for (const std::string& broken : core.check_invariants()) FAIL(broken);
    return actions;
  }
  std::vector<WorkerAction> wait(std::int64_t ms) {
    now = now + ms * kMillisecond;
    return step(WorkerTick{});
  }
  static ToWorker run(std::uint64_t counter, std::uint64_t boot = 1) {
    RunUnit run;
    run.boot = boot;
    run.lease.unit.experiment = {1};
    run.lease.unit.id = {counter};
    run.lease.unit.members.push_back({});
    run.lease.token = {boot, counter};
    return run;
  }
  static UnitEnded ended(std::uint64_t counter) {
    UnitReport report;
    report.experiment = {1};
    report.unit = {counter};
    report.token = {1, counter};
    return {report};
  }
  static ToWorker dismiss(std::uint64_t counter, bool durable = true) {
    return Dismiss{{1}, {counter}, {1, counter}, durable};
  }
  static UnitEnded held(std::uint64_t counter) {  // its state is being saved
    UnitEnded result = ended(counter);
    result.report.members.push_back({});
    return result;
  }
  void welcome() { step(ToWorker(Welcome{{1}, 1, 1'000})); }

  Instant now{kSecond};
  WorkerCore core;
};

template <class T>
std::vector<T> of(const std::vector<WorkerAction>& actions) {
  std::vector<T> found;
  for (const WorkerAction& action : actions) {
    if constexpr (std::is_constructible_v<ToScheduler, T>) {
      const auto* message = std::get_if<ToScheduler>(&action);
      if (message != nullptr && std::holds_alternative<T>(*message)) found.push_back(std::get<T>(*message));
    } else {
      if (const auto* one = std::get_if<T>(&action)) found.push_back(*one);
    }
  }
  return found;
}

}  // namespace

TEST_CASE("a worker says hello at once, each second until it is welcome, and again after silence", "[worker]") {
  Rig rig;
  CHECK(of<WorkerHello>(rig.step(WorkerTick{})).size() == 1);
  CHECK(of<WorkerHello>(rig.wait(999)).empty());
  CHECK(of<WorkerHello>(rig.wait(1)).size() == 1);
  rig.welcome();
  CHECK(of<WorkerHello>(rig.wait(4'999)).empty());
  CHECK(of<WorkerHello>(rig.step(WorkerReconnected{})).size() == 1);
}

TEST_CASE("heartbeats begin with the welcome and name what runs, with its progress", "[worker]") {
  Rig rig;
  CHECK(of<Heartbeat>(rig.wait(3'000)).empty());
  rig.welcome();
  CHECK(of<StartUnit>(rig.step(Rig::run(1))).size() == 1);
  Cursor cursor;
  cursor.batch = 7;
  rig.step(UnitProgress{{1, 1}, cursor});
  const auto beats = of<Heartbeat>(rig.wait(1'000));
  REQUIRE(beats.size() == 1);
  REQUIRE(beats[0].units.size() == 1);
  CHECK(beats[0].units[0].token == Token{1, 1});
  CHECK(beats[0].units[0].at.batch == 7);
}

TEST_CASE("a report is sent until it is dismissed", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  CHECK(of<UnitDone>(rig.step(Rig::ended(1))).size() == 1);
  CHECK_FALSE(rig.core.running());
  CHECK(of<UnitDone>(rig.wait(999)).empty());
  CHECK(of<UnitDone>(rig.wait(1)).size() == 1);
  rig.step(Rig::dismiss(2));  // another one
  CHECK(of<UnitDone>(rig.wait(1'000)).size() == 1);
  rig.step(Rig::dismiss(1));
  CHECK(of<UnitDone>(rig.wait(5'000)).empty());
}

TEST_CASE("a unit is run once, however often it is sent", "[worker]") {
  Rig rig;
  rig.welcome();
  CHECK(of<StartUnit>(rig.step(Rig::run(2))).size() == 1);
  CHECK(of<StartUnit>(rig.step(Rig::run(2))).empty());
  rig.step(Rig::ended(2));
  CHECK(of<StartUnit>(rig.step(Rig::run(2))).empty());
  CHECK(of<StartUnit>(rig.step(Rig::run(1))).empty());  // older: given up long ago
  CHECK(of<StartUnit>(rig.step(Rig::run(3))).size() == 1);
}

TEST_CASE("a newer unit takes the slot of the one that runs", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  const auto actions = rig.step(Rig::run(2));
  CHECK(of<StartUnit>(actions).empty());
  REQUIRE(of<StopUnit>(actions).size() == 1);
  CHECK(of<StopUnit>(actions)[0].token == Token{1, 1});
  CHECK_FALSE(of<StopUnit>(actions)[0].keep);
  CHECK(of<Heartbeat>(rig.wait(1'000)).at(0).units.size() == 2);
  const auto next = of<StartUnit>(rig.step(Rig::ended(1)));
  REQUIRE(next.size() == 1);
  CHECK(next[0].run.lease.token == Token{1, 2});
}

TEST_CASE("a unit that waits and is to yield is reported from its parent", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  rig.step(Rig::run(2));
  const auto done = of<UnitDone>(rig.step(ToWorker(YieldUnit{1, {1}, {2}, {1, 2}, true})));
  REQUIRE(done.size() == 1);
  REQUIRE(done[0].report.members.size() == 1);
  CHECK(done[0].report.members[0].yielded);
  CHECK(of<StartUnit>(rig.step(Rig::ended(1))).empty());
}

TEST_CASE("a yield stops the unit it names; drop overrides keep, not the other way", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  CHECK(of<StopUnit>(rig.step(ToWorker(YieldUnit{1, {1}, {1}, {1, 9}, true}))).empty());
  CHECK(of<StopUnit>(rig.step(ToWorker(YieldUnit{1, {1}, {1}, {1, 1}, true}))).at(0).keep);
  CHECK(of<StopUnit>(rig.step(ToWorker(YieldUnit{1, {1}, {1}, {1, 1}, true}))).empty());
  CHECK_FALSE(of<StopUnit>(rig.step(ToWorker(YieldUnit{1, {1}, {1}, {1, 1}, false}))).at(0).keep);
  CHECK(of<StopUnit>(rig.step(ToWorker(YieldUnit{1, {1}, {1}, {1, 1}, true}))).empty());
}

TEST_CASE("a scheduler of an earlier boot is not obeyed", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(ToWorker(Welcome{{1}, 3, 1'000}));
  CHECK(of<StartUnit>(rig.step(Rig::run(1, 2))).empty());
  CHECK(of<SetPlacement>(rig.step(ToWorker(Place{2, "data", {}, {}}))).empty());
  CHECK(of<SetPlacement>(rig.step(ToWorker(Place{3, "data", {}, {}}))).size() == 1);
  CHECK(of<WorkerHello>(rig.step(WorkerReconnected{})).at(0).boot_seen == 3);
  CHECK(of<StartUnit>(rig.step(Rig::run(1, 3))).size() == 1);
}

TEST_CASE("after a reconnect the running unit is offered again and the report follows", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  rig.step(Rig::ended(1));
  rig.step(Rig::run(2));
  const auto actions = rig.step(WorkerReconnected{});
  REQUIRE(of<WorkerHello>(actions).size() == 1);
  CHECK(of<WorkerHello>(actions)[0].running.at(0).token == Token{1, 2});
  CHECK(of<UnitDone>(actions).at(0).report.token == Token{1, 1});
}

TEST_CASE("a drain yields, waits for the report's dismissal, says goodbye and exits", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  const auto first = rig.step(WorkerDrain{});
  CHECK(of<StopUnit>(first).at(0).keep);
  CHECK(of<Exit>(first).empty());
  CHECK(of<StartUnit>(rig.step(Rig::run(2))).empty());
  CHECK(of<Exit>(rig.step(Rig::ended(1))).empty());
  const auto last = rig.step(Rig::dismiss(1));
  CHECK(of<WorkerBye>(last).size() == 1);
  CHECK(of<Exit>(last).at(0).code == 0);
  CHECK(rig.wait(10'000).empty());
}

TEST_CASE("a drain nobody answers ends after its time", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  rig.step(ToWorker(Shutdown{"the service stops"}));
  rig.step(Rig::ended(1));
  CHECK(of<Exit>(rig.wait(29'999)).empty());
  const auto last = rig.wait(1);
  REQUIRE(of<Exit>(last).size() == 1);
  CHECK(of<Exit>(last)[0].code == 1);
}

TEST_CASE("a refusal ends the worker with its reason", "[worker]") {
  Rig rig;
  const auto actions = rig.step(ToWorker(Refused{"no"}));
  REQUIRE(of<Exit>(actions).size() == 1);
  CHECK(of<Exit>(actions)[0].code == 5);
  CHECK(of<Exit>(actions)[0].reason == "no");
}

TEST_CASE("undismissed reports are kept up to a limit, the newest", "[worker][limits]") {
  Rig rig;
  rig.welcome();
  for (std::uint64_t i = 1; i <= kReportsWaitingMax + 5; ++i) {
    rig.step(Rig::run(i));
    rig.step(Rig::ended(i));
  }
  const auto resent = of<UnitDone>(rig.wait(1'000));
  REQUIRE(resent.size() == kReportsWaitingMax);
  CHECK(resent.back().report.token == Token{1, kReportsWaitingMax + 5});
}

TEST_CASE("a worker remembers the highest record that the boot which welcomed it named", "[worker][witness]") {
  Rig rig;
  rig.step(ToWorker(Welcome{{1}, 1, 1'000, 5}));
  rig.step(ToWorker(Place{1, "data", {}, {}, 9}));
  rig.step(ToWorker(Place{1, "data", {}, {}, 7}));
  rig.step(ToWorker(Place{2, "data", {}, {}, 3}));  // of a boot that has not heard its witness
  auto hello = of<WorkerHello>(rig.step(WorkerReconnected{}));
  REQUIRE(hello.size() == 1);
  CHECK(hello[0].boot_seen == 2);
  CHECK(hello[0].seq_boot == 1);
  CHECK(hello[0].seq_seen == 9);
  rig.step(ToWorker(Welcome{{1}, 2, 1'000, 4}));
  hello = of<WorkerHello>(rig.step(WorkerReconnected{}));
  REQUIRE(hello.size() == 1);
  CHECK(hello[0].seq_boot == 2);
  CHECK(hello[0].seq_seen == 4);
}

TEST_CASE("a report of a held state is sent until it is accepted, and again when the state is durable", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  const auto told = of<UnitDone>(rig.step(Rig::held(1)));
  REQUIRE(told.size() == 1);
  CHECK_FALSE(told[0].report.members[0].durable);
  CHECK(of<UnitDone>(rig.wait(1'000)).size() == 1);
  rig.step(Rig::dismiss(1, false));
  CHECK(of<UnitDone>(rig.wait(2'000)).empty());
  const auto saved = of<UnitDone>(rig.step(StateSaved{{1, 1}, 7}));
  REQUIRE(saved.size() == 1);
  CHECK(saved[0].report.members[0].durable);
  CHECK(saved[0].report.times.save_ns == 7);
  // The answer to what was said before it was durable comes late: the news is still not known to have arrived.
  rig.step(Rig::dismiss(1, false));
  CHECK(of<UnitDone>(rig.wait(1'000)).size() == 1);
  rig.step(Rig::dismiss(1));
  CHECK(of<UnitDone>(rig.wait(2'000)).empty());
}

TEST_CASE("a state that is durable before its report was accepted is reported as durable", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  rig.step(Rig::held(1));
  const auto saved = of<UnitDone>(rig.step(StateSaved{{1, 1}, 7}));
  REQUIRE(saved.size() == 1);
  CHECK(saved[0].report.members[0].durable);
  rig.step(Rig::dismiss(1));
  CHECK(of<UnitDone>(rig.wait(2'000)).empty());
}

TEST_CASE("a worker that leaves waits for what it is saving", "[worker]") {
  Rig rig;
  rig.welcome();
  rig.step(Rig::run(1));
  rig.step(Rig::held(1));
  rig.step(Rig::dismiss(1, false));
  CHECK(of<Exit>(rig.step(WorkerDrain{})).empty());
  rig.step(StateSaved{{1, 1}, 7});
  const auto left = rig.step(Rig::dismiss(1));
  REQUIRE(of<Exit>(left).size() == 1);
  CHECK(of<Exit>(left)[0].code == 0);
}
