// A worker's process: the real WorkerCore, and a trainer that takes virtual time.
#include <algorithm>

#include "scheduler/sim/fake_trainer.h"
#include "scheduler/sim/simulation.h"

namespace modelhop::sim {

Incarnation Simulation::incarnation(std::uint32_t index) const {
  Incarnation result;
  result.bytes[0] = static_cast<std::uint8_t>(index);
  result.bytes[1] = static_cast<std::uint8_t>(workers_[index].life);
  result.bytes[2] = static_cast<std::uint8_t>(workers_[index].life >> 8);
  result.bytes[15] = 1;
  return result;
}

void Simulation::start_worker(std::uint32_t index) {
  Worker& worker = workers_[index];
  worker.life = ++worker.lives;
  if (worker.life > 1) count(FaultKind::kWorkerReturned);
  worker.hung_until = worker.deaf_until = worker.mute_until = now_;
  worker.dies_in = 0;
  worker.trainer = Trainer{};
  worker.wake = {INT64_MAX};
  worker.memory.clear();
  worker.saved_at_ns = 0;
  WorkerConfig config;
  config.name = std::string("w") + static_cast<char>('1' + worker.as);
  config.incarnation = incarnation(index);
  config.profile.bytes[0] = static_cast<std::uint8_t>(1 + worker.as % plan_.profiles);
  config.silence_ms = 3'000;
  config.drain_ms = 5'000;
  worker.core.emplace(config);
  step_worker(index, WorkerTick{});
}

void Simulation::kill_worker(std::uint32_t index, std::int64_t down_ns, bool told) {
  Worker& worker = workers_[index];
  const Incarnation who = incarnation(index);
  worker.life = 0;
  worker.core.reset();
  worker.trainer = Trainer{};
  if (!worker.gone_for_good) at(down_ns, EventKind::kWorkerStart, index);
  if (told && core_ != nullptr && now_ >= scheduler_hung_until_)
    step_scheduler(WorkerGone{who, "its connection closed"});
}

void Simulation::step_worker(std::uint32_t index, const WorkerEvent& event) {
  std::vector<WorkerAction> actions;
  workers_[index].core->step(now_, event, actions);
  for (std::string& broken : workers_[index].core->check_invariants()) outcome_.violations.push_back(std::move(broken));
  for (WorkerAction& action : actions) {
    if (workers_[index].dies_in > 0 && --workers_[index].dies_in == 0) {
      count(FaultKind::kWorkerKilledBetween);
      return kill_worker(index, workers_[index].down_ns, false);
    }
    if (auto* message = std::get_if<ToScheduler>(&action)) to_scheduler(index, *message);
    if (const auto* start = std::get_if<StartUnit>(&action)) start_unit(index, start->run);
    if (const auto* stop = std::get_if<StopUnit>(&action)) stop_unit(index, *stop);
    if (std::holds_alternative<Exit>(action)) {
      kill_worker(index, static_cast<std::int64_t>(draw(50, 3'000)) * kMillisecond, false);
      return;
    }
  }
  Worker& worker = workers_[index];
  if (worker.life == 0) return;
  const Instant due = std::max({worker.core->wake_at(), worker.hung_until, now_});
  if (due < worker.wake) {
    worker.wake = due;
    queue_.push({due.ns, order_++, EventKind::kWorkerWake, index, worker.life, 0});
  }
}

void Simulation::start_unit(std::uint32_t index, const RunUnit& run) {
  Trainer& trainer = workers_[index].trainer;
  if (trainer.busy) outcome_.violations.push_back("a worker was told to train two units at once");
  const Unit& unit = run.lease.unit;
  const StateRef& parent = unit.members[0].parent;
  const Poison& poison = plan_.experiments[unit.experiment.value - 1].poison;
  const std::uint64_t visit = std::uint64_t{parent.at.epoch} * plan_.partitions + parent.at.visit;
  const bool poisoned = poison.kind != Poison::kNone && poison.trial == unit.members[0].trial && poison.visit == visit;
  const std::uint64_t generation = trainer.generation + 1;
  trainer = Trainer{};
  trainer.run = run;
  trainer.generation = generation;
  trainer.busy = true;
  trainer.started = now_ + static_cast<std::int64_t>(draw(1, 20)) * kMillisecond;  // hop and load
  trainer.from = parent.at.batch;
  trainer.all = trainer.until = plan_.batches[unit.partition.value];
  trainer.lost =
      parent.hash && !store_.contains(store_key(parent)) && !workers_[index].memory.contains(store_key(parent));
  trainer.fault = poisoned && poison.kind != Poison::kKills;
  trainer.dies = poisoned && poison.kind == Poison::kKills;
  if (!trainer.fault && !trainer.dies && permille(plan_.user_fault_permille)) {
    trainer.fault = true;
    count(FaultKind::kUserFault);
  }
  schedule_end(index);
}

void Simulation::schedule_end(std::uint32_t index) {
  Worker& worker = workers_[index];
  Trainer& trainer = worker.trainer;
  std::int64_t batches = trainer.until - trainer.from;
  if (trainer.fault || trainer.dies) batches = std::min<std::int64_t>(batches, 1);
  const std::int64_t end = trainer.started.ns + batches * plan_.batch_ns[worker.as];
  ++trainer.generation;
  queue_.push({std::max(end, now_.ns), order_++, EventKind::kUnitEnd, index, worker.life, trainer.generation});
}

void Simulation::stop_unit(std::uint32_t index, const StopUnit& stop) {
  Trainer& trainer = workers_[index].trainer;
  const std::int64_t batch_ns = plan_.batch_ns[workers_[index].as];
  if (!trainer.busy || trainer.hangs || trainer.run.lease.token != stop.token) return;
  trainer.keep = stop.keep;
  const std::int64_t passed = std::max<std::int64_t>(0, now_ - trainer.started);
  const std::int64_t done = (passed + batch_ns - 1) / batch_ns;  // the batch that runs ends first
  trainer.until = static_cast<std::uint32_t>(std::min<std::int64_t>(trainer.until, trainer.from + done));
  schedule_end(index);
}

void Simulation::end_unit(std::uint32_t index) {
  Trainer& trainer = workers_[index].trainer;
  const Unit& unit = trainer.run.lease.unit;
  UnitReport report;
  report.experiment = unit.experiment;
  report.unit = unit.id;
  report.token = trainer.run.lease.token;
  const StateRef& parent = unit.members[0].parent;
  trainer.busy = false;
  if (trainer.dies && trainer.keep) {
    say("w" + std::to_string(index + 1) + " is killed by its unit");
    const bool told = draw(0, 1) == 1;  // drawn by itself: the order of arguments is the compiler's
    kill_worker(index, static_cast<std::int64_t>(draw(50, 3'000)) * kMillisecond, told);
    return;
  }
  report.times.train_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(0, now_ - trainer.started));
  if (trainer.lost) {
    report.fault = Fault::kHashMismatch;
    report.detail = "the parent state is not in the store";
  } else if (trainer.fault) {
    const Poison& poison = plan_.experiments[unit.experiment.value - 1].poison;
    report.fault = poison.kind == Poison::kInvalid ? Fault::kInvalidParams : Fault::kUserCode;
    report.detail = "planned";
  } else if (trainer.keep || trainer.until == trainer.all) {
    MemberResult member;
    member.state = parent;
    member.state.trial = unit.members[0].trial;
    member.state.lineage = unit.members[0].lineage;
    member.yielded = trainer.until < trainer.all;
    if (trainer.until > trainer.from) {
      Sum loss{"loss", 0, 0};
      if (!unit.members[0].train.empty()) loss = unit.members[0].train[0];
      train(member.state, unit.partition, plan_, trainer.until, loss, trainer.run.recipes[0]);
      member.train = {loss};
      const bool behind = workers_[index].memory.size() >= kSavesWaitingMax;
      member.durable = member.yielded || unit.then_evaluate || behind;
      if (member.durable) {
        put_into_store(member.state);
        report.times.save_ns = kMillisecond;
      } else {
        save(index, member.state, report.token);
      }
    } else {
      member.state = parent;
    }
    if (!member.yielded && unit.then_evaluate) member.validation = validate(member.state);
    report.members.push_back(std::move(member));
  }
  step_worker(index, UnitEnded{std::move(report)});
}

void Simulation::save(std::uint32_t index, const StateRef& state, Token token) {
  Worker& worker = workers_[index];
  worker.memory.insert(store_key(state));
  std::int64_t lasts_ns = static_cast<std::int64_t>(draw(1, 100)) * kMillisecond;
  if (now_ < slow_store_until_) lasts_ns += static_cast<std::int64_t>(draw(100, 5'000)) * kMillisecond;
  worker.saved_at_ns = std::max(worker.saved_at_ns, now_.ns) + lasts_ns;
  saving_.push_back({state, token, lasts_ns});
  queue_.push({worker.saved_at_ns, order_++, EventKind::kStateSaved, index, worker.life, saving_.size() - 1});
}

void Simulation::saved(std::uint32_t index, std::uint64_t payload) {
  const Saving& saving = saving_[payload];
  put_into_store(saving.state);
  workers_[index].memory.erase(store_key(saving.state));
  step_worker(index, StateSaved{saving.token, static_cast<std::uint64_t>(saving.lasts_ns)});
}

}  // namespace modelhop::sim
