// The oracle: what every trial becomes when it is trained alone, in order, without faults.
#include <algorithm>

#include "scheduler/sim/audit.h"
#include "scheduler/sim/fake_trainer.h"

namespace modelhop::sim {
namespace {

std::string position(const StateRef& state) {
  return std::to_string(state.at.epoch) + "." + std::to_string(state.at.visit) + "." + std::to_string(state.at.batch);
}

bool out_of_patience(const Spec& spec, const std::vector<double>& values) {
  if (spec.stop.empty()) return false;
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (spec.maximize ? values[i] > values[best] : values[i] < values[best]) best = i;
  }
  return values.size() - 1 - best >= *spec.stop[0].patience;
}

}  // namespace

StateRef Auditor::alone(const ExperimentRow& experiment, const TrialRow& trial, std::uint64_t visits) const {
  StateRef state;
  state.experiment = experiment.id;
  std::uint64_t from = 0;
  if (is_fork(trial)) {
    from = trial.first_visit;
    state = alone(experiment, experiment.trials[trial.begin.trial.value - 1], from);
  }
  state.trial = trial.id;
  Sum ignored{"loss", 0, 0};
  const std::string recipe = to_json_text(trial.params);
  for (; from < visits; ++from) {
    const PartitionIndex partition{static_cast<std::uint32_t>((trial.offset + from) % plan_.partitions)};
    train(state, partition, plan_, plan_.batches[partition.value], ignored, recipe);
  }
  return state;
}

void Auditor::check_fork(const ExperimentRow& experiment, const TrialRow& trial) {
  const std::string name = to_string(experiment.id, trial.id);
  const TrialRow& source = experiment.trials[trial.begin.trial.value - 1];
  Params expected = source.params;
  const auto set = trial.params.find("training.fork");
  if (set != trial.params.end()) expected["training.fork"] = set->second;
  if (set == trial.params.end() || trial.params != expected) say(name + " has not its source's parameters and its own");
  if (trial.offset != source.offset || trial.first_visit == 0) say(name + " does not follow its source");
  for (const TrialRow& other : experiment.trials) {
    if (other.id != trial.id && other.idempotency_key == trial.idempotency_key && other.asked) {
      say(name + " was made twice");
    }
  }
}

