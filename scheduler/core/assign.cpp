// Which waiting trial a free worker takes. Only this is decided online: where a visit goes and in which order is fixed.
#include <algorithm>

#include "scheduler/core/impl.h"
#include "scheduler/core/tables.h"

namespace modelhop {

bool Core::Impl::may_run(const WorkerRow& row, const ExperimentRow& experiment) const {
  if (experiment.state != ExperimentState::kRunning) return false;
  if (planted(Mistake::kProfileIgnored)) return true;
  return experiment.spec->reproducibility != Reproducibility::kRerun || !experiment.profile ||
         experiment.profile == row.profile;
}

bool Core::Impl::backs_off(const ExperimentRow& experiment, TrialId trial) const {
  const auto& waits = experiments[experiment.id.value - 1].backing_off;
  return !waits.empty() && waits.contains(trial);
}

void Core::Impl::back_off(ExperimentRow& experiment, const TrialRow& trial, std::uint32_t faults) {
  const std::int64_t ns = kBackoffNs << std::clamp(faults, 1u, 10u) >> 1;
  live_of(experiment.id).backing_off[trial.id] = now + std::min(ns, kBackoffNsMax);
}

// Durable: anybody can read it. Held: only by its holder, and only so much work is built on what a crash would take.
bool Core::Impl::has_state(const WorkerRow& row, const ExperimentRow& experiment, const TrialRow& trial) const {
  if (!trial.head.hash || is_durable(trial, trial.head)) return true;
  if (!head_held_by(trial, row.incarnation)) return false;
  const bool enough = work_at_risk_ns(trial) >= experiment.spec->max_work_at_risk_ms * kMillisecond;
  if (enough) mark(Mark::kTooMuchAtRisk);
  return !enough;
}

Core::Impl::Pick Core::Impl::pick(const WorkerRow& row) {
  const std::size_t place = row.id.value - std::size_t{1};
  const auto held_by = [&](const ExperimentRow& experiment) -> const std::vector<PartitionIndex>* {
    const auto& held = index_of(experiment.id).dataset->held;
    return place < held.size() ? &held[place] : nullptr;
  };
  // The trial it just ran needs no hop.
  if (ExperimentRow* experiment = find_experiment(row.last_experiment); experiment != nullptr && !experiment->ended()) {
    TrialRow& trial = experiment->trials[row.last_trial.value - 1];
    const auto* held = held_by(*experiment);
    if (held != nullptr && may_run(row, *experiment) && may_wait(*experiment, trial) &&
        std::binary_search(held->begin(), held->end(), next_partition(*experiment, trial)) &&
        !backs_off(*experiment, trial.id) && has_state(row, *experiment, trial)) {
      return {experiment, &trial};
    }
  }
  for (const ExperimentId id : index.live) {
    ExperimentRow& experiment = *find_experiment(id);
    const auto* held = held_by(experiment);
    if (held == nullptr || !may_run(row, experiment)) continue;
    const WaitingTrial* best = nullptr;
    for (const PartitionIndex partition : *held) {
      const auto& waiting = index_of(id).waiting[partition.value];
      const auto first = std::find_if(waiting.begin(), waiting.end(),
                                      [&](const WaitingTrial& one) { return !backs_off(experiment, one.trial); });
      if (first != waiting.end() && (best == nullptr || *first < *best)) best = &*first;
    }
    if (best != nullptr) return {&experiment, &experiment.trials[best->trial.value - 1]};
  }
  return {nullptr, nullptr};
}

void Core::Impl::assign() {
  if (draining || !disk_full.empty()) return;
  for (WorkerRow& row : state.workers) {
    if (row.admission != Admission::kActive && !planted(Mistake::kDrainIgnored)) continue;
    if (!row.present || !slots[row.id.value - 1].heard || index.slots[row.id.value - 1].experiment) continue;
    const Pick picked = pick(row);
    if (picked.trial != nullptr) grant(row, *picked.experiment, *picked.trial);
  }
}

void Core::Impl::grant(WorkerRow& row, ExperimentRow& experiment, TrialRow& trial) {
  Token token{state.boot, state.token.boot == state.boot ? state.token.counter + 1 : 1};
  if (planted(Mistake::kTokenReusedAfterBoot)) token = {1, ++leases_since_boot};
  const UnitId unit = trial.unit ? trial.unit : UnitId{experiment.units.size() + 1};
  const bool counted = !trial.milestones.empty() && trial.milestones.back().visits > trial.visits;
  const bool evaluate = !counted && is_milestone(*experiment.spec, experiment.partitions, trial, trial.visits + 1);
  const bool unbound = !experiment.profile;
  PartitionIndex partition = next_partition(experiment, trial);
  if (planted(Mistake::kWrongPartition)) partition = index_of(experiment.id).dataset->held[row.id.value - 1].front();
  emit(UnitLeased{experiment.id, unit, trial.id, token, row.id, row.incarnation, trial.visits, partition, evaluate});
  if (unbound && experiment.profile) mark(Mark::kProfileBound);
  if (unbound && experiment.profile) place_dirty = true;  // partitions are to be where this profile is
  SlotLive& slot = slots[row.id.value - 1];
  slot.since = now;
  slot.lease_expires = now + config.lease_ttl_ms * kMillisecond;
  slot.progress = trial.head.at;
  slot.beats = 0;
  slot.hangs_at = now + config.stall_ms * kMillisecond;
  ExperimentLive& volatile_side = live_of(experiment.id);
  if (!volatile_side.accounting) {
    volatile_side.accounting = true;
    volatile_side.started = now;
  }
  send(row.incarnation, run_unit(experiment, experiment.leases.back()));
}

RunUnit Core::Impl::run_unit(const ExperimentRow& experiment, const LeaseRow& lease) const {
  const TrialRow& trial = experiment.trials[lease.trial.value - 1];
  RunUnit run;
  run.boot = state.boot;
  const Member member{trial.id, trial.lineage, trial.head, trial.params_revision, trial.visit_sums};
  run.lease.unit = {experiment.id, lease.unit, UnitKind::kTrain, {member}, lease.partition, lease.then_evaluate};
  run.lease.token = lease.token;
  run.lease.ttl_ms = config.lease_ttl_ms;
  run.recipes.push_back(hooks.recipe(*experiment.spec, trial.params));
  run.dataset = experiment.dataset;
  run.dataset_identity = experiment.dataset_identity;
  run.partitions = experiment.partitions;
  run.cluster = state.cluster;
  return run;
}

}  // namespace modelhop
