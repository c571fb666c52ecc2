// apply(): states become durable, are lost, and are deleted.
#include <algorithm>

#include "scheduler/core/impl.h"
#include "scheduler/core/misfit.h"
#include "scheduler/core/tables.h"

namespace modelhop {

Status Core::Impl::on(const StateDurable& record, WallMs) {
  ExperimentRow* row = find_experiment(record.state.experiment);
  TrialRow* trial = find_trial(row, record.state.trial);
  REFUSE_IF(trial == nullptr, "there is no " + to_string(record.state.experiment, record.state.trial));
  const auto held = std::find_if(trial->held.begin(), trial->held.end(),
                                 [&](const HeldState& h) { return h.saved.ref == record.state; });
  REFUSE_IF(held == trial->held.end(), "nobody holds the state");
  unlist(*row, *trial);
  const WorkerId worker = held->worker;
  add_stored(*trial, std::move(held->saved));
  trial->held.erase(held);
  const bool more =
      std::any_of(trial->held.begin(), trial->held.end(), [&](const HeldState& h) { return h.worker == worker; });
  if (!more) index.slots[worker.value - 1].holds.erase({row->id, trial->id});
  count_stored(record.state, record.save_ns);
  list(*row, *trial);
  return {};
}

Status Core::Impl::on(const TrialRolledBack& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  TrialRow* trial = find_trial(row, record.trial);
  REFUSE_IF(trial == nullptr || !live(trial->state), to_string(record.experiment, record.trial) + " does not live");
  const std::string name = to_string(record.experiment, record.trial);
  REFUSE_IF(trial->unit && row->units[trial->unit.value - 1].state == UnitState::kLeased, name + " has a lease");
  REFUSE_IF(record.lineage != trial->lineage + 1, name + " has lineage " + std::to_string(trial->lineage));
  REFUSE_IF(!(record.to.at < trial->head.at), name + " has not gone beyond that state");
  SavedState to;  // what it began with
  to.ref = trial->begin;
  if (record.to != trial->begin) {
    const auto stored = std::find_if(trial->stored.begin(), trial->stored.end(),
                                     [&](const SavedState& s) { return s.ref == record.to; });
    REFUSE_IF(stored == trial->stored.end(), name + " has no such state in the store");
    to = *stored;
  } else {
    REFUSE_IF(!begin_is_kept(*row, *trial), name + " began with a state that is not in the store any more");
  }
  unlist(*row, *trial);
  const std::uint64_t visits = std::uint64_t{to.ref.at.epoch} * row->partitions + to.ref.at.visit;
  ExperimentIndex& ix = index_of(row->id);
  std::uint64_t undo = trial->visits - visits;
  for (auto lease = row->leases.rbegin(); undo > 0 && lease != row->leases.rend(); ++lease) {
    if (lease->trial != trial->id || lease->outcome != LeaseOutcome::kFinished) continue;
    lease->outcome = LeaseOutcome::kLost;
    row->units[lease->unit.value - 1].state = UnitState::kLost;
    ix.partition_busy_ns[lease->partition.value] -= busy_ns(lease->times);
    ix.trial_busy_ns[trial->id.value - 1] -= busy_ns(lease->times);
    ++index.totals.units[lease->then_evaluate].lost;
    --undo;
  }
  if (trial->unit && visits != trial->visits) {
    row->units[trial->unit.value - 1].state = UnitState::kLost;
    trial->unit = {};
  }
  trial->lost.push_back(trial->head);
  for (const HeldState& held : trial->held) {
    if (held.saved.ref.at > to.ref.at && held.saved.ref != trial->head) trial->lost.push_back(held.saved.ref);
  }
  for (const SavedState& stored : trial->stored) {
    if (stored.ref.at > to.ref.at && stored.ref != trial->head) trial->lost.push_back(stored.ref);
  }
  trial->head = to.ref;
  trial->lineage = record.lineage;
  trial->visits = visits;
  trial->unreadable = 0;
  trial->train_since_milestone = std::move(to.since_milestone);
  trial->visit_sums = std::move(to.visit);
  list(*row, *trial);
  return {};
}

Status Core::Impl::on(const UnitDiverged& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  REFUSE_IF(row == nullptr || record.unit.value - 1 >= row->units.size(),
            "there is no " + to_string(record.experiment, record.unit));
  row->units[record.unit.value - 1].diverged = true;
  return {};
}

Status Core::Impl::on(const StateDeleteIntended& record, WallMs) {
  ExperimentRow* row = find_experiment(record.state.experiment);
  TrialRow* trial = find_trial(row, record.state.trial);
  REFUSE_IF(trial == nullptr, "there is no " + to_string(record.state.experiment, record.state.trial));
  const auto stored = std::find_if(trial->stored.begin(), trial->stored.end(),
                                   [&](const SavedState& s) { return s.ref == record.state; });
  REFUSE_IF(stored == trial->stored.end(), "the state is not in the store");
  REFUSE_IF(live(trial->state) && record.state == trial->head && !planted(Mistake::kDeleteNeededState),
            "the trial goes on from this state");
  REFUSE_IF(index_of(row->id).begun.contains(record.state) && !planted(Mistake::kForkSourceDeleted),
            "another trial began with this state");
  trial->stored.erase(stored);
  row->deleting.push_back(record.state);
  return {};
}

Status Core::Impl::on(const StateDeleted& record, WallMs) {
  ExperimentRow* row = find_experiment(record.state.experiment);
  REFUSE_IF(row == nullptr, "there is no " + to_string(record.state.experiment));
  const auto deleting = std::find(row->deleting.begin(), row->deleting.end(), record.state);
  REFUSE_IF(deleting == row->deleting.end(), "the deletion was not intended");
  row->deleting.erase(deleting);
  index.totals.store_bytes -= record.state.size_bytes;
  return {};
}

}  // namespace modelhop
