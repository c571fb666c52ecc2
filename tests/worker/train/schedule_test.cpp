#include "worker/train/schedule.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace modelhop;
using Catch::Approx;

namespace {
Training training(ScheduleName name) {
  Training made;
  made.epochs = 10;
  made.batch_size = 10;
  made.optimizer.lr = 0.1;
  made.lr_schedule.name = name;
  return made;
}
double at_epoch(const Training& made, double epoch) {
  return learning_rate(made, static_cast<std::uint64_t>(epoch * 1000), 1000);
}
}  // namespace

TEST_CASE("step and multistep change exactly at their epochs", "[train][schedule]") {
  Training step = training(ScheduleName::kStep);
  step.lr_schedule.step_size = 3;
  CHECK(at_epoch(step, 2.999) == Approx(0.1));
  CHECK(at_epoch(step, 3) == Approx(0.01));
  CHECK(at_epoch(step, 6) == Approx(0.001));
  step.lr_schedule.step_size = 0.3;  // 0.9 / 0.3 is a rounding below 3
  CHECK(at_epoch(step, 0.9) == Approx(0.1 * 1e-3));
  Training multistep = training(ScheduleName::kMultistep);
  multistep.lr_schedule.milestones = {2, 5};
  CHECK(at_epoch(multistep, 1.999) == Approx(0.1));
  CHECK(at_epoch(multistep, 2) == Approx(0.01));
  CHECK(at_epoch(multistep, 9) == Approx(0.001));
}

TEST_CASE("cosine, linear and exponential go from the rate to their ends", "[train][schedule]") {
  Training cosine = training(ScheduleName::kCosine);
  cosine.lr_schedule.eta_min = 0.02;
  CHECK(at_epoch(cosine, 0) == Approx(0.1));
  CHECK(at_epoch(cosine, 5) == Approx(0.06));
  CHECK(at_epoch(cosine, 10) == Approx(0.02));
  Training linear = training(ScheduleName::kLinear);
  linear.lr_schedule.start_factor = 0.5;
  linear.lr_schedule.total_epochs = 4;
  CHECK(at_epoch(linear, 0) == Approx(0.05));
  CHECK(at_epoch(linear, 2) == Approx(0.075));
  CHECK(at_epoch(linear, 8) == Approx(0.1));
  Training exponential = training(ScheduleName::kExponential);
  exponential.lr_schedule.gamma = 0.5;
  CHECK(at_epoch(exponential, 1) == Approx(0.05));
  CHECK(at_epoch(exponential, 3) == Approx(0.0125));
}

TEST_CASE("one_cycle rises to its peak and ends at its least rate, also where no batch divides the horizon",
          "[train][schedule]") {
  Training cycle = training(ScheduleName::kOneCycle);
  cycle.lr_schedule.max_lr = 1.0;
  CHECK(learning_rate(cycle, 0, 1000) == Approx(1.0 / 25));
  CHECK(learning_rate(cycle, 2990, 1000) == Approx(1.0));  // step 0.3 x 1000 - 1
  CHECK(learning_rate(cycle, 9990, 1000) == Approx(1.0 / 25 / 1e4));
  CHECK(learning_rate(cycle, 9999, 1003) < 1e-3);
  CHECK(learning_rate(cycle, 10'029, 1003) == Approx(1.0 / 25 / 1e4));
  cycle.epochs = 1;
  cycle.batch_size = 1000;  // a horizon of one step
  CHECK(learning_rate(cycle, 0, 1000) > 0);
}

TEST_CASE("warm-up multiplies the schedule's rate, from zero", "[train][schedule]") {
  Training constant = training(ScheduleName::kConstant);
  constant.lr_schedule.warmup = 0.5;
  CHECK(learning_rate(constant, 0, 1000) == 0);
  CHECK(learning_rate(constant, 250, 1000) == Approx(0.05));
  CHECK(learning_rate(constant, 500, 1000) == 0.1);
  CHECK(learning_rate(constant, 5000, 1000) == 0.1);
}
