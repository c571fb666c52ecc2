// A step: time passes, the event is handled, and what became possible is done.
#include "scheduler/core/core.h"

#include <algorithm>

#include "common/base/check.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/tables.h"

namespace modelhop {

Core::Core(CoreConfig config, CoreHooks hooks) : impl_(std::make_unique<Impl>(config, std::move(hooks))) {}
Core::~Core() = default;
void Core::step(Instant now, WallMs wall, const Event& event, Actions& out) { impl_->step(now, wall, event, out); }
Status Core::apply(const Record& record) { return impl_->apply(record); }
Status Core::begin_serving(std::uint64_t boot, Instant now, WallMs wall, Actions& out) {
  return impl_->begin_serving(boot, now, wall, out);
}
const State& Core::state() const { return impl_->state; }
LiveAccounting Core::accounting(ExperimentId experiment, Instant now) const {
  return impl_->accounting(experiment, now);
}
const Totals& Core::totals() const { return impl_->index.totals; }
LiveCounts Core::counts(Instant now) const { return impl_->live_counts(now); }
std::vector<Core::SlotStatus> Core::slots(Instant now) const { return impl_->slot_statuses(now); }
const std::string& Core::disk_full() const { return impl_->disk_full; }
Judgement Core::judge(const StateName& name) const { return impl_->judge(name); }
bool Core::quiet() const {
  return std::none_of(impl_->index.slots.begin(), impl_->index.slots.end(),
                      [](const SlotIndex& slot) { return slot.experiment.value != 0; });
}
std::string Core::snapshot() const { return impl_->snapshot(); }
std::vector<std::string> Core::check_invariants() const { return impl_->check_invariants(); }
std::vector<std::string> Core::check_index() const {
  Index built;
  build_index(impl_->state, built);
  return differences(impl_->index, built);
}
std::vector<std::uint8_t> Core::save() const { return impl_->save(); }
Status Core::load(std::span<const std::uint8_t> bytes) { return impl_->load(bytes); }

void Core::Impl::step(Instant at, WallMs wall_at, const Event& event, Actions& actions) {
  CHECK(serving);
  const std::size_t first_send = actions.sends.size(), first_delete = actions.deletes.size();
  out = &actions;
  wall = wall_at;
  if (at > due) excuse(at - due);
  advance_accounts(std::max(at, now));
  std::visit([&](const auto& e) { handle(e); }, event);
  expire();
  settle();
  finish_step(first_send, first_delete);
}

Status Core::Impl::begin_serving(std::uint64_t boot, Instant at, WallMs wall_at, Actions& actions) {
  CHECK(!serving);
  if (boot <= state.boot) {
    return conflict("boot number " + std::to_string(boot) + " is not above the journal's " +
                    std::to_string(state.boot) +
                    ": the store's fence is behind; start with the store that this journal was written with");
  }
  const std::size_t first_send = actions.sends.size(), first_delete = actions.deletes.size();
  out = &actions;
  now = at;
  wall = wall_at;
  grow_live();
  const std::int64_t grace_ns = std::max(config.worker_lost_ms, config.lease_ttl_ms) * kMillisecond;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    slots[i].since = now;
    if (state.workers[i].present) slots[i].lost_at = now + grace_ns;
    slots[i].lease_expires = now + config.lease_ttl_ms * kMillisecond;
    slots[i].hangs_at = now + config.stall_ms * kMillisecond;
  }
  for (const ExperimentId id : index.live) recover_account(*find_experiment(id));
  serving = true;
  emit(Booted{boot, config.accept_lost_tail});
  for (const ExperimentRow& experiment : state.experiments) {
    if (planted(Mistake::kDeletionForgottenAtBoot)) break;
    for (const StateRef& deleting : experiment.deleting) {
      mark(Mark::kDeletionAskedAgain);
      actions.deletes.push_back({deleting, 0});
    }
  }
  place_dirty = true;
  settle();
  finish_step(first_send, first_delete);
  return {};
}

