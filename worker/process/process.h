#pragma once
// The worker's process: the control thread drives WorkerCore and the link to the scheduler; the training thread runs
// units. A scheduler that is gone is waited for.
#include <cstdint>
#include <string>

#include "worker/train/trainer.h"

namespace modelhop {

inline constexpr std::uint64_t kKeptBytesMin = 64 << 20;  // of states for `stay`, where --memory is small

struct ProcessConfig {
  std::string scheduler;  // tcp://HOST:PORT
  std::string name;       // survives restarts
  std::string device{"cpu"};
  unsigned threads{1};
  std::string data_dir, store;
  std::string key;               // file; empty: none
  std::uint64_t memory_bytes{};  // for resident partitions
};

// Until the scheduler or a signal ends it. SIGTERM and SIGINT drain; a second one ends the process at once. Returns the
// exit code: 0 left, 1 failed, 2 configuration, 5 refused.
int run_worker(const ProcessConfig& config, Trainer& trainer);

}  // namespace modelhop
