// Workers come, speak, fall silent and go.
#include <algorithm>

#include "common/base/limits.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/tables.h"

namespace modelhop {

WorkerRow* Core::Impl::present(const Incarnation& incarnation) {
  const auto found = index.incarnations.find(incarnation);
  return found == index.incarnations.end() ? nullptr : &worker(found->second);
}

void Core::Impl::heard(WorkerId id) {
  SlotLive& slot = slots[id.value - 1];
  slot.lost_at = now + config.worker_lost_ms * kMillisecond;
  dirty |= !slot.heard;
  slot.heard = true;
  // From the first sign of life on, and after a restart that need not be a hello.
  if (settle_until == kNever && !settled) settle_until = now + config.settle_ms * kMillisecond;
}

bool Core::Impl::rests(const ExperimentRow& experiment) const {
  return draining || experiment.state == ExperimentState::kPaused || experiment.state == ExperimentState::kStopping;
}

bool Core::Impl::wants_yield(const ExperimentRow& experiment, const LeaseRow& lease) const {
  return rests(experiment) || experiment.trials[lease.trial.value - 1].state == TrialState::kPaused ||
         state.workers[lease.worker.value - 1].admission != Admission::kActive;
}

void Core::Impl::handle(const ControlWorker& event) {
  if (event.worker.value - 1 >= state.workers.size() || worker(event.worker).admission == Admission::kRemoved) {
    return reply(event.request, not_found("there is no such worker"), {});
  }
  WorkerRow& row = worker(event.worker);
  const Admission wanted = event.control == WorkerControl::kDrain    ? Admission::kDrained
                           : event.control == WorkerControl::kResume ? Admission::kActive
                                                                     : Admission::kRemoved;
  if (wanted == row.admission) return reply(event.request, {}, {});
  if (wanted == Admission::kRemoved && row.present) {
    send(row.incarnation, Shutdown{"it was removed"});
    lose(row, Fault::kNone, "it was removed");
  }
  emit(WorkerAdmissionChanged{row.id, wanted});
  if (wanted == Admission::kDrained) {
    if (const LeaseRow* lease = open_lease(row.id)) {
      send(row.incarnation,
           YieldUnit{state.boot, index.slots[row.id.value - 1].experiment, lease->unit, lease->token, true});
    }
  }
  slots[row.id.value - 1].replace_at = kNever;
  place_dirty = true;
  reply(event.request, {}, {});
}

std::optional<std::string> Core::Impl::lost_tail(const WorkerHello& hello) const {
  if (hello.seq_boot == 0 || hello.seq_boot >= state.boot) return std::nullopt;
  const auto next = std::find_if(state.boots.begin(), state.boots.end(),
                                 [&](const Boot& boot) { return boot.boot > hello.seq_boot; });
  if (std::any_of(next, state.boots.end(), [](const Boot& boot) { return boot.accept_lost_tail; })) return std::nullopt;
  const std::uint64_t last = next->seq - 1;
  if (hello.seq_seen <= last && next != state.boots.begin() && std::prev(next)->boot == hello.seq_boot) {
    return std::nullopt;
  }
  return "worker " + hello.name + " was told of record " + std::to_string(hello.seq_seen) + " by boot " +
         std::to_string(hello.seq_boot) + ", but of what that boot wrote the journal ends at record " +
         std::to_string(last) +
         ": its tail is lost. Bring the state directory's newest copy back, or start with --accept-lost-tail to go on "
         "without it";
}

void Core::Impl::handle(const WorkerHello& hello) {
  const auto refuse = [&](const std::string& reason) { send(hello.incarnation, Refused{reason}); };
  if (hello.name.empty() || hello.name.size() > kNameBytesMax) return refuse("a worker's name has 1 to 128 bytes");
  if (hello.boot_seen > state.boot) {
    ignore(Ignored::kNewerBoot);
    return refuse("this scheduler's boot " + std::to_string(state.boot) + " is over: you have obeyed boot " +
                  std::to_string(hello.boot_seen) + "; connect to the newer scheduler");
  }
  if (hello.seq_boot != 0 && hello.seq_boot < state.cluster) {
    return refuse("you have worked for another journal, of boot " + std::to_string(hello.seq_boot) +
                  "; this one began with boot " + std::to_string(state.cluster) + ": start this worker anew");
  }
  if (std::optional<std::string> lost = lost_tail(hello)) {
    out->fatal = std::move(lost);
    return;
  }
  const auto named_so = index.workers_by_name.find(hello.name);
  WorkerRow* row = named_so == index.workers_by_name.end() ? nullptr : &worker(named_so->second);
  if (row != nullptr && std::find(row->former.begin(), row->former.end(), hello.incarnation) != row->former.end()) {
    ignore(Ignored::kUnknownIncarnation);
    mark(Mark::kFormerRefused);
    return refuse("another process has joined as " + hello.name + " since; give each worker a name of its own");
  }
  if (row != nullptr && row->admission == Admission::kRemoved && row->incarnation == hello.incarnation) {
    ignore(Ignored::kUnknownIncarnation);
    return refuse("this worker was removed; start it again to have it back");
  }
  const WorkerRow* same_process = present(hello.incarnation);
  if (same_process != nullptr && same_process != row) return refuse("this process has joined as " + same_process->name);
  if (row == nullptr && state.workers.size() >= kWorkersMax) {
    return refuse("there are " + std::to_string(kWorkersMax) + " workers already");
  }
  if (row != nullptr && row->present && row->incarnation != hello.incarnation) {
    mark(Mark::kProcessReplaced);
    lose(*row, Fault::kWorkerLost, "its process was replaced by a new one");
  }
  if (row == nullptr || !row->present) {
    const WorkerId id = row == nullptr ? WorkerId{static_cast<std::uint32_t>(state.workers.size() + 1)} : row->id;
    emit(WorkerJoined{id, hello.name, hello.incarnation, hello.profile, hello.device, hello.threads,
                      hello.memory_bytes});
    grow_live();
    row = &worker(id);
    slots[id.value - 1] = SlotLive{};
    slots[id.value - 1].since = now;
    place_dirty = true;
    for (const ExperimentId live_id : index.live) live_of(live_id).ask_search = true;
  }
  heard(row->id);
  dirty = true;
  send(row->incarnation, Welcome{row->id, state.boot, config.heartbeat_ms});
  send_places(*row);
  const LeaseRow* lease = open_lease(row->id);
  bool offered = false;
  for (const Progress& progress : hello.running) {
    offered |= lease != nullptr && progress.token == lease->token;
    named(*row, progress);
  }
  if (lease != nullptr && !offered) {
    // Its RunUnit was lost, or its report is on the way; a worker ignores a token it knows.
    mark(Mark::kRunSentAgain);
    send(row->incarnation, run_unit(*find_experiment(index.slots[row->id.value - 1].experiment), *lease));
  }
}

void Core::Impl::named(WorkerRow& row, const Progress& progress) {
  const LeaseRow* lease = open_lease(row.id);
  const ExperimentId experiment = index.slots[row.id.value - 1].experiment;
  if (lease == nullptr || experiment != progress.experiment || lease->unit != progress.unit ||
      lease->token != progress.token) {
    ignore_lease(progress.token);
    send(row.incarnation, YieldUnit{state.boot, progress.experiment, progress.unit, progress.token, false});
    return;
  }
  SlotLive& slot = slots[row.id.value - 1];
  if (lease->token.boot != state.boot) mark(Mark::kLeaseAdopted);
  slot.lease_expires = now + config.lease_ttl_ms * kMillisecond;
  if (progress.beats != slot.beats || planted(Mistake::kStallIgnored)) {
    slot.hangs_at = now + config.stall_ms * kMillisecond;
  }
  slot.beats = progress.beats;
  slot.progress = progress.at;
  if (wants_yield(*find_experiment(experiment), *lease)) {
    send(row.incarnation, YieldUnit{state.boot, experiment, lease->unit, lease->token, true});
  }
}

void Core::Impl::handle(const Heartbeat& event) {
  WorkerRow* row = present(event.incarnation);
  if (row == nullptr) return ignore(Ignored::kUnknownIncarnation);  // it says hello once it notices the silence
  heard(row->id);
  const LeaseRow* lease = open_lease(row->id);
  SlotLive& slot = slots[row->id.value - 1];
  bool renewed = false;
  for (const Progress& progress : event.units) {
    renewed |= lease != nullptr && progress.token == lease->token;
    named(*row, progress);
  }
  if (lease == nullptr || renewed) return;
  if (planted(Mistake::kHeartbeatRenewsAll)) slot.lease_expires = now + config.lease_ttl_ms * kMillisecond;
  if (now - slot.since < config.heartbeat_ms * kMillisecond) return;  // they may have crossed on the way
  send(row->incarnation, run_unit(*find_experiment(index.slots[row->id.value - 1].experiment), *lease));
}

void Core::Impl::handle(const WorkerBye& event) {
  WorkerRow* row = present(event.incarnation);
  row != nullptr ? lose(*row, Fault::kNone, event.reason) : ignore(Ignored::kUnknownIncarnation);
}

void Core::Impl::handle(const WorkerGone& event) {
  WorkerRow* row = present(event.incarnation);
  if (row == nullptr) return;
  const WorkerId id = row->id;
  lose(*row, event.for_good ? Fault::kNone : Fault::kWorkerLost, event.reason);
  if (event.for_good) slots[id.value - 1].replace_at = now;
}

void Core::Impl::lose(WorkerRow& row, Fault fault, const std::string& reason) {
  const std::string why = reason.substr(0, kDetailBytesMax);
  if (const LeaseRow* lease = open_lease(row.id)) {
    // A lease of an earlier boot went down with the scheduler: that says nothing against the unit.
    if (lease->token.boot != state.boot) fault = Fault::kNone;
    release(*find_experiment(index.slots[row.id.value - 1].experiment), *lease, fault, why);
  }
  const auto held = index.slots[row.id.value - 1].holds;
  for (const auto& [experiment_id, trial_id] : held) {
    ExperimentRow& experiment = *find_experiment(experiment_id);
    TrialRow& trial = experiment.trials[trial_id.value - 1];
    if (!live(trial.state) || !head_held_by(trial, row.incarnation) || planted(Mistake::kHeldTakenForDurable)) continue;
    mark(Mark::kHeldLost);
    roll_back(experiment, trial, "worker " + row.name + " held its state, and left: " + why);
    collect(experiment, trial);
  }
  emit(WorkerLeft{row.id, row.incarnation, why});
  SlotLive& slot = slots[row.id.value - 1];
  const Instant heard_at{slot.lost_at.ns - config.worker_lost_ms * kMillisecond};
  slot = SlotLive{};
  slot.since = now;
  slot.replace_at = std::max(now, heard_at + config.replace_after_ms * kMillisecond);
}

void Core::Impl::excuse(std::int64_t ns) {
  if (ns > config.heartbeat_ms * kMillisecond) mark(Mark::kExcused);
  if (planted(Mistake::kHangNotExcused)) return;
  for (SlotLive& slot : slots) {
    for (Instant* deadline : {&slot.lost_at, &slot.replace_at, &slot.lease_expires, &slot.hangs_at}) {
      if (*deadline != kNever) *deadline = *deadline + ns;
    }
  }
}

void Core::Impl::expire() {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    SlotLive& slot = slots[i];
    if (slot.lost_at <= now) {
      mark(Mark::kSilentLost);
      lose(state.workers[i], Fault::kWorkerLost, "it was silent for too long");
    }
    if (slot.replace_at <= now) {
      slot.replace_at = kNever;
      place_dirty = !planted(Mistake::kLostNeverReplaced);
    }
    const LeaseRow* lease = open_lease(state.workers[i].id);
    if (lease != nullptr && slot.hangs_at <= now) {
      mark(Mark::kTrainerHangs);
      WorkerRow& row = state.workers[i];
      const std::string reason =
          "its trainer hangs: no batch was done for " + std::to_string(config.stall_ms / 1000) + " s";
      send(row.incarnation, Refused{reason});  // it ends, and is started again by whoever keeps it
      lose(row, Fault::kWorkerLost, reason);
      continue;
    }
    if (lease != nullptr && slot.lease_expires <= now && !planted(Mistake::kExpiryForgotten)) {
      mark(Mark::kLeaseExpired);
      ++counts.lease_expirations;
      release(*find_experiment(index.slots[i].experiment), *lease, Fault::kWorkerLost, "its lease expired");
    }
  }
  if (settle_until <= now) {
    settle_until = kNever;
    settled = true;
    place_dirty = true;
  }
  for (std::size_t i = 0; i < index.live.size(); ++i) {
    ExperimentRow& experiment = *find_experiment(index.live[i]);
    ExperimentLive& volatile_side = live_of(experiment.id);
    dirty |= std::erase_if(volatile_side.backing_off, [&](const auto& entry) { return entry.second <= now; }) > 0;
    if (volatile_side.stop_at > now) continue;
    volatile_side.stop_at = kNever;
    if (experiment.state == ExperimentState::kRunning) stop(experiment, "its time budget is spent");
  }
}

void Core::Impl::send_places(const WorkerRow& row) {
  for (const auto& [name, dataset] : index.datasets) {
    if (row.id.value - 1 < dataset.held.size() && !dataset.held[row.id.value - 1].empty()) send_place(row, name);
  }
}

void Core::Impl::send_place(const WorkerRow& row, const std::string& dataset) {
  const std::size_t place = row.id.value - std::size_t{1};
  const auto& held = index.datasets[dataset].held;
  send(row.incarnation, Place{state.boot, dataset, state.datasets[dataset].info.identity,
                              place < held.size() ? held[place] : std::vector<PartitionIndex>{}});
}

}  // namespace modelhop
