#include "scheduler/core/state.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace modelhop {
namespace {

bool head_held(const TrialRow& trial) { return !trial.held.empty() && trial.held.back().saved.ref == trial.head; }

}  // namespace

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

std::uint64_t spent_ms(const State& state, const ExperimentRow& experiment) {
  std::uint64_t spent = served_ms(state, experiment.created_at, state.at);
  const auto rested = [&](WallMs from, WallMs to) { spent -= std::min(spent, served_ms(state, from, to)); };
  for (const Downtime& rest : experiment.rests) rested(rest.from, rest.to);
  if (experiment.resting_since != WallMs{}) rested(experiment.resting_since, state.at);
  return spent;
}

bool may_wait(const ExperimentRow& experiment, const TrialRow& trial) {
  const bool unit_waits = !trial.unit || experiment.units[trial.unit.value - 1].state == UnitState::kWaiting;
  return live(trial.state) && trial.state != TrialState::kPaused && unit_waits && trial.visits < trial.target_visits;
}

bool is_durable(const TrialRow& trial, const StateRef& ref) {
  if (ref.trial != trial.id) return ref == trial.begin;
  return std::any_of(trial.stored.rbegin(), trial.stored.rend(), [&](const SavedState& s) { return s.ref == ref; });
}

bool head_held_by(const TrialRow& trial, const Incarnation& incarnation) {
  return head_held(trial) && trial.held.back().incarnation == incarnation;
}

bool head_is_kept(const TrialRow& trial) {
  return !trial.head.hash || is_durable(trial, trial.head) || head_held(trial);
}

StateRef newest_before_head(const TrialRow& trial) {
  StateRef found = trial.begin;
  for (const SavedState& saved : trial.stored) {
    if (saved.ref.at < trial.head.at && saved.ref.lineage >= trial.fork_lineage) found = saved.ref;
  }
  return found;
}

bool begin_is_kept(const ExperimentRow& experiment, const TrialRow& trial) {
  if (!is_fork(trial)) return true;
  const auto& stored = experiment.trials[trial.begin.trial.value - 1].stored;
  return std::any_of(stored.begin(), stored.end(), [&](const SavedState& s) { return s.ref == trial.begin; });
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
