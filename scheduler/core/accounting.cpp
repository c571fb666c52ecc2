// Where slot time goes. Idle time is summed as it passes, by the cause that all idle slots of a kind share; a lease's
// time is split when it ends, by what its worker measured. So slot_ns sums to slots x time exactly.
#include <algorithm>

#include "scheduler/core/impl.h"
#include "scheduler/core/tables.h"

namespace modelhop {
namespace {

std::uint64_t& at(CauseTimes& times, Cause cause) { return times[static_cast<std::size_t>(cause)]; }

// The time of a lease, by what its worker measured.
void split(CauseTimes& sums, std::uint64_t lasted_ns, LeaseOutcome outcome, const UnitTimes& t) {
  if (outcome == LeaseOutcome::kReleased) {
    at(sums, Cause::kFailure) += lasted_ns;
    return;
  }
  const auto take = [&](Cause cause, std::uint64_t ns) {
    const std::uint64_t taken = std::min(ns, lasted_ns);
    at(sums, cause) += taken;
    lasted_ns -= taken;
  };
  take(Cause::kTrain, t.train_ns);
  take(Cause::kEvaluate, t.evaluate_ns);
  take(Cause::kLoad, t.load_ns);
  take(Cause::kSave, t.save_ns);
  take(Cause::kHop, t.hop_ns);
  take(Cause::kHop, lasted_ns);  // messages and the journal: getting a trial onto a worker
}

}  // namespace

void Core::Impl::advance_accounts(Instant to) {
  const auto passed_ns = static_cast<std::uint64_t>(to - now);
  now = to;
  if (passed_ns == 0) return;
  for (std::size_t cause = 0; cause < kCauses; ++cause) counts.slot_ns[cause] += idle_slots[cause] * passed_ns;
  for (const ExperimentId id : index.live) {
    ExperimentLive& account = live_of(id);
    if (!account.accounting) continue;
    for (std::size_t cause = 0; cause < kCauses; ++cause)
      account.sums.slot_ns[cause] += account.idle[cause] * passed_ns;
    account.sums.slot_time_ns += account.slots_now * passed_ns;
  }
}

Cause Core::Impl::idle_cause(const ExperimentRow& experiment) const {
  const ExperimentIndex& ix = index_of(experiment.id);
  if (rests(experiment)) return Cause::kPaused;
  if (!disk_full.empty()) return Cause::kLimit;
  const std::size_t backing_off = experiments[experiment.id.value - 1].backing_off.size();
  if (backing_off > 0 && ix.waiting_count <= backing_off) return Cause::kFailure;
  if (ix.waiting_count > 0) return Cause::kConflict;
  if (ix.saving > 0) return Cause::kSave;
  if (ix.paused > 0) return Cause::kPaused;
  if (experiment.search_done) return Cause::kTail;
  return ix.live >= unfinished_max(*experiment.spec) ? Cause::kLimit : Cause::kSearch;
}

Cause Core::Impl::slot_cause(const WorkerRow& row, const ExperimentRow& experiment) const {
  const ExperimentId leased = index.slots[row.id.value - 1].experiment;
  if (leased) return leased == experiment.id ? Cause::kTrain : Cause::kLimit;
  if (!row.present) return Cause::kFailure;
  if (row.admission != Admission::kActive) return Cause::kPaused;
  const bool bound = experiment.spec->reproducibility == Reproducibility::kRerun && experiment.profile;
  if (bound && experiment.profile != row.profile) return Cause::kProfile;
  return idle_cause(experiment);
}

void Core::Impl::count_idle() {
  idle_slots = {};
  bool oldest = true;  // of several experiments, a free slot waits for the oldest
  for (const ExperimentId id : index.live) {
    ExperimentLive& account = live_of(id);
    if (!account.accounting) continue;
    const ExperimentRow& experiment = *find_experiment(id);
    account.idle = {};
    account.slots_now = 0;
    for (const WorkerRow& row : state.workers) {
      if (!counts_as_slot(row)) continue;
      ++account.slots_now;
      const ExperimentId leased = index.slots[row.id.value - 1].experiment;
      if (leased == id) continue;  // split when the lease ends
      const auto cause = static_cast<std::size_t>(slot_cause(row, experiment));
      ++account.idle[cause];
      if (oldest && !leased) ++idle_slots[cause];
    }
    oldest = false;
  }
}

void Core::Impl::account_lease(ExperimentRow& experiment, const LeaseRow& lease) {
  SlotLive& slot = slots[lease.worker.value - 1];
  for (CauseTimes* sums : {&live_of(experiment.id).sums.slot_ns, &counts.slot_ns}) {
    split(*sums, static_cast<std::uint64_t>(now - slot.since), lease.outcome, lease.times);
  }
  slot.since = now;
}

void Core::Impl::set_time_budget(const ExperimentRow& experiment) {
  const auto& budget = experiment.spec->time_budget_ms;
  live_of(experiment.id).stop_at = kNever;
  if (!budget || experiment.state == ExperimentState::kPaused) return;
  const std::uint64_t spent = spent_ms(state, experiment);
  live_of(experiment.id).stop_at = now + static_cast<std::int64_t>(*budget - std::min(*budget, spent)) * kMillisecond;
}

void Core::Impl::recover_account(ExperimentRow& experiment) {
  ExperimentLive& account = live_of(experiment.id);
  set_time_budget(experiment);
  if (experiment.started_at == WallMs{}) return;
  account.accounting = true;
  account.started = now;
  account.elapsed_before_ns = served_ms(state, experiment.started_at, state.at) * kMillisecond;
  for (const LeaseRow& lease : experiment.leases) {
    const bool open = lease.outcome == LeaseOutcome::kOpen;
    const std::uint64_t ns = served_ms(state, lease.from, open ? state.at : lease.to) * kMillisecond;
    if (open) at(account.sums.slot_ns, Cause::kTrain) += ns;
    if (!open) split(account.sums.slot_ns, ns, lease.outcome, lease.times);
    account.sums.slot_time_ns += ns;
  }
  // Why slots were idle in earlier boots is not recorded: the crash lost it.
  const auto here = static_cast<std::uint64_t>(
      std::count_if(state.workers.begin(), state.workers.end(), [](const WorkerRow& w) { return w.present; }));
  const std::uint64_t slots_ns = here * account.elapsed_before_ns;
  if (slots_ns > account.sums.slot_time_ns) {
    std::uint64_t idle_ns = slots_ns - account.sums.slot_time_ns, rested_ns = 0;
    for (const Downtime& rest : experiment.rests) {
      rested_ns += here * served_ms(state, rest.from, rest.to) * kMillisecond;
    }
    rested_ns = std::min(rested_ns, idle_ns);
    at(account.sums.slot_ns, Cause::kPaused) += rested_ns;
    at(account.sums.slot_ns, Cause::kFailure) += idle_ns - rested_ns;
    account.sums.slot_time_ns = slots_ns;
  }
}

std::uint64_t Core::Impl::bound_ns(const ExperimentRow& experiment) const {
  const ExperimentIndex& ix = index_of(experiment.id);
  std::uint64_t bound = 0;
  for (const std::uint64_t ns : ix.trial_busy_ns) bound = std::max(bound, ns);
  const Holders& holders = state.datasets.find(experiment.dataset)->second.holders;
  std::vector<std::uint64_t> loads(state.workers.size());
  for (std::size_t p = 0; p < ix.partition_busy_ns.size() && p < holders.size(); ++p) {
    for (const WorkerId id : holders[p]) loads[id.value - 1] += ix.partition_busy_ns[p] / holders[p].size();
  }
  for (const std::uint64_t ns : loads) bound = std::max(bound, ns);
  return bound;
}

LiveAccounting Core::Impl::accounting(ExperimentId id, Instant to) const {
  LiveAccounting result;
  const ExperimentRow* experiment = find_experiment(id);
  if (experiment == nullptr) return result;
  if (experiment->ended()) {
    for (std::size_t i = 0; i < kCauses; ++i) {
      const auto ms = experiment->slot_ms.find(to_string(static_cast<Cause>(i)));
      result.slot_ns[i] = ms == experiment->slot_ms.end() ? 0 : ms->second * kMillisecond;
      result.slot_time_ns += result.slot_ns[i];
    }
    result.elapsed_ns = experiment->started_at == WallMs{}
                            ? 0
                            : served_ms(state, experiment->started_at, experiment->ended_at) * kMillisecond;
    result.bound_ns = experiment->bound_ms * kMillisecond;
    return result;
  }
  if (id.value > experiments.size()) return result;  // replayed, not served
  const ExperimentLive& account = experiments[id.value - 1];
  if (!account.accounting) return result;
  result = account.sums;
  const auto passed_ns = static_cast<std::uint64_t>(std::max(to, now) - now);
  for (std::size_t cause = 0; cause < kCauses; ++cause) result.slot_ns[cause] += account.idle[cause] * passed_ns;
  result.slot_time_ns += account.slots_now * passed_ns;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (index.slots[i].experiment == id)
      at(result.slot_ns, Cause::kTrain) += static_cast<std::uint64_t>(std::max(to, now) - slots[i].since);
  }
  result.elapsed_ns = account.elapsed_before_ns + static_cast<std::uint64_t>(std::max(to, now) - account.started);
  result.bound_ns = bound_ns(*experiment);
  return result;
}

LiveCounts Core::Impl::live_counts(Instant to) const {
  LiveCounts result = counts;
  const auto passed_ns = static_cast<std::uint64_t>(std::max(to, now) - now);
  for (std::size_t cause = 0; cause < kCauses; ++cause) result.slot_ns[cause] += idle_slots[cause] * passed_ns;
  return result;
}

std::vector<Core::SlotStatus> Core::Impl::slot_statuses(Instant) const {
  std::vector<SlotStatus> result;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const WorkerRow& row = state.workers[i];
    if (!eligible(row) && !row.present) continue;
    SlotStatus status;
    status.worker = row.id;
    status.connected = row.present;
    status.cause = Cause::kTail;
    status.since = slots[i].since;
    const ExperimentId leased = index.slots[i].experiment;
    status.experiment = leased ? leased : index.live.empty() ? ExperimentId{} : index.live.front();
    if (status.experiment) status.cause = slot_cause(row, *find_experiment(status.experiment));
    if (leased) {
      status.unit = find_experiment(leased)->leases[index.slots[i].lease].unit;
      status.progress = slots[i].progress;
    }
    result.push_back(status);
  }
  return result;
}

}  // namespace modelhop
