// apply(): a trial goes on from another's state, or further than before; an experiment's limits rise.
#include <algorithm>

#include "common/base/limits.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/misfit.h"

namespace modelhop {

Status Core::Impl::on(const TrialForked& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  TrialRow* trial = find_trial(row, record.trial);
  const std::string name = to_string(record.experiment, record.trial);
  REFUSE_IF(trial == nullptr || !live(trial->state), name + " does not live");
  REFUSE_IF(trial->unit, name + " is inside a visit");
  REFUSE_IF(record.lineage != trial->lineage + 1, name + " has lineage " + std::to_string(trial->lineage));
  REFUSE_IF(record.params_revision != trial->params_revision + 1, name + " has other parameters");
  const TrialRow* source = find_trial(row, record.source.trial);
  REFUSE_IF(source == nullptr || source == trial || record.source.experiment != row->id ||
                !is_durable(*source, record.source) || record.source.trial != source->id,
            name + " is forked of a state that is not in the store");
  const std::uint64_t visits = visits_of(*row, record.source);
  REFUSE_IF(record.source.at.batch != 0 || visits == 0 || visits >= trial->target_visits,
            name + " has no visit to make after that state");
  const bool begins = trial->started_at == WallMs{} && trial->visits == 0;
  REFUSE_IF(!begins && visits != trial->visits, name + " has made another number of visits");
  unlist(*row, *trial);
  ExperimentIndex& ix = index_of(row->id);
  remove_begun(ix, *trial);
  for (const HeldState& held : trial->held) index.slots[held.worker.value - 1].holds.erase({row->id, trial->id});
  trial->held.clear();
  trial->lost.clear();
  trial->begin = trial->head = record.source;
  trial->fork_lineage = trial->lineage = record.lineage;
  trial->params = record.params;
  trial->params_revision = record.params_revision;
  if (begins) trial->first_visit = visits;
  trial->visits = visits;
  trial->unreadable = 0;
  trial->train_since_milestone.clear();
  trial->visit_sums.clear();
  add_begun(ix, *trial);
  list(*row, *trial);
  return {};
}

Status Core::Impl::on(const TrialTargetChanged& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  TrialRow* trial = find_trial(row, record.trial);
  const std::string name = to_string(record.experiment, record.trial);
  REFUSE_IF(trial == nullptr || row->ended(), to_string(record.experiment) + " does not run");
  REFUSE_IF(!live(trial->state) && trial->state != TrialState::kCompleted,
            name + " is " + std::string(to_string(trial->state)));
  REFUSE_IF(record.target_visits <= trial->target_visits || record.target_visits > kEpochsMax * row->partitions,
            name + " has the target " + std::to_string(trial->target_visits) + " already");
  REFUSE_IF(record.lineage != trial->lineage + (live(trial->state) ? 0 : 1),
            name + " has lineage " + std::to_string(trial->lineage));
  unlist(*row, *trial);
  trial->target_visits = record.target_visits;
  trial->lineage = record.lineage;
  trial->went_on = true;
  if (!live(trial->state)) {
    revive(*row, *trial);
    set_state(*trial, TrialState::kRunning);
    trial->reason.clear();
  } else if (!trial->asked) {
    row->search->apply(SearchTrialGoesOn{trial->id, trial->target_visits});
  }
  list(*row, *trial);
  return {};
}

Status Core::Impl::on(const ExperimentLimitsChanged& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  REFUSE_IF(row == nullptr || row->state == ExperimentState::kDeleted, "there is no " + to_string(record.experiment));
  const SpecLimits before = limits_of(*row->spec);
  REFUSE_IF(record.max_trials < before.max_trials || record.time_budget_ms < before.time_budget_ms ||
                record.epochs < before.epochs || record.epochs > kEpochsMax,
            to_string(record.experiment) + " has higher limits");
  ASSIGN_OR_RETURN(std::shared_ptr<const Spec> spec,
                   hooks.with_limits(*row->spec, {record.max_trials, record.time_budget_ms, record.epochs}));
  std::swap(row->spec, spec);
  Result<std::unique_ptr<Search>> search = make_search(hooks, *row);
  if (!search.ok()) std::swap(row->spec, spec);  // a refused record changes nothing
  RETURN_IF_ERROR(search.status());
  row->search = std::move(*search);
  row->search_done = false;
  return {};
}

}  // namespace modelhop
