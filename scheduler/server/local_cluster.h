#pragma once
// LocalCluster: what `modelhop run` starts on one machine: the scheduler in this process, and N worker processes.
// Lifecycle: start() -> submit() -> ... -> drain() -> wait_stopped(); the destructor kills what still runs.
// A worker that dies is started again (the core is told at once); workers die with this process, whatever kills it.
// Threads: every call from any thread. Owner: the caller; one per state directory.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/spec/spec.h"
#include "scheduler/server/disk_watch.h"
#include "scheduler/server/service.h"
#include "scheduler/server/supervisor_limits.h"

namespace modelhop {

inline constexpr unsigned kLocalWorkersMax = 256;

struct ClusterConfig {
  std::string state_dir;
  std::string store;    // empty: STATE/store
  unsigned workers{1};  // 1 .. kLocalWorkersMax; named w1 .. wN
  std::string device{"cpu"};
  unsigned threads{1};           // intra-op, of each worker
  std::uint64_t memory_bytes{};  // for resident partitions, of each worker; 0: the worker's default
  std::string worker_program;    // empty: $MODELHOP_WORKER, else modelhop-worker beside this executable
  bool insecure_loopback{};      // without it, keys of this life: files that only this user reads
  bool verbose{};                // the scheduler's log on stderr, too; it always is in STATE/logs
  DiskReserve disk_reserve;
  bool accept_lost_tail{};  // CoreConfig
  SupervisorLimits limits;
};

class LocalCluster {
 public:
  // Opens the state directory (kConflict: another process holds it), replays, and starts the workers.
  static Result<std::unique_ptr<LocalCluster>> start(const ClusterConfig& config);
  virtual ~LocalCluster() = default;

  virtual Service& service() = 0;

  struct Submitted {
    ExperimentId experiment;        // none: refused, and `problems` says why
    bool resumed{};                 // it went on with the unfinished experiment of the same expanded spec and data
    std::vector<Problem> problems;  // warnings too
  };
  // kNotFound: no such data set in the store (the message names what is there).
  virtual Result<Submitted> submit(const std::string& spec) = 0;

  // Why the cluster gave up (workers that die as they start); ok while it works.
  virtual Status failure() const = 0;
  // First Ctrl-C: every unit yields at its next batch, workers leave, all is journaled. Returns at once.
  virtual void drain() = 0;
  // Second Ctrl-C: ends the workers now. Nothing durable is lost.
  virtual void kill() = 0;
  // True: drained or killed, and the journal is flushed. False: not within `timeout_ms`.
  virtual bool wait_stopped(std::uint32_t timeout_ms) = 0;
};

}  // namespace modelhop
