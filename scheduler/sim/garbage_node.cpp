// gc as the server does it: the store is listed, the list judged by what the scheduler knows then, and what may go is
// deleted a few at a time once that is durable. Any time may pass between; the last few may still go when the scheduler
// is gone, as a process does that was stopped for a while.
#include <algorithm>

#include "scheduler/sim/fake_trainer.h"
#include "scheduler/sim/simulation.h"

namespace modelhop::sim {
namespace {

constexpr std::size_t kGarbageAtOnce = 3;

}  // namespace

void Simulation::put_into_store(const StateRef& state) {
  store_.emplace(store_key(state), state);
  damaged_.erase(store_key(state));
}

void Simulation::list_garbage() {
  Garbage pass;
  for (const auto& [key, state] : store_) pass.states.push_back(state);
  pass.life = scheduler_life_;
  garbage_.push_back(std::move(pass));
  at(static_cast<std::int64_t>(draw(1, 2'000)) * kMillisecond, EventKind::kGarbageListed, 0, 0, garbage_.size() - 1);
}

void Simulation::garbage_listed(std::uint64_t number) {
  Garbage& pass = garbage_[number];
  if (core_ == nullptr || pass.life != scheduler_life_) return;  // it went down with its process
  std::erase_if(pass.states,
                [&](const StateRef& state) { return core_->judge(name_of(state, plan_.partitions)).keep; });
  pass.judged = true;
  pass.after_seq = core_->state().seq;
  delete_garbage_once_durable();
}

void Simulation::delete_garbage_once_durable() {
  for (std::size_t i = 0; i < garbage_.size(); ++i) {
    Garbage& pass = garbage_[i];
    if (!pass.judged || pass.deleting || pass.life != scheduler_life_ || pass.after_seq > durable_seq_) continue;
    pass.deleting = true;
    at(static_cast<std::int64_t>(draw(1, 1'500)) * kMillisecond, EventKind::kGarbageDeleted, 0, 0, i);
  }
}

void Simulation::garbage_deleted(std::uint64_t number) {
  Garbage& pass = garbage_[number];
  for (std::size_t n = 0; n < kGarbageAtOnce && !pass.states.empty(); ++n) {
    store_.erase(store_key(pass.states.back()));
    if (trace_) say("gc deletes " + to_string(pass.states.back().experiment, pass.states.back().trial));
    mix_trace(low_lane(pass.states.back().hash));
    pass.states.pop_back();
  }
  check_stored();
  if (pass.states.empty() || pass.life != scheduler_life_) return;
  at(static_cast<std::int64_t>(draw(1, 1'500)) * kMillisecond, EventKind::kGarbageDeleted, 0, 0, number);
}

void Simulation::check_stored() {
  if (core_ == nullptr) return;
  for (const ExperimentRow& experiment : core_->state().experiments) {
    for (const TrialRow& trial : experiment.trials) {
      for (const SavedState& saved : trial.stored) check_in_store(saved.ref);
    }
  }
}

// One more gc when all has ended: then the store holds what the journal says, and nothing else.
void Simulation::check_store_at_end() {
  std::erase_if(store_, [&](const auto& entry) { return !core_->judge(name_of(entry.second, plan_.partitions)).keep; });
  check_stored();
  std::unordered_set<std::uint64_t> known;
  for (const ExperimentRow& experiment : core_->state().experiments) {
    for (const TrialRow& trial : experiment.trials) {
      for (const SavedState& saved : trial.stored) known.insert(store_key(saved.ref));
      for (const HeldState& held : trial.held) known.insert(store_key(held.saved.ref));
    }
  }
  for (const auto& [key, state] : store_) {
    if (known.contains(key)) continue;
    outcome_.violations.push_back("a state of " + to_string(state.experiment, state.trial) +
                                  " that nothing needs is left in the store");
  }
}

}  // namespace modelhop::sim
