// apply(): experiments, trials and their states.
#include <algorithm>
#include <cmath>

#include "common/base/limits.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/misfit.h"
#include "scheduler/core/tables.h"

namespace modelhop {

Status Core::Impl::on(const ExperimentCreated& record, WallMs at) {
  REFUSE_IF(record.experiment.value != state.experiments.size() + 1,
            to_string(record.experiment) + " is not the next experiment");
  const auto dataset = state.datasets.find(record.dataset);
  REFUSE_IF(dataset == state.datasets.end() || dataset->second.info.identity != record.dataset_identity,
            "the data set " + record.dataset + " is not registered with this identity");
  REFUSE_IF(index.keys.contains(record.idempotency_key), "its idempotency key was used");
  std::shared_ptr<const Spec> spec = fresh_spec;
  if (spec == nullptr) {
    ASSIGN_OR_RETURN(spec, hooks.load_spec(record.spec_expanded));
  }
  const auto partitions = static_cast<std::uint32_t>(dataset->second.holders.size());
  ASSIGN_OR_RETURN(std::unique_ptr<Search> search, hooks.make_search(spec, partitions));
  ExperimentRow row;
  row.id = record.experiment;
  row.spec = std::move(spec);
  row.spec_sent = record.spec_sent;
  row.dataset = record.dataset;
  row.idempotency_key = record.idempotency_key;
  row.name = row.spec->name;
  row.notes = row.spec->notes;
  row.labels = row.spec->labels;
  row.priority = row.spec->priority;
  row.dataset_identity = record.dataset_identity;
  row.partitions = partitions;
  row.search = std::move(search);
  row.created_at = at;
  state.experiments.push_back(std::move(row));
  ExperimentIndex& ix = index.experiments.emplace_back();
  ix.waiting.resize(partitions);
  ix.partition_busy_ns.resize(partitions);
  ix.dataset = &index.datasets[record.dataset];
  go_live(record.experiment);
  if (!record.idempotency_key.empty()) index.keys.emplace(record.idempotency_key, KeyUse{record.experiment, {}});
  return {};
}

Status Core::Impl::on(const ExperimentStateChanged& record, WallMs at) {
  ExperimentRow* row = find_experiment(record.experiment);
  REFUSE_IF(row == nullptr, "there is no " + to_string(record.experiment));
  REFUSE_IF(
      !has_edge(kExperimentEdges, row->state, record.state),
      to_string(record.experiment) + " goes not from " + to_string(row->state) + " to " + to_string(record.state));
  ExperimentIndex& ix = index_of(record.experiment);
  const bool ends = record.state >= ExperimentState::kCompleted;
  REFUSE_IF(ends && (ix.leased != 0 || ix.live != 0), to_string(record.experiment) + " still has trials that live");
  if (record.state == ExperimentState::kDeleted) {
    for (const TrialRow& trial : row->trials) {
      REFUSE_IF(!trial.stored.empty(), to_string(row->id, trial.id) + " still has states in the store");
    }
    for (SlotIndex& slot : index.slots) {
      std::erase_if(slot.holds, [&](const auto& held) { return held.first == record.experiment; });
    }
    for (const TrialRow& trial : row->trials) {
      --index.totals.trials[static_cast<std::size_t>(trial.state)];
      index.keys.erase(trial.idempotency_key);
    }
    row->trials.clear();
    row->units.clear();
    row->leases.clear();
    row->search.reset();
    ix.trial_busy_ns.clear();
    ix.partition_busy_ns.assign(row->partitions, 0);
    ix.ended_best_first.clear();
    ix.failed = 0;
    for (WorkerRow& worker : state.workers) {
      if (worker.last_experiment == row->id) worker.last_experiment = {}, worker.last_trial = {};
    }
  } else if (ends) {
    row->ended_at = at;
    row->slot_ms = record.slot_ms;
    row->bound_ms = record.bound_ms;
    std::erase(index.live, record.experiment);
  } else if (row->ended()) {  // a trial is tried again
    row->ended_at = {};
    row->slot_ms.clear();
    row->bound_ms = 0;
    go_live(record.experiment);
  }
  const bool rests = ends || record.state == ExperimentState::kPaused;
  if (row->resting_since != WallMs{} && at > row->resting_since) row->rests.push_back({row->resting_since, at});
  row->resting_since = rests && record.state != ExperimentState::kDeleted ? at : WallMs{};
  row->state = record.state;
  row->reason = record.reason;
  return {};
}

void Core::Impl::go_live(ExperimentId id) {
  const auto before = [&](ExperimentId a, ExperimentId b) {
    const std::uint32_t x = find_experiment(a)->priority, y = find_experiment(b)->priority;
    return x != y ? x > y : a < b;
  };
  std::erase(index.live, id);
  index.live.insert(std::lower_bound(index.live.begin(), index.live.end(), id, before), id);
}

Status Core::Impl::on(const ExperimentChanged& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  REFUSE_IF(row == nullptr || row->state == ExperimentState::kDeleted, "there is no " + to_string(record.experiment));
  REFUSE_IF(record.name.empty() || record.priority > kPriorityMax,
            to_string(record.experiment) + " has no such name or priority");
  row->name = record.name;
  row->notes = record.notes;
  row->labels = record.labels;
  row->priority = record.priority;
  if (!row->ended()) go_live(record.experiment);
  return {};
}

Status Core::Impl::on(const TrialCreated& record, WallMs at) {
  ExperimentRow* row = find_experiment(record.experiment);
  REFUSE_IF(row == nullptr || row->ended(), to_string(record.experiment) + " does not run");
  REFUSE_IF(record.trial.value != row->trials.size() + 1 || row->trials.size() >= kTrialsMax,
            to_string(record.experiment, record.trial) + " is not the next trial");
  REFUSE_IF(record.offset >= row->partitions || record.target_visits == 0, "it has no such offset or target");
  REFUSE_IF(index.keys.contains(record.idempotency_key), "its idempotency key was used");
  TrialRow trial;
  trial.id = record.trial;
  trial.created_seq = state.seq + 1;
  trial.params = record.params;
  trial.origin = record.origin;
  trial.asked = record.asked;
  trial.idempotency_key = record.idempotency_key;
  trial.request = record.request;
  trial.offset = record.offset;
  trial.target_visits = record.target_visits;
  trial.head.experiment = record.experiment;
  trial.head.trial = record.trial;
  trial.begin = trial.head;
  trial.created_at = at;
  if (!record.idempotency_key.empty()) index.keys.emplace(record.idempotency_key, KeyUse{row->id, trial.id});
  row->trials.push_back(std::move(trial));
  ++index.totals.trials[static_cast<std::size_t>(TrialState::kPending)];
  ExperimentIndex& ix = index_of(record.experiment);
  ix.trial_busy_ns.push_back(0);
  ++ix.live;
  list(*row, row->trials.back());
  if (!record.asked) {
    row->search->apply(SearchTrialCreated{record.trial, record.params, record.target_visits, record.origin});
  }
  return {};
}

Status Core::Impl::on(const TrialEvaluated& record, WallMs at) {
  ExperimentRow* row = find_experiment(record.experiment);
  TrialRow* trial = find_trial(row, record.trial);
  REFUSE_IF(trial == nullptr || !live(trial->state), to_string(record.experiment, record.trial) + " does not live");
  REFUSE_IF(record.visits != trial->visits || record.state != trial->head || std::isnan(record.value) ||
                (!trial->milestones.empty() && trial->milestones.back().visits >= record.visits),
            to_string(record.experiment, record.trial) + " has no such milestone");
  REFUSE_IF(!is_durable(*trial, record.state), "a decision needs its state in the store");
  trial->milestones.push_back(
      {record.visits, record.value, record.validation, record.train, record.state, at, state.seq + 1});
  if (!planted(Mistake::kSumsKept)) trial->train_since_milestone.clear();
  for (SavedState& saved : trial->stored) {
    if (saved.ref == record.state) saved.since_milestone.clear();
  }
  if (!trial->asked) row->search->apply(SearchEvaluated{record.trial, record.visits, record.value});
  return {};
}

Status Core::Impl::on(const TrialPaused& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  TrialRow* trial = find_trial(row, record.trial);
  REFUSE_IF(trial == nullptr || !has_edge(kTrialEdges, trial->state, TrialState::kPaused),
            to_string(record.experiment, record.trial) + " cannot be paused");
  unlist(*row, *trial);
  set_state(*trial, TrialState::kPaused);
  ++index_of(record.experiment).paused;
  trial->reason = record.reason;
  return {};
}

Status Core::Impl::on(const TrialResumed& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  TrialRow* trial = find_trial(row, record.trial);
  REFUSE_IF(trial == nullptr || row->ended(), to_string(record.experiment) + " does not run");
  const TrialState to = trial->started_at == WallMs{} ? TrialState::kPending : TrialState::kRunning;
  REFUSE_IF(!has_edge(kTrialEdges, trial->state, to),
            to_string(record.experiment, record.trial) + " is " + to_string(trial->state));
  REFUSE_IF(record.lineage != 0 && record.lineage != trial->lineage + (live(trial->state) ? 0 : 1),
            to_string(record.experiment, record.trial) + " has lineage " + std::to_string(trial->lineage));
  ExperimentIndex& ix = index_of(record.experiment);
  ix.paused -= trial->state == TrialState::kPaused;
  if (!live(trial->state)) {  // tried again
    revive(*row, *trial);
    trial->restarts = 0;
    if (record.lineage != 0) trial->lineage = record.lineage;
    if (trial->unit) {
      UnitRow& unit = row->units[trial->unit.value - 1];
      unit.state = UnitState::kWaiting;
      unit.worker_deaths = unit.faults = unit.machine_faults = 0;
    }
  }
  set_state(*trial, to);
  trial->reason.clear();
  list(*row, *trial);
  return {};
}

void Core::Impl::revive(ExperimentRow& experiment, TrialRow& trial) {
  ExperimentIndex& ix = index_of(experiment.id);
  ++ix.live;
  ix.failed -= trial.state == TrialState::kFailed || trial.state == TrialState::kInvalid;
  std::erase(ix.ended_best_first, trial.id);
  trial.ended_at = {};
  trial.ended_seq = 0;
  trial.ended_with_experiment = false;
  trial.went_on = true;
  add_begun(ix, trial);
  if (!trial.asked) experiment.search->apply(SearchTrialGoesOn{trial.id, trial.target_visits});
}

Status Core::Impl::on(const TrialEnded& record, WallMs at) {
  ExperimentRow* row = find_experiment(record.experiment);
  TrialRow* trial = find_trial(row, record.trial);
  REFUSE_IF(trial == nullptr, "there is no " + to_string(record.experiment, record.trial));
  REFUSE_IF(live(record.how) || !has_edge(kTrialEdges, trial->state, record.how),
            to_string(record.experiment, record.trial) + " goes not from " + to_string(trial->state) + " to " +
                to_string(record.how));
  REFUSE_IF(trial->unit && row->units[trial->unit.value - 1].state == UnitState::kLeased,
            to_string(record.experiment, record.trial) + " has a lease");
  REFUSE_IF(record.how == TrialState::kCompleted && trial->visits != trial->target_visits,
            to_string(record.experiment, record.trial) + " has not all its visits");
  unlist(*row, *trial);
  index_of(record.experiment).paused -= trial->state == TrialState::kPaused;
  set_state(*trial, record.how);
  ++index.totals.trials_ended[static_cast<std::size_t>(record.how)];
  trial->reason = record.reason;
  trial->ended_at = at;
  trial->ended_seq = state.seq + 1;
  trial->ended_with_experiment = record.with_experiment;
  ExperimentIndex& ix = index_of(record.experiment);
  --ix.live;
  remove_begun(ix, *trial);
  if (record.how == TrialState::kFailed || record.how == TrialState::kInvalid) ++ix.failed;
  if (const Milestone* milestone = counted_milestone(*row->spec, *trial)) {
    const auto worse = [&](double value, TrialId id) {
      const double other = counted_milestone(*row->spec, row->trials[id.value - 1])->value;
      return better(*row->spec, value, other) || (value == other && trial->id < id);
    };
    ix.ended_best_first.insert(
        std::upper_bound(ix.ended_best_first.begin(), ix.ended_best_first.end(), milestone->value, worse), trial->id);
  }
  if (!trial->asked) row->search->apply(SearchTrialEnded{record.trial, end_of(record.how)});
  if (planted(Mistake::kDecideInReplay) && !serving && row->spec->max_concurrent_trials) {
    for (Decision& decision : row->search->decide({row->trials.size(), 1, row->partitions})) {
      const auto* create = std::get_if<CreateTrial>(&decision);
      if (create == nullptr) continue;
      RETURN_IF_ERROR(on(TrialCreated{row->id,
                                      {row->trials.size() + 1},
                                      create->params,
                                      0,
                                      create->target_visits,
                                      create->origin,
                                      false,
                                      "",
                                      {}},
                         at));
    }
  }
  return {};
}

}  // namespace modelhop
