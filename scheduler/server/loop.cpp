#include "scheduler/server/loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "common/base/limits.h"
#include "common/state/state_file.h"
#include "common/store/snapshot_file.h"
#include "scheduler/server/recovery.h"
#include "scheduler/server/store_view.h"

namespace modelhop {
namespace {

constexpr std::int64_t kIdleNs = kSecond;             // the longest wait where the core names no time
constexpr std::int64_t kClosedGraceNs = 3 * kSecond;  // a worker that lives connects again within kLinkReconnectMaxMs

std::uint64_t since(Instant at) { return static_cast<std::uint64_t>(std::max<std::int64_t>(0, monotonic_now() - at)); }

const Incarnation& incarnation_of(const ToScheduler& message) {
  return std::visit([](const auto& body) -> const Incarnation& { return body.incarnation; }, message);
}

// What one looks for in the log at 3 a.m.; the journal has the rest.
bool is_notable(const RecordBody& body) {
  return std::holds_alternative<WorkerJoined>(body) || std::holds_alternative<WorkerLeft>(body) ||
         std::holds_alternative<ExperimentStateChanged>(body) || std::holds_alternative<UnitReleased>(body) ||
         std::holds_alternative<UnitParked>(body) || std::holds_alternative<TrialEnded>(body);
}

Event event_of(ToScheduler message) {
  return std::visit([](auto&& body) -> Event { return std::forward<decltype(body)>(body); }, std::move(message));
}

Result<Recovery> recover_on(const LoopConfig& config, spdlog::logger& log) {
  const CoreConfig& core = config.core;
  const Instant before = monotonic_now();
  Result<Recovery> recovery = recover(config.state_dir, core);
  if (recovery.status().code() == Code::kNotFound) return Recovery{std::make_unique<Core>(core), {}, 0, {}};
  if (!recovery.ok()) return recovery;
  for (const std::string& note : recovery->notes) log.warn("{}", note);
  if (core.accept_lost_tail) RETURN_IF_ERROR(remove_snapshots_after(config.state_dir, recovery->end.seq));
  log.info("{} records, read from {} in {:.0f} ms", recovery->end.seq,
           recovery->snapshot == 0 ? "the first" : "snapshot " + std::to_string(recovery->snapshot),
           static_cast<double>(monotonic_now() - before) / kMillisecond);
  return recovery;
}

}  // namespace

Loop::Loop(std::unique_ptr<ServerLink> link, std::unique_ptr<Core> core, std::unique_ptr<Journal> journal,
           TaskThread& side, BlobStore& store, spdlog::logger& log)
    : link_(std::move(link)),
      core_(std::move(core)),
      side_(side),
      store_(store),
      log_(log),
      journal_(std::move(journal)) {}

Result<std::unique_ptr<Loop>> Loop::open(const LoopConfig& config, BlobStore& store, TaskThread& side,
                                         spdlog::logger& log) {
  ASSIGN_OR_RETURN(FileLock lock, lock_state_dir(config.state_dir));
  ASSIGN_OR_RETURN(Recovery recovery, recover_on(config, log));
  ASSIGN_OR_RETURN(std::unique_ptr<Journal> journal,
                   open_journal(std::move(lock), config.state_dir, {kJournalQueueMax, recovery.end}));
  std::unique_ptr<Core> core = std::move(recovery.core);
  FenceClaim claim{{}, {}, core->state().boot, core->state().seq, config.core.accept_lost_tail};
  ASSIGN_OR_RETURN(claim.owner, fence_identity(config.state_dir, journal->cluster()));
  // Looked at first, since who already serves this store most likely has the port too.
  RETURN_IF_ERROR(may_claim_fence(store, claim));
  ASSIGN_OR_RETURN(std::unique_ptr<ServerLink> link, ServerLink::listen(config.listen, config.keys));
  claim.address = link->address();
  ASSIGN_OR_RETURN(const Fence fence, claim_fence(store, claim));
  log.info("boot {} at record {}, listening on {}", fence.boot, core->state().seq, link->address());
  std::unique_ptr<Loop> loop(new Loop(std::move(link), std::move(core), std::move(journal), side, store, log));
  loop->snapshots_.emplace(SnapshotConfig{config.state_dir, config.snapshot_every, config.history_max},
                           recovery.snapshot, *loop->journal_, log);
  RETURN_IF_ERROR(loop->begin_on_loop(fence, config));
  return loop;
}

Status Loop::begin_on_loop(const Fence& fence, const LoopConfig& config) {
  fence_.emplace(store_, fence, config.fence_renew_ns,
                 FenceKeeper::Callbacks{[this] { return journal_->durable_seq(); }, config.on_fenced,
                                        [this](const std::string& line) { log_.warn("{}", line); }});
  journal_->on_durable([this, on_durable = config.on_durable](std::uint64_t seq) {
    link_->wake();
    if (on_durable) on_durable(seq);
  });
  outbox_.release(journal_->durable_seq());
  Actions actions;
  RETURN_IF_ERROR(core_->begin_serving(fence.boot, monotonic_now(), wall_now(), actions));
  carry_out_on_loop(actions);
  return {};
}

void Loop::run() {
  for (;;) {
    const Result<std::vector<ServerLink::Received>> received = link_->receive(timeout_on_loop());
    if (!received.ok()) {
      log_.error("{}", received.status().message());
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // what the link waits for may come back
    } else {
      for (const ServerLink::Received& one : *received) on_frame_on_loop(one);
    }
    heed_keys_on_loop();
    heed_closed_on_loop();
    std::vector<Posted> tasks;
    bool ending = false;
    {
      std::lock_guard guard(mutex_);
      tasks.swap(tasks_);
      ending = ending_;
    }
    for (const Posted& posted : tasks) {
      figures_.lag.add(since(posted.at));
      posted.task(*this);
    }
    if (wake_at_ && monotonic_now() >= *wake_at_) {
      figures_.lag.add(since(*wake_at_));
      wake_at_.reset();
      step_on_loop(Tick{});
    }
    if (ending) journal_->flush();
    outbox_.release(journal_->durable_seq());
    delete_some_on_loop(ending);
    if (!ending) continue;
    std::lock_guard guard(mutex_);
    if (!tasks_.empty() || !outbox_.empty()) continue;
    ended_ = true;
    return;
  }
}

void Loop::close() { fence_->release(); }

void Loop::end() {
  {
    std::lock_guard guard(mutex_);
    ending_ = true;
  }
  link_->wake();
}

bool Loop::post(Task task) {
  {
    std::lock_guard guard(mutex_);
    if (ended_) return false;
    tasks_.push_back({monotonic_now(), std::move(task)});
  }
  link_->wake();
  return true;
}

std::int64_t Loop::timeout_on_loop() const {
  const Instant now = monotonic_now();
  std::int64_t wait = kIdleNs;
  if (wake_at_) wait = std::min(wait, *wake_at_ - now);
  for (const auto& [worker, gone_at] : closed_) wait = std::min(wait, gone_at - now);
  return std::max<std::int64_t>(wait, 0);
}

// A bad frame is its sender's fault: counted, and logged as often as a power of two is reached.
void Loop::on_frame_on_loop(const ServerLink::Received& received) {
  ++frames_;
  closed_.erase(received.from);
  Result<ToScheduler> message = decode_to_scheduler(received.frame);
  if (message.ok() && incarnation_of(*message) != received.from) {
    message = corrupt("frame: speaks for another worker than its connection");
  }
  if (!message.ok()) {
    ++bad_frames_;
    if (std::has_single_bit(bad_frames_)) {
      log_.warn("worker {}: {} ({} bad frames so far)", to_string(received.from), message.status().message(),
                bad_frames_);
    }
    return;
  }
  if (const auto* done = std::get_if<UnitDone>(&*message)) {
    if (const auto note = late_results_.note(core_->state(), *done)) log_.warn("{}", *note);
  }
  if (const auto* hello = std::get_if<WorkerHello>(&*message); hello != nullptr && !may_join_on_loop(*hello)) return;
  step_on_loop(event_of(std::move(*message)));
}

// A worker's name is its key's as long as it is here: another allowed key cannot drive it out.
bool Loop::may_join_on_loop(const WorkerHello& hello) {
  if (!link_->has_keys()) return true;
  const auto& workers = core_->state().workers;
  const bool taken = std::any_of(workers.begin(), workers.end(), [&](const WorkerRow& row) {
    return row.present && row.name == hello.name && !same_key(row.incarnation, hello.incarnation);
  });
  if (!taken) return true;
  send_on_loop(hello.incarnation,
               Refused{"worker " + hello.name + " is connected under another key; give each worker a name of its own"});
  return false;
}

// Whose key is not allowed any more is told so, loses its connection, and its unit goes elsewhere at once.
void Loop::heed_keys_on_loop() {
  for (const std::string& note : link_->take_notes()) log_.warn("{}", note);
  if (!link_->take_list_change()) return;
  for (const Incarnation& worker : link_->revoked()) {
    send_on_loop(worker, Refused{"its key was revoked"});
    link_->drop(worker);
  }
  std::vector<Incarnation> gone;  // those too that have not spoken since this start
  for (const WorkerRow& row : core_->state().workers) {
    if (row.present && !link_->allows(row.incarnation)) gone.push_back(row.incarnation);
  }
  for (const Incarnation& worker : gone) step_on_loop(WorkerGone{worker, "its key is not allowed", true});
}

// A process that died has its connection closed by its machine, long before its silence tells. One that lives connects
// again and says hello within moments.
void Loop::heed_closed_on_loop() {
  const Instant now = monotonic_now();
  for (const Incarnation& worker : link_->take_closed()) closed_.emplace(worker, now + kClosedGraceNs);
  for (auto it = closed_.begin(); it != closed_.end();) {
    if (it->second > now) {
      ++it;
      continue;
    }
    const Incarnation worker = it->first;
    it = closed_.erase(it);
    step_on_loop(WorkerGone{worker, "its connection closed"});
  }
}

void Loop::step_on_loop(const Event& event) {
  Actions actions;
  const Instant now = monotonic_now();
  core_->step(now, wall_now(), event, actions);
  figures_.decision.add(since(now));
  carry_out_on_loop(actions);
}

const ServiceFigures& Loop::figures_on_loop() {
  figures_.commit = journal_->commit_times();
  const Refusals refusals = link_->refusals();
  figures_.frames = frames_;
  figures_.bad_frames = bad_frames_ + refusals.shapeless;
  figures_.refused_frames = refusals.frames;
  figures_.refused_keys = refusals.keys;
  figures_.refused_handshakes = refusals.handshakes;
  return figures_;
}

// Records before sends: nothing leaves that a crash could take back.
void Loop::carry_out_on_loop(Actions& actions) {
  if (actions.fatal) {
    log_.critical("{}", *actions.fatal);
    log_.flush();
    std::_Exit(1);
  }
  for (const Record& record : actions.records) {
    const auto level = is_notable(record.body) ? spdlog::level::info : spdlog::level::debug;
    if (log_.should_log(level)) log_.log(level, "record {}", to_json(record));
  }
  journal_->append(std::move(actions.records));
  for (Send& send : actions.sends) {
    if (const auto* reply = std::get_if<Reply>(&send.message)) {
      outbox_.hold(send.after_seq, [this, held = *reply] { reply_on_loop(held); });
    } else if (const auto* to = std::get_if<Incarnation>(&send.to)) {
      outbox_.hold(send.after_seq, [this, to = *to, message = std::get<ToWorker>(std::move(send.message))] {
        send_on_loop(to, message);
      });
    }
  }
  for (const DeleteState& deletion : actions.deletes) {
    outbox_.hold(deletion.after_seq, [this, state = deletion.state] { deletions_.push_back(state); });
  }
  if (actions.wake_at) wake_at_ = actions.wake_at;
  if (auto write = snapshots_->due_on_loop(*core_)) when_durable_on_loop(std::move(write));
}

// A frame that cannot be sent needs no other answer than this line: a lease that its worker does not know expires, and
// a worker that hears nothing says hello again.
void Loop::send_on_loop(const Incarnation& to, const ToWorker& message) {
  const Frame frame = encode(message);
  if (frame.size() > kFrameBytesMax) {
    log_.error("worker {}: a message of {} bytes is over the limit of {}", to_string(to), frame.size(), kFrameBytesMax);
    return;
  }
  if (const Status status = link_->send(to, frame); !status.ok()) log_.warn("{}", status.message());
}

RequestId Loop::expect_reply_on_loop(std::function<void(const Reply&)> answered) {
  const RequestId request{++requests_};
  expected_.emplace(request, std::move(answered));
  return request;
}

void Loop::reply_on_loop(const Reply& reply) {
  const auto found = expected_.find(reply.request);
  if (found == expected_.end()) return;
  const auto answered = std::move(found->second);
  expected_.erase(found);
  answered(reply);
}

// A few at a time: what an experiment of many trials leaves must not stand before every other task of the side thread,
// nor fill its queue. What is not done when the service ends is asked for again at the next start.
void Loop::delete_some_on_loop(bool all) {
  if (deletions_.empty() || (deleting_ && !all)) return;
  const std::size_t count = all ? deletions_.size() : std::min(deletions_.size(), kDeletionsAtOnce);
  std::vector<Deletion> some;
  for (std::size_t i = 0; i < count; ++i) {
    const StateRef& state = deletions_[i];
    const std::uint32_t partitions = core_->state().experiments[state.experiment.value - 1].partitions;
    some.push_back({state, state_blob_name(state, {core_->state().cluster, partitions})});
  }
  const bool posted = side_.post([this, some = std::move(some)] {
    std::vector<StateRef> gone;
    for (const auto& [state, name] : some) {
      const Status status = store_.remove(name);
      if (status.ok()) gone.push_back(state);
      if (!status.ok()) log_.warn("{}; tried again at the next start", status.message());
    }
    post([gone = std::move(gone)](Loop& loop) {
      loop.deleting_ = false;
      for (const StateRef& state : gone) loop.step_on_loop(StateGone{state});
    });
  });
  if (!posted) return;  // too much waits there: again at the next turn
  deletions_.erase(deletions_.begin(), deletions_.begin() + static_cast<std::ptrdiff_t>(count));
  deleting_ = true;
}

}  // namespace modelhop