void Core::Impl::emit_record(RecordBody body) {
  Record record{state.seq + 1, wall, std::move(body)};
  const Status status = apply(record);
  if (!status.ok()) check_failed(__FILE__, __LINE__, status.message().c_str());
  out->records.push_back(std::move(record));
  dirty = true;
}

void Core::Impl::reply(RequestId to, Status status, ExperimentId experiment, TrialId trial) {
  out->sends.push_back({to, Reply{to, std::move(status), experiment, trial}, 0});
}

void Core::Impl::grow_live() {
  slots.resize(state.workers.size());
  experiments.resize(state.experiments.size());
}

void Core::Impl::settle() {
  if (!dirty && !place_dirty) return;
  const std::vector<ExperimentId> live_now = index.live;
  for (const ExperimentId id : live_now) {
    ExperimentRow& experiment = *find_experiment(id);
    ask_search(experiment);
    finish_if_done(experiment);
  }
  if (place_dirty) place();
  assign();
  if (place_dirty) {  // a first lease bound a numeric profile, or a move waits for a lease
    place();
    assign();
  }
  count_idle();
  dirty = std::any_of(index.live.begin(), index.live.end(), [&](ExperimentId id) {
    return find_experiment(id)->state == ExperimentState::kRunning && live_of(id).ask_search;
  });
}

void Core::Impl::finish_step(std::size_t first_send, std::size_t first_delete) {
  // One rule for all: what is said now leaves when all that is decided now is durable.
  for (std::size_t i = first_send; i < out->sends.size(); ++i) {
    Send& message = out->sends[i];
    message.after_seq = state.seq;
    if (ToWorker* to_worker = std::get_if<ToWorker>(&message.message)) {
      const auto witness = [&](auto& body) {
        if constexpr (requires { body.seq; }) body.seq = state.seq;
      };
      std::visit(witness, *to_worker);
    }
    if (planted(Mistake::kSendBeforeDurable)) message.after_seq = 0;
    if (planted(Mistake::kDismissBeforeDurable)) {
      const ToWorker* to_worker = std::get_if<ToWorker>(&message.message);
      if (to_worker != nullptr && std::holds_alternative<Dismiss>(*to_worker)) message.after_seq = 0;
    }
  }
  for (std::size_t i = first_delete; i < out->deletes.size(); ++i) out->deletes[i].after_seq = state.seq;
  due = next_wake();
  out->wake_at = due == kNever ? std::nullopt : std::optional(due);
  out = nullptr;
}

Instant Core::Impl::next_wake() const {
  if (dirty) return now;
  Instant wake = settle_until;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    // Every heartbeat's time, so that coming late shows how long this process was stopped.
    if (state.workers[i].present) wake = std::min(wake, now + config.heartbeat_ms * kMillisecond);
    wake = std::min({wake, slots[i].lost_at, slots[i].replace_at});
    if (index.slots[i].experiment && !planted(Mistake::kExpiryForgotten))
      wake = std::min({wake, slots[i].lease_expires, slots[i].hangs_at});
  }
  for (const ExperimentId id : index.live) {
    wake = std::min(wake, experiments[id.value - 1].stop_at);
    for (const auto& [trial, until] : experiments[id.value - 1].backing_off) wake = std::min(wake, until);
  }
  return wake;
}

void Core::Impl::handle(const StateGone& event) {
  const ExperimentRow* experiment = find_experiment(event.state.experiment);
  if (experiment == nullptr) return;
  const auto& deleting = experiment->deleting;
  if (std::find(deleting.begin(), deleting.end(), event.state) != deleting.end()) emit(StateDeleted{event.state});
}

void Core::Impl::handle(const DiskSpace& event) {
  disk_full = event.low ? event.what : "";
  dirty = true;
}

void Core::Impl::handle(const DrainAll&) {
  draining = true;
  dirty = true;
  for (std::size_t i = 0; i < index.slots.size(); ++i) {
    const LeaseRow* lease = open_lease(state.workers[i].id);
    if (lease == nullptr) continue;
    send(lease->incarnation, YieldUnit{state.boot, index.slots[i].experiment, lease->unit, lease->token, true});
  }
}

}  // namespace modelhop
