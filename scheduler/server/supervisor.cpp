#include "scheduler/server/supervisor.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "common/base/thread_name.h"

namespace modelhop {
namespace {

constexpr auto kWatch = std::chrono::milliseconds(20);
constexpr std::size_t kLogTailBytes = 1'000;

// The end of a worker's log: why it died, most likely.
std::string tail_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const auto size = static_cast<std::size_t>(file.tellg());
  std::string tail(std::min(size, kLogTailBytes), '\0');
  file.seekg(-static_cast<std::streamoff>(tail.size()), std::ios::end);
  file.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  return tail;
}

}  // namespace

Supervisor::Supervisor(Server& server, std::vector<WorkerCommand> workers, SupervisorLimits limits)
    : server_(server), limits_(limits) {
  for (WorkerCommand& worker : workers) {
    slots_.emplace_back();
    slots_.back().command = std::move(worker);
  }
  thread_ = std::thread([this] { run_on_thread(); });
}

Supervisor::~Supervisor() {
  kill();
  thread_.join();
}

Status Supervisor::failure() const {
  std::lock_guard guard(mutex_);
  return failure_;
}

void Supervisor::drain() {
  {
    std::lock_guard guard(mutex_);
    wish_ = std::max(wish_, Wish::kDrain);
  }
  changed_.notify_all();
}

void Supervisor::kill() {
  {
    std::lock_guard guard(mutex_);
    wish_ = Wish::kKill;
  }
  changed_.notify_all();
}

bool Supervisor::wait_stopped(std::uint32_t timeout_ms) {
  std::unique_lock guard(mutex_);
  return changed_.wait_for(guard, std::chrono::milliseconds(timeout_ms), [&] { return stopped_; });
}

Supervisor::Wish Supervisor::wish() const {
  std::lock_guard guard(mutex_);
  return wish_;
}

void Supervisor::fail(Status failure) {
  std::lock_guard guard(mutex_);
  if (failure_.ok()) failure_ = std::move(failure);
}

void Supervisor::run_on_thread() {
  name_thread("supervisor");
  while (wish() == Wish::kRun) {
    for (Slot& slot : slots_) {
      reap_on_thread(slot);
      start_due_on_thread(slot);
    }
    std::unique_lock guard(mutex_);
    changed_.wait_for(guard, kWatch, [&] { return wish_ != Wish::kRun; });
  }
  end_workers_on_thread();
  {
    std::lock_guard guard(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

void Supervisor::start_due_on_thread(Slot& slot) {
  if (slot.child.running() || monotonic_now() < slot.start_at || !failure().ok()) return;
  if (!slot.log) {
    Result<OutputLog> log = OutputLog::open(slot.command.log, limits_.log_bytes_max);
    if (!log.ok()) return fail(log.status());
    slot.log = std::move(*log);
  }
  Result<Child> child = Child::start(slot.command.argv);
  if (!child.ok()) return fail(child.status());
  slot.child = std::move(*child);
}

void Supervisor::log_on_thread(Slot& slot) {
  if (const std::string output = slot.child.take_output(); !output.empty()) slot.log->write(output);
}

void Supervisor::reap_on_thread(Slot& slot) {
  const std::optional<std::string> how = slot.child.reap();
  log_on_thread(slot);  // after reap(), so that the last words of one that ended are in it
  if (!how) return;
  slot.log->end();
  const bool joined = server_.worker_gone(slot.command.name, "its process ended: " + *how);
  slot.deaths_at_start = joined ? 0 : slot.deaths_at_start + 1;
  slot.backoff_ns = joined ? kRestartNs : std::clamp(slot.backoff_ns * 2, kRestartNs, kRestartNsMax);
  slot.start_at = monotonic_now() + slot.backoff_ns;
  if (slot.deaths_at_start < kDeathsAtStartMax) return;
  fail({Code::kEnvironment, "worker " + slot.command.name + " ended " + std::to_string(slot.deaths_at_start) +
                                " times before it joined (" + *how + "); the end of " + slot.command.log + ":\n" +
                                tail_of(slot.command.log)});
}

// Until `done`, the time is over, or a kill is wished; the workers are looked after meanwhile.
bool Supervisor::wait_on_thread(std::int64_t limit_ns, const std::function<bool()>& done) {
  const Instant until = monotonic_now() + limit_ns;
  for (;;) {
    for (Slot& slot : slots_) reap_on_thread(slot);  // a death frees its unit, too
    if (done()) return true;
    if (wish() == Wish::kKill || monotonic_now() >= until) return false;
    std::this_thread::sleep_for(kWatch);
  }
}

// A drain first lets every unit yield its state; either way workers that do not leave in time are killed.
void Supervisor::end_workers_on_thread() {
  server_.drain();
  if (!wait_on_thread(limits_.drain_ns, [&] { return server_.wait_quiet(0); }) && wish() == Wish::kDrain) {
    server_.warn("drain: units did not come to a batch boundary in time; they are run again from their parent states");
  }
  for (const Slot& slot : slots_) slot.child.signal(SIGTERM);
  const auto left = [&] {
    return std::none_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.child.running(); });
  };
  if (wait_on_thread(limits_.leave_ns, left)) return;
  for (Slot& slot : slots_) {
    if (!slot.child.running()) continue;
    if (wish() == Wish::kDrain) server_.warn("worker " + slot.command.name + " did not end in time and is killed");
    slot.child.signal(SIGKILL);
  }
  for (Slot& slot : slots_) {
    log_on_thread(slot);
    slot.child = Child();  // kills and waits
  }
}

}  // namespace modelhop
