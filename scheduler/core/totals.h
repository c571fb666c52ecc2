#pragma once
// What the core counts as it goes, so that a scrape of /metrics need not walk trials and leases.
#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "common/base/histogram.h"
#include "scheduler/core/state.h"

namespace modelhop {

inline constexpr std::size_t kTrialStates = static_cast<std::size_t>(TrialState::kInvalid) + 1;
inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::kHashMismatch) + 1;
inline constexpr std::size_t kHopPaths = static_cast<std::size_t>(HopPath::kStore) + 1;

// What the whole journal adds up to: written by apply() alone, so replay gives the same. Deleting an experiment takes
// nothing back but its trials and its states: a counter never falls.
struct Totals {
  std::array<std::uint64_t, std::variant_size_v<RecordBody>> records{};  // by RecordBody's index
  std::array<std::uint64_t, kTrialStates> trials{};                      // by TrialState, now
  std::array<std::uint64_t, kTrialStates> trials_ended{};                // by TrialState, ever

  struct Units {  // lease attempts
    std::uint64_t finished{}, yielded{}, released{};
    std::uint64_t lost{};  // of the finished: their states were lost before they were durable
    Histogram duration;    // of finished ones, by the recorded clock
    bool operator==(const Units&) const = default;
  };
  std::array<Units, 2> units;                     // [LeaseRow::then_evaluate]
  std::array<std::uint64_t, kFaults> released{};  // by Fault

  struct Hops {  // parents brought to a lease that had a result, and those that could not be brought
    std::uint64_t done{}, failed{}, bytes{};
    Histogram duration;
    bool operator==(const Hops&) const = default;
  };
  std::array<Hops, kHopPaths> hops;  // by HopPath

  std::uint64_t checkpoint_bytes{};  // written to the store
  Histogram checkpoint;
  std::uint64_t store_bytes{};  // of states in the store: the kept ones, and those whose deletion is not yet done

  bool operator==(const Totals&) const = default;
};

// Messages that change nothing, by why.
enum class Ignored : std::uint8_t {
  kStaleToken,          // names a lease that is not the current one: late, or a copy
  kOldBoot,             // the same, and the lease was granted before this start
  kUnknownIncarnation,  // of a process that is no worker here, or no longer
  kNewerBoot,           // of a worker that has obeyed a newer scheduler
};
inline constexpr std::size_t kIgnoredReasons = 4;
const char* to_string(Ignored reason);  // "stale_token", ...

// Counted since begin_serving(): not recorded, so a crash takes it.
struct LiveCounts {
  // By cause, while an experiment runs. The time of a lease is added when it ends, so no cause ever falls.
  CauseTimes slot_ns{};
  std::uint64_t lease_expirations{};
  std::array<std::uint64_t, kIgnoredReasons> ignored{};
};

}  // namespace modelhop
