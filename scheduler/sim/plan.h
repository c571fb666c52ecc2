#pragma once
// What a seed means: a cluster, experiments, and a mix of faults. A pure function of the seed, in integers only.
#include <cstdint>
#include <memory>
#include <vector>

#include "common/spec/change.h"
#include "common/spec/spec.h"
#include "scheduler/core/core.h"

namespace modelhop::sim {

enum class FaultKind : std::uint8_t {
  kMessageLost,
  kMessageDelayed,
  kMessageDoubled,
  kMessageReordered,
  kWorkerKilled,
  kWorkerReturned,
  kWorkerHung,
  kWorkerDeaf,
  kWorkerMute,
  kWorkerCut,
  kWorkerKilledBetween,
  kWorkerDoubled,
  kTrainerHung,
  kWorkerDrained,
  kWorkerGoneForGood,
  kSchedulerCrashed,
  kSchedulerDrained,
  kSchedulerKilledBetween,
  kSchedulerHung,
  kClockJumped,
  kSlowDisk,
  kSlowStore,
  kStateDamaged,
  kUserFault,
  kPoisonTrial,
  kPoisonUnit,
  kPause,
  kTrialPause,
  kWorkerDrainAsked,
  kStop,
  kCancel,
  kRetry,
  kGarbageCollected,
  kFork,
  kExtend,
};
inline constexpr std::size_t kFaultKinds = 35;
const char* to_string(FaultKind kind);

struct PlannedFault {
  std::int64_t at_ns{};
  FaultKind kind{};
  std::uint32_t target{};  // worker or experiment
  std::int64_t lasts_ns{};
};

// One trial that never gets over one visit: its code fails, its parameters are wrong, or it kills its worker.
struct Poison {
  enum Kind : std::uint8_t { kNone, kFaults, kInvalid, kKills } kind{};
  TrialId trial;
  std::uint64_t visit{};
};

struct PlannedExperiment {
  std::shared_ptr<const Spec> spec;
  std::uint64_t trials{};
  SpecLimits extended;  // what it is asked to be extended to
  Poison poison;
  std::uint64_t search_stops_every{};  // the search stops every n-th trial at its first milestone; 0: none
  bool delete_at_end{};
  bool retry{};  // stopped or canceled, one trial is tried again
};

struct Plan {
  std::uint64_t seed{};
  std::uint32_t workers{}, partitions{}, profiles{1};
  CoreConfig config;
  std::vector<PlannedExperiment> experiments;
  std::vector<std::uint32_t> batches;  // of a visit, by partition
  std::vector<std::int64_t> batch_ns;  // by worker
  std::vector<PlannedFault> faults;    // by time
  std::int64_t horizon_ns{};           // faults end here
  std::uint64_t latency_us_max{3'000};
  std::uint64_t check_every{1};  // steps of the core between two looks at all its invariants
  std::uint32_t lost_permille{}, delayed_permille{}, doubled_permille{}, reordered_permille{}, user_fault_permille{};
};

Plan make_plan(std::uint64_t seed);
// Ten hours of long units on four workers, with the limits of a real service, where nothing fails but the network: it
// loses every fifth message and delays the others by up to half a second.
Plan make_lossy_plan(std::uint64_t seed);
inline constexpr std::uint64_t kLossyHours = 10;

}  // namespace modelhop::sim
