#include "worker/process/process.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>

#include "common/base/time.h"
#include "common/net/key_folder.h"
#include "common/net/link.h"
#include "worker/process/training_thread.h"

namespace modelhop {
namespace {

constexpr int kExitRefused = 5, kExitInterrupted = 130;
// Whom the scheduler goes on refusing for so long is set up wrongly, or no longer wanted.
constexpr std::int64_t kRefusedNs = 30 * kSecond;

volatile sig_atomic_t signals_seen = 0;

// The first is seen by the loop, whose wait it interrupts.
void on_signal(int) {
  signals_seen = signals_seen + 1;
  if (signals_seen > 1) ::_exit(kExitInterrupted);
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
}

void say(const std::string& line) { std::fprintf(stderr, "%s %s\n", to_iso8601(wall_now()).c_str(), line.c_str()); }

int exit_code(const Status& status) {
  switch (status.code()) {
    case Code::kInvalid:
      return 2;
    case Code::kConflict:
      return 5;
    default:
      return 1;
  }
}

class Process {
 public:
  Process(const ProcessConfig& config, Trainer& trainer, const Incarnation& incarnation, PartitionCache& cache,
          BlobStore& store, WorkerLink& link)
      : link_(link),
        core_(worker_config(config, trainer, incarnation)),
        training_(trainer, cache, store, {config.memory_bytes, std::max(config.memory_bytes / 4, kKeptBytesMin)},
                  [&link] { link.wake(); }) {}

  int run() {
    step(WorkerTick{});
    while (!exit_) {
      if (signals_seen > 0 && !draining_) {
        draining_ = true;
        step(WorkerDrain{});
        continue;
      }
      Result<WorkerLink::Received> received =
          link_.receive(std::max<std::int64_t>(0, core_.wake_at() - monotonic_now()));
      if (!received.ok()) {
        say(received.status().message());
        return 1;
      }
      if (received->connected) {
        has_connected_ = true;
        refused_since_.reset();
        step(WorkerReconnected{});
      }
      if (!received->refused.ok()) on_refused(received->refused);
      for (const Frame& frame : received->frames) on_frame(frame);
      for (const WorkerEvent& event : training_.take_events()) step(event);
      if (monotonic_now() >= core_.wake_at()) step(WorkerTick{});
    }
    say("ends: " + exit_->reason);
    // What still runs may never come to its next batch; nobody waits for its result.
    if (training_.busy()) std::_Exit(exit_->code);
    return exit_->code;
  }

 private:
  static WorkerConfig worker_config(const ProcessConfig& config, const Trainer& trainer,
                                    const Incarnation& incarnation) {
    WorkerConfig out;
    out.name = config.name;
    out.incarnation = incarnation;
    out.profile = trainer.numeric_profile();
    out.device = config.device;
    out.threads = config.threads;
    out.memory_bytes = config.memory_bytes;
    return out;
  }

  void on_frame(const Frame& frame) {
    const Result<ToWorker> message = decode_to_worker(frame);
    if (message.ok()) return step(*message);
    ++bad_frames_;
    if (std::has_single_bit(bad_frames_)) {
      say("scheduler: " + message.status().message() + " (" + std::to_string(bad_frames_) + " bad frames so far)");
    }
  }

  // A worker that has served waits for its scheduler, which may be about to come back; one that never has is told now.
  void on_refused(const Status& status) {
    if (std::has_single_bit(++refusals_)) say(status.message() + " (" + std::to_string(refusals_) + " times so far)");
    if (!refused_since_) refused_since_ = monotonic_now();
    const bool certain = status.code() == Code::kConflict;
    const bool for_long = monotonic_now() - *refused_since_ >= kRefusedNs;
    if (exit_ || (has_connected_ && !certain) || !((certain && !has_connected_) || for_long)) return;
    exit_ = Exit{kExitRefused, status.message()};
  }

  void step(const WorkerEvent& event) {
    if (exit_) return;
    std::vector<WorkerAction> actions;
    core_.step(monotonic_now(), event, actions);
    for (WorkerAction& action : actions) std::visit([this](auto& body) { carry_out(body); }, action);
  }

  // What cannot be sent now is said again by the core: hello, heartbeats and undismissed reports all repeat.
  void carry_out(const ToScheduler& message) { (void)link_.send(encode(message)); }
  void carry_out(StartUnit& start) { training_.start(std::move(start.run)); }
  void carry_out(const StopUnit& stop) { training_.stop(stop.token, stop.keep); }
  void carry_out(SetPlacement& placement) { training_.place(std::move(placement.place)); }
  void carry_out(const Exit& exit) { exit_ = exit; }

  WorkerLink& link_;
  WorkerCore core_;
  std::optional<Exit> exit_;
  bool draining_ = false;
  bool has_connected_ = false;
  std::optional<Instant> refused_since_;
  std::uint64_t bad_frames_ = 0, refusals_ = 0;
  TrainingThread training_;  // last: its end is waited for first
};

}  // namespace

int run_worker(const ProcessConfig& config, Trainer& trainer) {
  catch_signals();
  const auto refuse = [](const Status& status) {
    say(status.message());
    return exit_code(status);
  };
  Result<std::unique_ptr<BlobStore>> store = open_store(config.store);
  if (!store.ok()) return refuse(store.status());
  Result<std::unique_ptr<PartitionCache>> cache =
      PartitionCache::open(config.store, config.data_dir, config.memory_bytes);
  if (!cache.ok()) return refuse(cache.status());
  std::optional<WorkerKeys> keys;
  if (!config.key.empty()) {
    Result<WorkerKeys> read = read_worker_keys(config.key);
    if (!read.ok()) return refuse(read.status());
    keys = std::move(*read);
  }
  const Incarnation incarnation = make_incarnation(keys ? keys->own.public_key : "");
  Result<std::unique_ptr<WorkerLink>> link = WorkerLink::connect(config.scheduler, incarnation, keys);
  if (!link.ok()) return refuse(link.status());
  say("worker " + config.name + " " + to_string(incarnation) + " serves " + config.scheduler);
  return Process(config, trainer, incarnation, **cache, **store, **link).run();
}

}  // namespace modelhop
