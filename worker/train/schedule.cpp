#include "worker/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace modelhop {
namespace {

// Times in epochs are quotients; one that is meant to be whole may come out a rounding below it.
constexpr double kRounding = 1e-9;

// From `start` at 0 to `end` at 1.
double cosine_between(double start, double end, double at) {
  return end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * at));
}
double line_between(double start, double end, double at) { return start + (end - start) * at; }

// torch counts steps 0 .. total-1 and ends each phase one step early; here a step is `batch` samples, so a horizon that
// a batch does not divide has a fraction of a step, and a last, smaller batch ends the schedule.
double one_cycle(const Training& training, double samples, double horizon) {
  const LrSchedule& schedule = training.lr_schedule;
  const double batch = static_cast<double>(training.batch_size);
  const double step = samples / batch;
  const double total = horizon / batch;
  const double peak = schedule.max_lr > 0 ? schedule.max_lr : training.optimizer.lr;
  const double initial = peak / schedule.div_factor;
  const double least = initial / schedule.final_div_factor;
  struct Phase {
    double end, from, to;
  };
  const double rise = schedule.pct_start * total;
  const Phase two[] = {{rise - 1, initial, peak}, {total - 1, peak, least}};
  const Phase three[] = {{rise - 1, initial, peak}, {2 * rise - 2, peak, initial}, {total - 1, initial, least}};
  const Phase* phase = schedule.three_phase ? three : two;
  const Phase* last = schedule.three_phase ? three + 2 : two + 1;
  double start = 0;
  for (; phase != last && step > phase->end + kRounding; ++phase) start = phase->end;
  const double length = phase->end - start;
  const double at = length > 0 ? std::clamp((step - start) / length, 0.0, 1.0) : 1.0;
  return schedule.linear_anneal ? line_between(phase->from, phase->to, at) : cosine_between(phase->from, phase->to, at);
}

double scheduled(const Training& training, double samples, double per_epoch) {
  const LrSchedule& schedule = training.lr_schedule;
  const double rate = training.optimizer.lr;
  const double epochs = samples / per_epoch;
  const double horizon = static_cast<double>(training.epochs);
  switch (schedule.name) {
    case ScheduleName::kConstant:
      return rate;
    case ScheduleName::kStep:
      return rate * std::pow(schedule.gamma, std::floor(epochs / schedule.step_size + kRounding));
    case ScheduleName::kMultistep: {
      const auto passed = std::count_if(schedule.milestones.begin(), schedule.milestones.end(),
                                        [&](double milestone) { return milestone <= epochs + kRounding; });
      return rate * std::pow(schedule.gamma, static_cast<double>(passed));
    }
    case ScheduleName::kExponential:
      return rate * std::pow(schedule.gamma, epochs);
    case ScheduleName::kCosine:
      return cosine_between(rate, schedule.eta_min, std::min(epochs / horizon, 1.0));
    case ScheduleName::kLinear: {
      const double length = schedule.total_epochs > 0 ? schedule.total_epochs : horizon;
      return rate * line_between(schedule.start_factor, schedule.end_factor, std::min(epochs / length, 1.0));
    }
    case ScheduleName::kOneCycle:
      return one_cycle(training, samples, horizon * per_epoch);
  }
  check_failed(__FILE__, __LINE__, "a schedule has a rate");
}

}  // namespace

double learning_rate(const Training& training, std::uint64_t samples, std::uint64_t samples_per_epoch) {
  CHECK(samples_per_epoch > 0);
  const auto done = static_cast<double>(samples);
  const auto per_epoch = static_cast<double>(samples_per_epoch);
  const double rate = scheduled(training, done, per_epoch);
  const double warmup = training.lr_schedule.warmup * per_epoch;
  return done < warmup ? rate * (done / warmup) : rate;
}

}  // namespace modelhop
