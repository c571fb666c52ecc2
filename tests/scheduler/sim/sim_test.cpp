#include <catch2/catch_test_macros.hpp>

#include "common/base/marks.h"
#include "scheduler/sim/fake_trainer.h"
#include "scheduler/sim/simulation.h"

using namespace modelhop;
using namespace modelhop::sim;

TEST_CASE("a thousand seeds of cluster life break nothing", "[sim]") {
  std::uint64_t events = 0;
  marks = {};
  std::array<std::uint64_t, kFaultKinds> faults{};
  for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
    const Outcome outcome = Simulation(seed, false).run();
    INFO("seed " << seed << ": replay with modelhop-sim --seed " << seed << " --trace");
    for (const std::string& violation : outcome.violations) FAIL_CHECK(violation);
    events += outcome.events;
    for (std::size_t k = 0; k < kFaultKinds; ++k) faults[k] += outcome.faults_by_kind[k] > 0;
  }
  CHECK(events > 300'000);
  for (std::size_t k = 0; k < kFaultKinds; ++k) {
    INFO(to_string(static_cast<FaultKind>(k)));
    CHECK(faults[k] >= 100);
  }
  for (std::size_t k = 0; k < kMarks; ++k) {
    INFO("mark " << to_string(static_cast<Mark>(k)));
    CHECK(marks[k] > 0);
  }
}

TEST_CASE("on a bad network no lease and no worker is given up in a hundred hours", "[sim]") {
  marks = {};
  std::uint64_t lost = 0;
  for (std::uint64_t seed = 1; seed <= 100 / kLossyHours; ++seed) {
    const Outcome outcome = Simulation(make_lossy_plan(seed), false).run();
    for (const std::string& violation : outcome.violations) FAIL_CHECK(violation);
    lost += outcome.faults_by_kind[static_cast<std::size_t>(FaultKind::kMessageLost)];
  }
  CHECK(lost > 500'000);
  CHECK(marks[static_cast<std::size_t>(Mark::kRunSentAgain)] > 0);
  CHECK(marks[static_cast<std::size_t>(Mark::kSilentLost)] == 0);
  CHECK(marks[static_cast<std::size_t>(Mark::kLeaseExpired)] == 0);
}

TEST_CASE("a seed means the same life every time, with every compiler", "[sim]") {
  CHECK(Simulation(7, false).run().trace_hash == Simulation(7, false).run().trace_hash);
  std::uint64_t hash = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) hash += Simulation(seed, false).run().trace_hash * (2 * seed + 1);
  INFO("a wanted change of the core or of the plans changes this number, and nothing else may");
  CHECK(hash == 0x51484e246310b379u);
}

TEST_CASE("a wrong order, a skipped batch and a doubled one show in the state", "[sim]") {
  Plan plan = make_plan(1);
  plan.partitions = 2;
  plan.batches = {3, 4};
  StateRef start;
  start.experiment = {1};
  start.trial = {1};
  Sum loss{"loss", 0, 0};
  StateRef right = start, wrong = start, split = start;
  train(right, {0}, plan, 3, loss);
  train(wrong, {1}, plan, 4, loss);
  CHECK(right.hash != wrong.hash);
  train(split, {0}, plan, 1, loss);
  train(split, {0}, plan, 3, loss);
  CHECK(split == right);
  CHECK(right.at.visit == 1);
  train(right, {1}, plan, 4, loss);
  CHECK(right.at.epoch == 1);
}
