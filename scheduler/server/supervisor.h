#pragma once
// Supervisor: keeps N worker processes running on this machine.
// Lifecycle: watches from construction; drain() lets the units yield, then ends the workers; kill() ends them now.
// Threads: its own starts, watches and ends the children (they die with it); public functions from any.
// Invariant: the core is told of a death before the worker is started again.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/status.h"
#include "common/base/time.h"
#include "scheduler/server/child.h"
#include "scheduler/server/log_file.h"
#include "scheduler/server/server.h"
#include "scheduler/server/supervisor_limits.h"

namespace modelhop {

inline constexpr unsigned kDeathsAtStartMax = 5;  // of one worker in a row, before it joined: then the cluster gives up
inline constexpr std::int64_t kRestartNs = 200 * kMillisecond;  // doubled by each death in a row
inline constexpr std::int64_t kRestartNsMax = 10 * kSecond;
struct WorkerCommand {
  std::string name;
  std::vector<std::string> argv;
  std::string log;
};

class Supervisor {
 public:
  Supervisor(Server& server, std::vector<WorkerCommand> workers, SupervisorLimits limits = {});
  ~Supervisor();  // kills
  Status failure() const;
  void drain();
  void kill();
  bool wait_stopped(std::uint32_t timeout_ms);

 private:
  enum class Wish : std::uint8_t { kRun, kDrain, kKill };
  struct Slot {
    WorkerCommand command;
    Child child;
    std::optional<OutputLog> log;  // none: it could not be opened
    unsigned deaths_at_start{};
    std::int64_t backoff_ns{};
    Instant start_at;
  };

  void run_on_thread();
  void start_due_on_thread(Slot& slot);
  void reap_on_thread(Slot& slot);
  void log_on_thread(Slot& slot);
  void end_workers_on_thread();
  bool wait_on_thread(std::int64_t limit_ns, const std::function<bool()>& done);
  void fail(Status failure);
  Wish wish() const;

  Server& server_;
  const SupervisorLimits limits_;
  std::vector<Slot> slots_;  // the thread's

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Wish wish_ = Wish::kRun;
  bool stopped_ = false;
  Status failure_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace modelhop
