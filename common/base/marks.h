#pragma once
// Marks: rare paths of the cores, counted where they are taken, so that a test can say which of them its random lives
// have reached. One increment of a counter of the thread; nothing reads them but the simulator.
#include <array>
#include <cstddef>
#include <cstdint>

namespace modelhop {

enum class Mark : std::uint8_t {
  // scheduler/core
  kLeaseAdopted,               // a worker names a lease of an earlier boot: it goes on
  kRunSentAgain,               // a worker does not name its lease: RunUnit was lost
  kFormerRefused,              // a process that was replaced by another of its name comes back
  kProcessReplaced,            // a process of the same name joins while the older is here
  kSilentLost,                 // no word for too long
  kLeaseExpired,               // its worker speaks, and does not name it
  kTrainerHangs,               // its worker speaks and names it, and nothing is done
  kExcused,                    // the scheduler itself was stopped
  kHeldLost,                   // a state went down with the only worker that had it
  kRolledBackAgain,            // a second time or more
  kRolledBackBehindMilestone,  // a milestone that was counted is passed again
  kRolledBackToStart,          // no state was left
  kUnreadableOnce,             // a stored state could not be read: another try
  kUnreadableGivenUp,          // and again: it is given up
  kLateDurable,                // a state became durable after its lease's end was reported
  kLateForgotten,              // a report that nobody waits for
  kTooMuchAtRisk,              // a worker has a trial's state, and must not build more on it
  kMoveWaits,                  // a partition stays until the lease on it ends
  kProfileBound,               // a first lease binds an experiment to a numeric profile
  kYieldedInside,              // between two batches of a visit
  kYieldedUnbegun,             // before the first batch
  kParked,                     // a unit cost too many workers
  kBackedOff,                  // a fault of a machine
  kReleasedByStop,             // a running unit's trial was ended
  kDeletionAskedAgain,         // at boot
  kSearchBounded,              // a search wanted more trials than there was room for
  kRetried,                    // a trial that had ended goes on
  kGarbageOnItsWay,            // gc keeps what no row names, for its report may come
  kGarbageSaving,              // gc keeps what is accepted and already in the store, though nobody has said so
  kGarbagePassed,              // gc deletes what the head has passed
  kGarbageOfOldLineage,        // gc deletes what was made before a rollback
  kGarbageOfEnded,             // gc deletes what a trial has left that ended
  // worker/core
  kNewerUnitWaits,      // a newer lease came while a unit still ran
  kWaitingUnitYielded,  // and was asked back before it began
  kReportAgain,         // not dismissed in its time
  kSavedLater,          // the report had been accepted before its state was stored
  kDrainRanOut,         // it left with a report undismissed
  kOldBootIgnored,      // a message of a scheduler of the past
  kCount,
};
inline constexpr std::size_t kMarks = static_cast<std::size_t>(Mark::kCount);
const char* to_string(Mark mark);

inline thread_local std::array<std::uint64_t, kMarks> marks{};
inline void mark(Mark what) { ++marks[static_cast<std::size_t>(what)]; }

}  // namespace modelhop
