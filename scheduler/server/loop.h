#pragma once
// Loop: the one thread that owns the core. Frames, client requests, ticks and deletions go in as events; records go to
// the journal; what depends on them leaves when they are durable.
// Lifecycle: open() replays the journal and claims the fence; run() on a thread of its own until end(); close() gives
// the fence free.
// Threads: functions named ..._on_loop on the loop's thread (tasks and callbacks run there); the others on any.
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/net/link.h"
#include "common/store/blob_store.h"
#include "common/store/journal.h"
#include "scheduler/api/api.h"
#include "scheduler/core/core.h"
#include "scheduler/server/fence_keeper.h"
#include "scheduler/server/late_results.h"
#include "scheduler/server/outbox.h"
#include "scheduler/server/snapshot_keeper.h"
#include "scheduler/server/task_thread.h"

namespace spdlog {
class logger;
}

namespace modelhop {

inline constexpr std::size_t kDeletionsAtOnce = 16;  // then the side thread's other tasks come to their turn

struct LoopConfig {
  std::string state_dir, listen;
  CoreConfig core;
  std::optional<ServerKeys> keys;                     // none: on loopback only
  std::function<void(std::uint64_t seq)> on_durable;  // after each commit, on the journal's thread
  std::int64_t fence_renew_ns{kFenceRenewNs};
  std::uint64_t snapshot_every{kSnapshotEvery};  // records
  std::optional<std::uint64_t> history_max;      // records kept in the archive; none: all
  std::function<void(const Status&)> on_fenced;  // another scheduler has the store: this process must end; any thread
};

class Loop {
 public:
  using Task = std::function<void(Loop&)>;

  // `store`, `side` and `log` outlive the loop.
  static Result<std::unique_ptr<Loop>> open(const LoopConfig& config, BlobStore& store, TaskThread& side,
                                            spdlog::logger& log);
  void run();
  void end();            // run() returns once all that was recorded is durable and has left
  void close();          // REQUIRES: run() returned, or was never called
  bool post(Task task);  // false: the loop has ended, and the task is dropped
  std::string address() const { return link_->address(); }
  std::uint64_t durable_seq() const { return journal_->durable_seq(); }

  const Core& core_on_loop() const { return *core_; }
  const ServiceFigures& figures_on_loop();
  void step_on_loop(const Event& event);
  // `leave` runs when all that is recorded so far is durable.
  void when_durable_on_loop(Outbox::Leave leave) { outbox_.hold(core_->state().seq, std::move(leave)); }
  // The id to put into an event; `answered` gets its Reply, once.
  RequestId expect_reply_on_loop(std::function<void(const Reply&)> answered);

 private:
  Loop(std::unique_ptr<ServerLink> link, std::unique_ptr<Core> core, std::unique_ptr<Journal> journal, TaskThread& side,
       BlobStore& store, spdlog::logger& log);

  Status begin_on_loop(const Fence& fence, const LoopConfig& config);
  void heed_keys_on_loop();
  void heed_closed_on_loop();
  void on_frame_on_loop(const ServerLink::Received& received);
  bool may_join_on_loop(const WorkerHello& hello);
  void carry_out_on_loop(Actions& actions);
  void send_on_loop(const Incarnation& to, const ToWorker& message);
  void reply_on_loop(const Reply& reply);
  void delete_some_on_loop(bool all);
  std::int64_t timeout_on_loop() const;

  struct Posted {
    Instant at;
    Task task;
  };
  struct Deletion {
    StateRef state;
    std::string blob;
  };

  const std::unique_ptr<ServerLink> link_;
  const std::unique_ptr<Core> core_;
  TaskThread& side_;
  BlobStore& store_;
  spdlog::logger& log_;

  Outbox outbox_;
  std::optional<Instant> wake_at_;
  std::map<RequestId, std::function<void(const Reply&)>> expected_;
  std::uint64_t requests_ = 0, frames_ = 0, bad_frames_ = 0;
  std::map<Incarnation, Instant> closed_;  // connections that ended: who does not speak again by then is gone
  LateResults late_results_;
  ServiceFigures figures_;
  std::deque<StateRef> deletions_;  // no more than the core intends
  bool deleting_ = false;           // the side thread has some of them

  std::mutex mutex_;  // guards what follows
  std::vector<Posted> tasks_;
  bool ending_ = false, ended_ = false;

  const std::unique_ptr<Journal> journal_;  // near the end: its thread wakes the link
  std::optional<SnapshotKeeper> snapshots_;
  std::optional<FenceKeeper> fence_;  // last: it asks the journal
};

}  // namespace modelhop
