#include "scheduler/sim/simulation.h"

#include <algorithm>
#include <cstdio>

#include "scheduler/sim/fake_trainer.h"

namespace modelhop::sim {

const char* to_string(EventKind kind) {
  static constexpr const char* kNames[kEventKinds] = {
      "to_scheduler", "to_worker",       "scheduler_tick", "worker_wake",    "unit_end",
      "state_saved",  "commit",          "state_deleted",  "client",         "fault",
      "worker_start", "scheduler_start", "garbage_listed", "garbage_deleted"};
  return kNames[static_cast<std::size_t>(kind)];
}

Simulation::Simulation(Plan plan, bool trace)
    : plan_(std::move(plan)), trace_(trace), rng_(plan_.seed, Purpose::kSimulator, 2), auditor_(plan_) {
  const auto twins = std::count_if(plan_.faults.begin(), plan_.faults.end(),
                                   [](const PlannedFault& f) { return f.kind == FaultKind::kWorkerDoubled; });
  workers_.resize(plan_.workers + static_cast<std::size_t>(twins));
  for (std::uint32_t w = 0; w < plan_.workers; ++w) workers_[w].as = w;
}

Outcome Simulation::run() {
  at(0, EventKind::kSchedulerStart);
  at(1, EventKind::kClient);
  for (std::uint32_t w = 0; w < plan_.workers; ++w) {
    at(static_cast<std::int64_t>(draw(0, 3'000)) * kMillisecond, EventKind::kWorkerStart, w);
  }
  for (std::size_t i = 0; i < plan_.faults.size(); ++i) at(plan_.faults[i].at_ns, EventKind::kFault, 0, 0, i);
  for (const PlannedExperiment& e : plan_.experiments) {
    if (e.poison.kind == Poison::kFaults || e.poison.kind == Poison::kInvalid) count(FaultKind::kPoisonTrial);
    if (e.poison.kind == Poison::kKills) count(FaultKind::kPoisonUnit);
  }
  const std::int64_t give_up_ns = plan_.horizon_ns + 3'600 * kSecond;
  while (!queue_.empty() && outcome_.violations.empty()) {
    const Item item = queue_.top();
    queue_.pop();
    now_ = {item.at_ns};
    ++outcome_.events;
    ++outcome_.events_by_kind[static_cast<std::size_t>(item.kind)];
    mix_trace(static_cast<std::uint64_t>(item.at_ns) * 16 + static_cast<std::uint64_t>(item.kind));
    handle(item);
    if (over()) break;
    if (now_.ns > give_up_ns) {
      outcome_.violations.push_back("not all experiments ended an hour after the last fault");
    }
  }
  if (outcome_.violations.empty()) {
    auditor_.at_end(core_->state());
    check_replay();
    check_store_at_end();
    check();
  }
  outcome_.journal = std::move(journal_);
  return std::move(outcome_);
}

// All experiments ended, the deletions done and the workers idle: nothing more can happen.
bool Simulation::over() const {
  if (core_ == nullptr) return false;
  const State& state = core_->state();
  if (state.experiments.size() < plan_.experiments.size() || !forks_wanted_.empty()) return false;
  if (extend_wanted_[0] || extend_wanted_[1]) return false;
  for (const ExperimentRow& experiment : state.experiments) {
    const bool deleted = experiment.state == ExperimentState::kDeleted;
    if (!experiment.ended() || !experiment.deleting.empty()) return false;
    if (plan_.experiments[experiment.id.value - 1].delete_at_end && !deleted) return false;
    if (wants_retry(experiment.id.value - 1)) return false;
  }
  for (const Worker& worker : workers_) {
    if (worker.core && worker.core->running() && !worker.trainer.hangs) return false;
  }
  return true;
}

bool Simulation::wants_retry(std::size_t experiment) const {
  const ExperimentRow& row = core_->state().experiments[experiment];
  const bool broken_off = row.state == ExperimentState::kStopped || row.state == ExperimentState::kCanceled;
  if (!plan_.experiments[experiment].retry || retried_[experiment] || !broken_off) return false;
  return std::any_of(row.trials.begin(), row.trials.end(),
                     [&](const TrialRow& trial) { return broken_off_with(row, trial); });
}

void Simulation::at(std::int64_t delay_ns, EventKind kind, std::uint32_t target, std::uint32_t life,
                    std::uint64_t payload) {
  queue_.push({now_.ns + delay_ns, order_++, kind, target, life, payload});
}

void Simulation::handle(const Item& item) {
  const bool of_scheduler = item.kind == EventKind::kToScheduler || item.kind == EventKind::kSchedulerTick ||
                            item.kind == EventKind::kCommit || item.kind == EventKind::kStateDeleted ||
                            item.kind == EventKind::kClient || item.kind == EventKind::kGarbageListed ||
                            item.kind == EventKind::kGarbageDeleted;
  if (of_scheduler && core_ != nullptr && now_ < scheduler_hung_until_) {  // all of it waits, in order
    if (item.kind == EventKind::kSchedulerTick && item.at_ns == tick_at_.ns) tick_at_ = scheduler_hung_until_;
    queue_.push({scheduler_hung_until_.ns, order_++, item.kind, item.target, item.life, item.payload});
    return;
  }
  switch (item.kind) {
    case EventKind::kToScheduler: {
      const ToScheduler message = std::move(up_[item.payload]);
      up_free_.push_back(item.payload);
      if (core_ != nullptr) deliver_to_scheduler(message);
      break;
    }
    case EventKind::kToWorker: {
      Worker& worker = workers_[item.target];
      if (worker.life == item.life && now_ < worker.hung_until) {  // it reads this when it goes on
        queue_.push({worker.hung_until.ns, order_++, item.kind, item.target, item.life, item.payload});
        break;
      }
      const ToWorker message = std::move(down_[item.payload]);
      down_free_.push_back(item.payload);
      if (worker.life == item.life && now_ >= worker.deaf_until) step_worker(item.target, message);
      break;
    }
    case EventKind::kSchedulerTick:
      if (item.life != scheduler_life_ || core_ == nullptr || item.at_ns != tick_at_.ns) break;
      tick_at_ = {INT64_MAX};
      if (core_wake_ && *core_wake_ > now_) {
        tick_at_ = *core_wake_;
        queue_.push({tick_at_.ns, order_++, EventKind::kSchedulerTick, 0, scheduler_life_, 0});
      } else {
        step_scheduler(Tick{});
      }
      break;
    case EventKind::kWorkerWake: {
      Worker& worker = workers_[item.target];
      if (worker.life != item.life || item.at_ns != worker.wake.ns) break;
      worker.wake = {INT64_MAX};
      const Instant due = std::max(worker.core->wake_at(), worker.hung_until);
      if (due > now_) {
        worker.wake = due;
        queue_.push({due.ns, order_++, EventKind::kWorkerWake, item.target, item.life, 0});
      } else {
        step_worker(item.target, WorkerTick{});
      }
      break;
    }
    case EventKind::kUnitEnd: {
      Worker& worker = workers_[item.target];
      if (worker.life != item.life || !worker.trainer.busy || worker.trainer.generation != item.payload) break;
      if (now_ < worker.hung_until) {
        queue_.push({worker.hung_until.ns, order_++, item.kind, item.target, item.life, item.payload});
      } else {
        end_unit(item.target);
      }
      break;
    }
    case EventKind::kStateSaved: {
      const Worker& worker = workers_[item.target];
      if (worker.life != item.life) break;
      if (now_ < worker.hung_until) {
        queue_.push({worker.hung_until.ns, order_++, item.kind, item.target, item.life, item.payload});
      } else {
        saved(item.target, item.payload);
      }
      break;
    }
    case EventKind::kCommit:
      if (item.life == scheduler_life_ && core_ != nullptr) committed(item.payload);
      break;
    case EventKind::kStateDeleted: {
      const StateRef gone = deleting_[item.payload];
      store_.erase(store_key(gone));
      if (item.life == scheduler_life_ && core_ != nullptr) step_scheduler(StateGone{gone});
      break;
    }
    case EventKind::kClient:
      client(item.payload);
      break;
    case EventKind::kFault:
      inject(plan_.faults[item.payload]);
      break;
    case EventKind::kWorkerStart:
      if (workers_[item.target].life == 0 && !workers_[item.target].gone_for_good) start_worker(item.target);
      break;
    case EventKind::kSchedulerStart:
      if (core_ == nullptr) start_scheduler();
      break;
    case EventKind::kGarbageListed:
      garbage_listed(item.payload);
      break;
    case EventKind::kGarbageDeleted:
      garbage_deleted(item.payload);
      break;
  }
}

void Simulation::inject(const PlannedFault& fault) {
  say(std::string("fault ") + to_string(fault.kind) + " " + std::to_string(fault.target));
  if (fault.kind < FaultKind::kSchedulerCrashed) return inject_into_worker(fault);
  switch (fault.kind) {
    case FaultKind::kSchedulerCrashed:
      if (core_ == nullptr) return;
      crash_scheduler(fault.lasts_ns);
      break;
    case FaultKind::kSchedulerKilledBetween:
      dies_in_ = draw(1, 12);
      down_ns_ = fault.lasts_ns;
      return;  // counted when it happens
    case FaultKind::kSchedulerDrained:
      if (core_ == nullptr || now_ < scheduler_hung_until_) return;
      step_scheduler(DrainAll{});
      draining_ = core_ != nullptr;
      break;
    case FaultKind::kSchedulerHung:
      if (core_ == nullptr || now_ < scheduler_hung_until_) return;
      scheduler_hung_until_ = now_ + fault.lasts_ns;
      auditor_.scheduler_hung(fault.lasts_ns);
      break;
    case FaultKind::kClockJumped:
      wall_offset_ms_ += (draw(0, 1) == 1 ? 1 : -1) * fault.lasts_ns / kMillisecond;
      break;
    case FaultKind::kSlowDisk:
      slow_disk_until_ = now_ + fault.lasts_ns;
      break;
    case FaultKind::kSlowStore:
      slow_store_until_ = now_ + fault.lasts_ns;
      break;
    case FaultKind::kStateDamaged:
      if (!damage_a_state()) return;
      break;
    case FaultKind::kPause:
      pause_until_[fault.target] = now_ + fault.lasts_ns;
      break;
    case FaultKind::kTrialPause:
      trials_paused_.push_back({fault.target, now_ + fault.lasts_ns});
      break;
    case FaultKind::kWorkerDrainAsked:
      workers_drained_.push_back({fault.target, now_ + fault.lasts_ns});
      break;
    case FaultKind::kStop:
      stop_wanted_[fault.target] = true;
      break;
    case FaultKind::kCancel:
      cancel_wanted_[fault.target] = true;
      break;
    case FaultKind::kFork:
      forks_wanted_.push_back({{fault.target + std::uint64_t{1}}, draw(1, 8), ++forks_});
      break;
    case FaultKind::kExtend:
      extend_wanted_[fault.target] = true;
      break;
    case FaultKind::kGarbageCollected:
      if (core_ == nullptr) return;
      list_garbage();
      break;
    default:
      return;
  }
  count(fault.kind);
}

void Simulation::inject_into_worker(const PlannedFault& fault) {
  Worker& worker = workers_[fault.target];
  const bool alive = worker.life != 0;
  if (fault.kind == FaultKind::kWorkerGoneForGood) {
    worker.gone_for_good = true;
    if (alive) kill_worker(fault.target, 0, draw(0, 1) == 1);
    return count(fault.kind);
  }
  if (!alive) return;
  switch (fault.kind) {
    case FaultKind::kWorkerKilled:
      kill_worker(fault.target, fault.lasts_ns, draw(0, 1) == 1);
      break;
    case FaultKind::kWorkerKilledBetween:
      worker.dies_in = draw(1, 8);
      worker.down_ns = fault.lasts_ns;
      return;  // counted when it happens
    case FaultKind::kWorkerDoubled: {
      const auto twin =
          std::find_if(workers_.begin() + plan_.workers, workers_.end(), [](const Worker& w) { return w.lives == 0; });
      if (twin == workers_.end()) return;
      twin->as = fault.target;
      twin->gone_for_good = true;  // once it is refused
      start_worker(static_cast<std::uint32_t>(twin - workers_.begin()));
      break;
    }
    case FaultKind::kWorkerHung:
      worker.hung_until = now_ + fault.lasts_ns;
      break;
    case FaultKind::kWorkerDeaf:
      worker.deaf_until = now_ + fault.lasts_ns;
      break;
    case FaultKind::kWorkerMute:
      worker.mute_until = now_ + fault.lasts_ns;
      break;
    case FaultKind::kWorkerCut:
      worker.deaf_until = worker.mute_until = now_ + fault.lasts_ns;
      break;
    case FaultKind::kTrainerHung:
      if (!worker.trainer.busy) return;
      ++worker.trainer.generation;  // the end that was planned never comes
      worker.trainer.hangs = true;
      break;
    case FaultKind::kWorkerDrained:
      if (now_ < worker.hung_until) return;
      step_worker(fault.target, WorkerDrain{});
      break;
    default:
      return;
  }
  count(fault.kind);
}

// Of a trial that lives: the one it goes on from.
bool Simulation::damage_a_state() {
  if (core_ == nullptr) return false;
  for (const ExperimentRow& experiment : core_->state().experiments) {
    std::vector<const TrialRow*> candidates;
    for (const TrialRow& trial : experiment.trials) {
      if (live(trial.state) && trial.head.hash && store_.contains(store_key(trial.head))) {
        candidates.push_back(&trial);
      }
    }
    if (candidates.empty()) continue;
    const std::uint64_t key = store_key(candidates[draw(0, candidates.size() - 1)]->head);
    store_.erase(key);
    damaged_.insert(key);
    auditor_.state_damaged();
    return true;
  }
  return false;
}

void Simulation::check() {
  if (core_ != nullptr && ++steps_ % plan_.check_every == 0) {
    for (std::string& broken : core_->check_invariants()) outcome_.violations.push_back(std::move(broken));
    auditor_.on_step(now_);
  }
  for (std::string& violation : auditor_.violations) outcome_.violations.push_back(std::move(violation));
  auditor_.violations.clear();
}

void Simulation::mix_trace(std::uint64_t value) { outcome_.trace_hash = mix(outcome_.trace_hash ^ value); }

void Simulation::say(const std::string& line) const {
  if (trace_) std::printf("%10.3f %s\n", static_cast<double>(now_.ns) / kSecond, line.c_str());
}

}  // namespace modelhop::sim
