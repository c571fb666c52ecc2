// Extension: an experiment's limits rise, and what they had ended goes on.
#include <algorithm>

#include "common/base/limits.h"
#include "scheduler/core/impl.h"

namespace modelhop {
namespace {

constexpr std::uint64_t kTimeBudgetMsMax = 320'000'000'000'000;  // as a spec's: 10,000 years

// `now` becomes what is wanted. It may stay, or rise.
Status raise(const std::string& name, std::uint64_t& now, const std::optional<std::uint64_t>& wanted,
             std::uint64_t most, const std::string& unit = "") {
  if (!wanted || *wanted == now) return {};
  const auto shown = [&](std::uint64_t value) { return std::to_string(value) + unit; };
  if (*wanted < now) {
    return invalid(name + ": is " + shown(now) + " and can only be raised, got " + shown(*wanted));
  }
  if (*wanted > most) return invalid(name + ": at most " + shown(most) + ", got " + shown(*wanted));
  now = *wanted;
  return {};
}

}  // namespace

void Core::Impl::handle(const ExtendExperiment& event) { reply(event.request, extend(event), event.experiment); }

Result<ExperimentLimitsChanged> Core::Impl::new_limits(const ExperimentRow& experiment,
                                                       const ExtendExperiment& event) const {
  const Spec& spec = *experiment.spec;
  const std::string name = to_string(experiment.id);
  SpecLimits limits = limits_of(spec);
  if (!limits.max_trials && event.max_trials) {
    // A grid without a limit makes all its points; random goes on until its time is spent.
    return invalid("max_trials: " + name + " has none, so its search makes all the trials it can");
  }
  if (!limits.time_budget_ms && event.time_budget_ms) {
    return invalid("time_budget: " + name + " has none, so its time is not limited");
  }
  RETURN_IF_ERROR(raise("max_trials", limits.max_trials, event.max_trials, kTrialsMax));
  RETURN_IF_ERROR(raise("time_budget", limits.time_budget_ms, event.time_budget_ms, kTimeBudgetMsMax, " ms"));
  RETURN_IF_ERROR(raise("epochs", limits.epochs, event.epochs, kEpochsMax));
  if (limits.max_trials != limits_of(spec).max_trials) {
    ASSIGN_OR_RETURN(const auto raised, hooks.with_limits(spec, limits));
    ASSIGN_OR_RETURN(const std::uint64_t most, hooks.trials_max(*raised, experiment.partitions));
    if (most < limits.max_trials) {
      return invalid("max_trials: the " + spec.algorithm + " has " + std::to_string(most) + " points, got " +
                     std::to_string(limits.max_trials) + "; more values need a new experiment");
    }
  }
  if (limits.epochs != spec.epochs) {
    std::string schedule = hooks.horizon_schedule(spec, nullptr);
    for (const TrialRow& trial : experiment.trials) {
      if (schedule.empty() && trial.params_revision > 0) schedule = hooks.horizon_schedule(spec, &trial.params);
    }
    if (!schedule.empty()) {
      return invalid("epochs: the rates of the schedule " + schedule + " are made for training.epochs, " +
                     std::to_string(spec.epochs) +
                     ", so training on would not be what the larger number gives; submit a new experiment");
    }
  }
  return ExperimentLimitsChanged{experiment.id, limits.max_trials, limits.time_budget_ms, limits.epochs};
}

Status Core::Impl::extend(const ExtendExperiment& event) {
  ExperimentRow* experiment = find_experiment(event.experiment);
  const std::string name = to_string(event.experiment);
  if (experiment == nullptr || experiment->state == ExperimentState::kDeleted) {
    return not_found("there is no experiment " + name);
  }
  const SpecLimits before = limits_of(*experiment->spec);
  ASSIGN_OR_RETURN(const ExperimentLimitsChanged limits, new_limits(*experiment, event));
  const bool more_trials = limits.max_trials != before.max_trials, further = limits.epochs != before.epochs;
  if (!more_trials && !further && limits.time_budget_ms == before.time_budget_ms) return {};
  const ExperimentState was = experiment->state;
  const bool stopped = was == ExperimentState::kStopped;
  if (was == ExperimentState::kStopping) return conflict(name + " is stopping; extend it when it has stopped");
  if (was == ExperimentState::kCanceled || was == ExperimentState::kFailed) {
    return conflict(name + " is " + to_string(was) +
                    ": only what runs, completed or was stopped can be extended; retry its trials first");
  }
  RETURN_IF_ERROR(check_run_again(*experiment));
  if (experiment->ended() && limits.time_budget_ms != 0 && limits.time_budget_ms <= spent_ms(state, *experiment)) {
    return conflict("the time budget of " + name + ", " + std::to_string(limits.time_budget_ms / 1000) +
                    " s, is spent: raise it too");
  }
  emit(limits);
  if (stopped || more_trials || further) run_again(*experiment, "it was extended");
  const std::uint64_t target = limits.epochs * experiment->partitions;
  for (TrialRow& trial : experiment->trials) {
    const bool resumes = stopped && trial.state == TrialState::kStopped && trial.ended_with_experiment;
    const bool goes_on = further && trial.state == TrialState::kCompleted && trial.target_visits < target;
    if ((resumes || goes_on) && !can_go_on(*experiment, trial)) continue;  // a fork whose states are gone stays ended
    // Of an ended trial gc may have deleted any state: it must never make one of those names again.
    if (resumes) emit(TrialResumed{experiment->id, trial.id, trial.lineage + 1, "its experiment was extended"});
    if (further && trial.target_visits < target && (live(trial.state) || goes_on)) {
      emit(TrialTargetChanged{experiment->id, trial.id, target, trial.lineage + (live(trial.state) ? 0 : 1)});
    }
    // With this target from the start, its last milestone might have ended it.
    const std::uint64_t every = std::max<std::uint64_t>(experiment->spec->evaluate_every, 1) * experiment->partitions;
    if (goes_on && trial.visits % every == 0) stop_rules(*experiment, trial);
    if ((resumes || goes_on) && live(trial.state)) go_on(*experiment, trial);
  }
  if (!experiment->ended()) set_time_budget(*experiment);
  live_of(experiment->id).ask_search = true;
  return {};
}

}  // namespace modelhop
