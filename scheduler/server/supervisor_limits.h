#pragma once
#include <cstddef>
#include <cstdint>

#include "common/base/time.h"
#include "scheduler/server/log_file.h"

namespace modelhop {

inline constexpr std::int64_t kDrainNs = 30 * kSecond;  // for units to reach a batch boundary and be recorded
inline constexpr std::int64_t kLeaveNs = 5 * kSecond;   // for a worker to end after SIGTERM; then SIGKILL

// What a cluster waits for as it ends, and what its workers' logs may hold. Tests make them small.
struct SupervisorLimits {
  std::int64_t drain_ns{kDrainNs};
  std::int64_t leave_ns{kLeaveNs};
  std::size_t log_bytes_max{kLogBytesMax};  // of a file of a worker's log
};

}  // namespace modelhop
