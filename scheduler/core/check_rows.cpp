#include "scheduler/core/check_rows.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "common/base/limits.h"
#include "scheduler/core/misfit.h"
#include "scheduler/core/tables.h"

namespace modelhop {
namespace {

template <class IdType, class Rows>
bool names(IdType id, const Rows& rows) {
  return id.value != 0 && id.value <= rows.size();
}

Status check_workers(const State& state) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < state.workers.size(); ++i) {
    const WorkerRow& row = state.workers[i];
    REFUSE_IF(row.id.value != i + 1 || row.name.empty() || !seen.insert(row.name).second,
              "worker " + std::to_string(i + 1) + " has another's number or name");
    if (!row.last_experiment && !row.last_trial) continue;
    REFUSE_IF(!names(row.last_experiment, state.experiments) ||
                  !names(row.last_trial, state.experiments[row.last_experiment.value - 1].trials),
              "worker " + row.name + " ran a trial that is not there");
  }
  return {};
}

Status check_datasets(const State& state) {
  for (const auto& [name, row] : state.datasets) {
    const std::size_t partitions = row.info.partition_rows.size();
    REFUSE_IF(name.empty() || name != row.info.name || partitions == 0 || partitions > kPartitionsMax ||
                  row.holders.size() != partitions,
              "data set " + name + " has another name or number of partitions");
    for (const auto& holders : row.holders) {
      REFUSE_IF(std::adjacent_find(holders.begin(), holders.end(), std::greater_equal<>()) != holders.end(),
                "the holders in " + name + " are out of order");
      REFUSE_IF(!holders.empty() && !(names(holders.front(), state.workers) && names(holders.back(), state.workers)),
                "a partition of " + name + " is held by a worker that is not there");
    }
  }
  return {};
}

Status check_trial(const ExperimentRow& experiment, std::size_t place) {
  const TrialRow& trial = experiment.trials[place];
  const auto name = [&] { return to_string(experiment.id, TrialId{place + 1}); };
  REFUSE_IF(trial.id.value != place + 1 || trial.offset >= experiment.partitions, name() + " is not in its place");
  REFUSE_IF(trial.begin.experiment != experiment.id || !names(trial.begin.trial, experiment.trials) ||
                (trial.begin.trial == trial.id) == static_cast<bool>(trial.begin.hash),
            name() + " begins with no such state");
  REFUSE_IF(trial.head != trial.begin && (trial.head.experiment != experiment.id || trial.head.trial != trial.id),
            name() + " has another's head");
  REFUSE_IF(trial.unit && !names(trial.unit, experiment.units), name() + " has a unit that is not there");
  REFUSE_IF(trial.unit && experiment.units[trial.unit.value - 1].trial != trial.id, name() + " has another's unit");
  REFUSE_IF(experiment.ended() && live(trial.state), name() + " lives, and its experiment has ended");
  const auto own = [&](const StateRef& ref) { return ref.experiment == experiment.id && ref.trial == trial.id; };
  REFUSE_IF(
      !std::all_of(trial.stored.begin(), trial.stored.end(), [&](const auto& saved) { return own(saved.ref); }) ||
          !std::all_of(trial.held.begin(), trial.held.end(), [&](const auto& held) { return own(held.saved.ref); }),
      name() + " has another's states");
  for (const Milestone& milestone : trial.milestones) {
    REFUSE_IF(std::isnan(milestone.value), name() + " has a milestone without a value");
  }
  return {};
}

Status check_leases(const ExperimentRow& experiment, const State& state, std::set<WorkerId>& busy) {
  const auto& [units, leases] = std::tie(experiment.units, experiment.leases);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const UnitRow& unit = units[i];
    const auto name = [&] { return to_string(experiment.id, UnitId{i + 1}); };
    REFUSE_IF(unit.id.value != i + 1 || !names(unit.trial, experiment.trials) || unit.lease >= leases.size() ||
                  leases[unit.lease].unit != unit.id,
              name() + " has another's number, trial or lease");
    REFUSE_IF((unit.state == UnitState::kLeased) != (leases[unit.lease].outcome == LeaseOutcome::kOpen),
              name() + " is leased, or its newest lease open, but not both");
  }
  for (std::size_t i = 0; i < leases.size(); ++i) {
    const LeaseRow& lease = leases[i];
    const auto name = [&] { return to_string(experiment.id) + " token " + to_string(lease.token); };
    REFUSE_IF(!names(lease.unit, units) || !names(lease.trial, experiment.trials) ||
                  !names(lease.worker, state.workers) || lease.partition.value >= experiment.partitions,
              name() + " leases what is not there");
    if (lease.outcome != LeaseOutcome::kOpen) continue;
    REFUSE_IF(units[lease.unit.value - 1].lease != i || experiment.ended(), name() + " is open, but not the newest");
    REFUSE_IF(!busy.insert(lease.worker).second, name() + " is a second lease of its worker");
  }
  return {};
}

Status check_experiments(const State& state) {
  std::set<WorkerId> busy;
  for (std::size_t i = 0; i < state.experiments.size(); ++i) {
    const ExperimentRow& row = state.experiments[i];
    const auto name = [&] { return to_string(ExperimentId{i + 1}); };
    const auto dataset = state.datasets.find(row.dataset);
    REFUSE_IF(row.id.value != i + 1 || dataset == state.datasets.end(), name() + " has another's number or data set");
    REFUSE_IF(row.partitions == 0 || row.partitions > kPartitionsMax ||
                  (!row.ended() && row.partitions != dataset->second.holders.size()),
              name() + " has another number of partitions than its data set");
    REFUSE_IF(row.state == ExperimentState::kDeleted && (!row.trials.empty() || !row.units.empty()),
              name() + " is deleted, but has trials");
    for (std::size_t t = 0; t < row.trials.size(); ++t) {
      RETURN_IF_ERROR(check_trial(row, t));
      for (const HeldState& held : row.trials[t].held) {
        REFUSE_IF(!names(held.worker, state.workers), name() + " has a state held by a worker that is not there");
      }
    }
    RETURN_IF_ERROR(check_leases(row, state, busy));
  }
  return {};
}

}  // namespace

Status check_rows(const State& state) {
  RETURN_IF_ERROR(check_experiments(state));
  RETURN_IF_ERROR(check_workers(state));
  return check_datasets(state);
}

}  // namespace modelhop
