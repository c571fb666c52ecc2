#include "scheduler/core/state.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace modelhop {

const char* to_string(Cause cause) {
  static constexpr const char* kNames[kCauses] = {"train",  "evaluate", "hop",    "load",    "save", "conflict",
                                                  "search", "limit",    "paused", "profile", "tail", "failure"};
  return kNames[static_cast<std::size_t>(cause)];
}

std::uint64_t served_ms(const State& state, WallMs from, WallMs to) {
  std::int64_t ms = to.value - from.value;
  for (auto down = state.down.rbegin(); down != state.down.rend() && down->to > from; ++down) {
    ms -= std::max<std::int64_t>(0, std::min(to, down->to).value - std::max(from, down->from).value);
  }
  return ms > 0 ? static_cast<std::uint64_t>(ms) : 0;
}

bool may_wait(const ExperimentRow& experiment, const TrialRow& trial) {
  const bool unit_waits = !trial.unit || experiment.units[trial.unit.value - 1].state == UnitState::kWaiting;
  return live(trial.state) && trial.state != TrialState::kPaused && unit_waits && trial.visits < trial.target_visits;
}

bool is_durable(const TrialRow& trial, const StateRef& ref) {
  return std::any_of(trial.stored.rbegin(), trial.stored.rend(), [&](const SavedState& s) { return s.ref == ref; });
}

bool head_held_by(const TrialRow& trial, const Incarnation& incarnation) {
  return !trial.held.empty() && trial.held.back().saved.ref == trial.head &&
         trial.held.back().incarnation == incarnation;
}

StateRef newest_before_head(const TrialRow& trial) {
  StateRef found;
  found.experiment = trial.head.experiment;
  found.trial = trial.head.trial;
  for (const SavedState& saved : trial.stored) {
    if (saved.ref.at < trial.head.at) found = saved.ref;
  }
  return found;
}

std::uint64_t work_at_risk_ns(const TrialRow& trial) {
  std::uint64_t ns = 0;
  for (auto held = trial.held.rbegin(); held != trial.held.rend(); ++held) {
    if (held->saved.ref.lineage != trial.lineage) break;
    const bool behind_durable = std::any_of(trial.stored.begin(), trial.stored.end(), [&](const SavedState& s) {
      return s.ref.lineage == trial.lineage && s.ref.at > held->saved.ref.at;
    });
    if (behind_durable) break;
    ns += held->work_ns;
  }
  return ns;
}

double metric_value(const Milestone& milestone, const std::string& metric) {
  const bool train = metric.starts_with("train_");
  if (!train && !metric.starts_with("val_")) return std::numeric_limits<double>::quiet_NaN();
  const std::string_view name = std::string_view(metric).substr(train ? 6 : 4);
  for (const Sum& sum : train ? milestone.train : milestone.validation) {
    if (sum.name == name && sum.weight > 0) return sum.total / static_cast<double>(sum.weight);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

bool better(const Spec& spec, double a, double b) { return spec.maximize ? a > b : a < b; }

const Milestone* counted_milestone(const Spec& spec, const TrialRow& trial) {
  if (trial.milestones.empty()) return nullptr;
  if (spec.metric_scope == MetricScope::kLast) return &trial.milestones.back();
  const Milestone* best = &trial.milestones.front();
  for (const Milestone& milestone : trial.milestones) {
    if (better(spec, milestone.value, best->value)) best = &milestone;
  }
  return best;
}

const TrialRow* best_trial(const ExperimentRow& experiment) {
  const TrialRow* best = nullptr;
  double best_value = 0;
  for (const TrialRow& trial : experiment.trials) {
    const Milestone* milestone = counted_milestone(*experiment.spec, trial);
    if (milestone == nullptr || (best != nullptr && !better(*experiment.spec, milestone->value, best_value))) continue;
    best = &trial;
    best_value = milestone->value;
  }
  return best;
}

}  // namespace modelhop
