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

void Auditor::check_trial(const ExperimentRow& experiment, const PlannedExperiment& planned, const TrialRow& trial) {
  const Spec& spec = *planned.spec;
  const Poison& poison = planned.poison;
  const std::string name = to_string(experiment.id, trial.id);
  StateRef state;
  state.experiment = experiment.id;
  state.trial = trial.id;
  Sum loss{"loss", 0, 0};
  std::vector<double> values;
  TrialState expected = TrialState::kRunning;
  const std::uint64_t target = spec.epochs * plan_.partitions;
  std::uint64_t visits = 0;
  std::size_t milestones = 0;
  while (expected == TrialState::kRunning) {
    const PartitionIndex partition{static_cast<std::uint32_t>((trial.offset + visits) % plan_.partitions)};
    if (visits == trial.visits && trial.head.at.batch > 0) {  // it ended inside a visit
      StateRef partly = state;
      Sum ignored = loss;
      train(partly, partition, plan_, trial.head.at.batch, ignored);
      partly.lineage = trial.head.lineage;
      if (partly != trial.head) say(name + ": its state " + position(trial.head) + " is not what training alone gives");
    }
    if (poison.kind != Poison::kNone && poison.trial == trial.id && poison.visit == visits) {
      expected = poison.kind == Poison::kInvalid ? TrialState::kInvalid : TrialState::kFailed;
      break;
    }
    Sum visit{"loss", 0, 0};
    train(state, partition, plan_, plan_.batches[partition.value], visit);
    loss.total += visit.total;
    loss.weight += visit.weight;
    ++visits;
    state.lineage = trial.head.lineage;
    if (visits == trial.visits && trial.head.at.batch == 0 && state != trial.head) {
      say(name + ": its state " + position(trial.head) + " is not what training alone gives");
    }
    if (visits == target) expected = TrialState::kCompleted;
    if (visits != target && visits % (spec.evaluate_every * plan_.partitions) != 0) continue;
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
    const bool search_stops = planned.search_stops_every > 0 && trial.id.value % planned.search_stops_every == 0;
    if (search_stops || out_of_patience(spec, values)) expected = TrialState::kStopped;
  }
  if (trial.visits > visits)
    say(name + " made " + std::to_string(trial.visits) + " visits of " + std::to_string(visits));
  if (trial.milestones.size() != milestones) say(name + " has a milestone too many or too few");
  if (experiment.state == ExperimentState::kStopped || experiment.state == ExperimentState::kCanceled) return;
  const UnitRow* unit = trial.unit ? &experiment.units[trial.unit.value - 1] : nullptr;
  const bool parked = unit != nullptr && unit->state == UnitState::kParked &&
                      unit->worker_deaths >= plan_.config.unit_worker_deaths_max;
  if (trial.state == TrialState::kFailed && parked) return;  // by bad luck, or by its poison
  const bool broken_off = trial.state == TrialState::kStopped || trial.state == TrialState::kCanceled;
  if (planned.retry && broken_off) return;  // by the end before another was tried again
  if (trial.state != expected || trial.visits != visits) {
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
    if (experiment.state == ExperimentState::kCompleted && experiment.trials.size() != planned.trials) {
      say(to_string(experiment.id) + " has " + std::to_string(experiment.trials.size()) + " trials of " +
          std::to_string(planned.trials));
    }
    for (const TrialRow& trial : experiment.trials) check_trial(experiment, planned, trial);
    const TrialRow* best = best_trial(experiment);
    if (best == nullptr) continue;
    const StateRef& ref = counted_milestone(*experiment.spec, *best)->state;
    // The value of one that is tried again may fall behind that of another whose state was dropped for it.
    if (!is_durable(*best, ref) && !damaged_ && !planned.retry) {
      say(to_string(experiment.id) + ": the best trial's state was deleted");
    }
  }
}

}  // namespace modelhop::sim
