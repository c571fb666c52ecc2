// How many trials a search gets at once.
#include "tests/scheduler/core/rig.h"

using namespace modelhop;
using namespace modelhop::test;

TEST_CASE("a large search is created over many steps", "[core][limits]") {
  Rig rig;
  REQUIRE(rig.create(make_spec(3000, 1), 2).ok());
  CHECK(rig.experiment().trials.size() == 1024);
  CHECK(rig.all.wake_at == rig.now);
  rig.step(Tick{});
  CHECK(rig.experiment().trials.size() == 2048);
  rig.step(Tick{});
  CHECK(rig.experiment().trials.size() == 3000);
  CHECK(rig.experiment().search_done);
  CHECK(rig.all.wake_at != rig.now);
}

TEST_CASE("against a time budget two trials a slot are unfinished, and more once slots join", "[core]") {
  Rig rig;
  Spec spec = make_spec(3000, 1);
  spec.reproducibility = Reproducibility::kVerify;
  spec.time_budget_ms = 1'000'000;
  REQUIRE(rig.create(spec, 1).ok());
  CHECK(rig.experiment().trials.size() == 2);
  rig.hello(1);
  CHECK(rig.experiment().trials.size() == 2);
  rig.hello(2);
  CHECK(rig.experiment().trials.size() == 4);
  rig.finish(rig.open_leases()[0]);
  CHECK(rig.experiment().trials.size() == 5);
  CHECK(rig.experiment().trials[0].state == TrialState::kCompleted);
}

TEST_CASE("max_concurrent_trials says how many are unfinished, with and without a time budget", "[core]") {
  for (const bool budget : {false, true}) {
    Rig rig;
    Spec spec = make_spec(3000, 1);
    spec.max_concurrent_trials = 7;
    if (budget) spec.time_budget_ms = 1'000'000;
    REQUIRE(rig.create(spec, 1).ok());
    rig.hello(1);
    CHECK(rig.experiment().trials.size() == 7);
    rig.finish(rig.open_leases()[0]);
    CHECK(rig.experiment().trials.size() == 8);
  }
}