void Auditor::check_trial(const ExperimentRow& experiment, const PlannedExperiment& planned, const TrialRow& trial) {
  const Spec& spec = *experiment.spec;
  const Poison& poison = planned.poison;
  const std::string name = to_string(experiment.id, trial.id);
  const std::string recipe = to_json_text(trial.params);
  if (is_fork(trial)) check_fork(experiment, trial);
  std::uint64_t visits = is_fork(trial) ? trial.first_visit : 0;
  StateRef state = alone(experiment, trial, visits);
  Sum loss{"loss", 0, 0};
  std::vector<double> values;
  TrialState expected = TrialState::kRunning;
  const std::uint64_t target = trial.target_visits, every = spec.evaluate_every * plan_.partitions;
  // A fork of one that had ended by then trains as far as that one was to.
  const std::uint64_t wanted = spec.epochs * plan_.partitions;
  if ((trial.asked ? target > wanted : target != wanted) &&
      (live(trial.state) || trial.state == TrialState::kCompleted)) {
    say(name + " has another target than its experiment");
  }
  std::size_t milestones = 0;
  while (expected == TrialState::kRunning) {
    const PartitionIndex partition{static_cast<std::uint32_t>((trial.offset + visits) % plan_.partitions)};
    if (visits == trial.visits && trial.head.at.batch > 0) {  // it ended inside a visit
      StateRef partly = state;
      Sum ignored = loss;
      train(partly, partition, plan_, trial.head.at.batch, ignored, recipe);
      partly.lineage = trial.head.lineage;
      if (partly != trial.head) say(name + ": its state " + position(trial.head) + " is not what training alone gives");
    }
    if (poison.kind != Poison::kNone && poison.trial == trial.id && poison.visit == visits) {
      expected = poison.kind == Poison::kInvalid ? TrialState::kInvalid : TrialState::kFailed;
      break;
    }
    Sum visit{"loss", 0, 0};
    train(state, partition, plan_, plan_.batches[partition.value], visit, recipe);
    loss.total += visit.total;
    loss.weight += visit.weight;
    ++visits;
    state.lineage = trial.head.lineage;
    if (visits == trial.visits && trial.head.at.batch == 0 && state != trial.head) {
      say(name + ": its state " + position(trial.head) + " is not what training alone gives");
    }
    if (visits == target) expected = TrialState::kCompleted;
    // The last visit of before its target was raised stays a milestone, if it was one by then.
    const auto is_it = [&](const Milestone& m) { return m.visits == visits; };
    const bool was_last = trial.went_on && visits % plan_.partitions == 0 &&
                          std::any_of(trial.milestones.begin(), trial.milestones.end(), is_it);
    if (visits != target && visits % every != 0 && !was_last) continue;
    const std::vector<Sum> validation = validate(state);
    const Sum& counted = spec.metric == "val_loss" ? validation[0] : loss;
    values.push_back(counted.total / static_cast<double>(counted.weight));
    // What was counted stays counted, also where the states after it were lost.
    if (visits <= trial.visits || (!trial.milestones.empty() && visits <= trial.milestones.back().visits)) {
      const Milestone* got = milestones < trial.milestones.size() ? &trial.milestones[milestones] : nullptr;
      ++milestones;
      if (got == nullptr || got->visits != visits || got->value != values.back() || got->validation != validation ||
          got->train != std::vector<Sum>{loss}) {
        say(name + ": its milestone after " + std::to_string(visits) + " visits is not what training alone gives");
      }
    }
    loss = {"loss", 0, 0};
    if (visits == target) break;
    const bool search_stops =
        !trial.asked && planned.search_stops_every > 0 && trial.id.value % planned.search_stops_every == 0;
    // At such a last visit patience may have come too late: it had completed.
    const bool ended_here = trial.state == TrialState::kStopped && trial.visits == visits;
    const bool had_completed = was_last && visits % every != 0 && !(ended_here && is_it(trial.milestones.back()));
    if (search_stops || (!had_completed && out_of_patience(spec, values))) expected = TrialState::kStopped;
  }
  if (trial.visits > visits)
    say(name + " made " + std::to_string(trial.visits) + " visits of " + std::to_string(visits));
  if (trial.milestones.size() != milestones) say(name + " has a milestone too many or too few");
  if (experiment.state == ExperimentState::kStopped || experiment.state == ExperimentState::kCanceled) return;
  const UnitRow* unit = trial.unit ? &experiment.units[trial.unit.value - 1] : nullptr;
  const bool parked = unit != nullptr && unit->state == UnitState::kParked &&
                      unit->worker_deaths >= plan_.config.unit_worker_deaths_max;
  const bool broken_off = trial.state == TrialState::kStopped || trial.state == TrialState::kCanceled;
  if (broken_off && (planned.retry || trial.ended_with_experiment)) return;  // by an end before it ran again
  if (trial.state == TrialState::kFailed && parked) return;                  // by bad luck, or by its poison
  // What it began with was damaged; or was deleted when it ended, before it was tried again and lost its own.
  if (trial.state == TrialState::kFailed && is_fork(trial) && (damaged_ || trial.went_on)) return;
  // It had completed, and its state was made again when its larger target ended it at once.
  const bool ended_before =
      trial.went_on && trial.lineage > 0 && !trial.milestones.empty() && trial.milestones.back().visits == visits;
  if (trial.state != expected || (trial.visits != visits && !ended_before)) {
    say(name + " ended " + modelhop::to_string(trial.state) + " after " + std::to_string(trial.visits) + " visits (" +
        trial.reason + "); alone it ends " + modelhop::to_string(expected) + " after " + std::to_string(visits));
  }
}

void Auditor::at_end(const State& state) {
  if (state.experiments.size() != plan_.experiments.size()) say("an experiment was made twice or never");
  for (std::size_t i = 0; i < std::min(state.experiments.size(), plan_.experiments.size()); ++i) {
    const ExperimentRow& experiment = state.experiments[i];
    const PlannedExperiment& planned = plan_.experiments[i];
    if (!experiment.ended()) say(to_string(experiment.id) + " did not end");
    if (!experiment.deleting.empty()) say(to_string(experiment.id) + " has deletions that nobody finished");
    if (experiment.state == ExperimentState::kDeleted) continue;
    const auto own = static_cast<std::uint64_t>(std::count_if(experiment.trials.begin(), experiment.trials.end(),
                                                              [](const TrialRow& trial) { return !trial.asked; }));
    const SpecLimits limits = limits_of(*experiment.spec);
    if (limits != limits_of(*planned.spec) && limits != planned.extended)
      say(to_string(experiment.id) + " has other limits");
    if (experiment.state == ExperimentState::kCompleted && own != limits.max_trials) {
      say(to_string(experiment.id) + " has " + std::to_string(own) + " trials of " + std::to_string(limits.max_trials));
    }
    for (const TrialRow& trial : experiment.trials) check_trial(experiment, planned, trial);
    const TrialRow* best = best_trial(experiment);
    if (best == nullptr || limits != limits_of(*planned.spec)) continue;  // values of before may be the best again
    const StateRef& ref = counted_milestone(*experiment.spec, *best)->state;
    // The value of one that is tried again may fall behind that of another whose state was dropped for it.
    if (!is_durable(*best, ref) && !damaged_ && !planned.retry) {
      say(to_string(experiment.id) + ": the best trial's state was deleted");
    }
  }
}

}  // namespace modelhop::sim
