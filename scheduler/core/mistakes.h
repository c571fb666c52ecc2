#pragma once
// Planted mistakes: each is one plausible slip, and the simulator must catch it. They exist only where
// MODELHOP_PLANTED_MISTAKES is defined; elsewhere planted() is a constant false and costs nothing.

namespace modelhop {

enum class Mistake : int {
  kNone,
  kHeartbeatRenewsAll,       // a heartbeat renews units it does not name
  kStaleTokenAccepted,       // a result counts whatever its token
  kSendBeforeDurable,        // a message leaves before the record it depends on
  kCountedAgainAfterReplay,  // replay counts a visit twice
  kWrongPartition,           // a visit goes to any partition that is here
  kYieldLosesProgress,       // a yielded unit starts over, but its rows are counted
  kDecideInReplay,           // replay asks the search
  kWrongParent,              // a released unit goes on from a state that is not its parent
  kDeleteNeededState,        // a state is deleted while a trial still needs it
  kTokenReusedAfterBoot,     // the counter starts again without the boot number
  kDropUnderLease,           // a partition is taken from a worker that trains on it
  kMilestoneSkipped,         // the last visit is not evaluated
  kExpiryForgotten,          // a silent worker keeps its unit
  kDismissBeforeDurable,     // a report is acknowledged before its record is durable
  kDeletionForgottenAtBoot,  // an unfinished deletion is not taken up again
  kPatienceOffByOne,         // a trial gets one milestone more than its patience
  kSumsKept,                 // a milestone's training sums are counted in the next one again
  kProfileIgnored,           // a bound experiment runs under another numeric profile
  kLostNeverReplaced,        // what a lost worker held is not placed again
  kRanksForgottenAtLoad,     // a state read from a snapshot does not rank its ended trials
  kSearchFedShort,           // a search is not told all it was told before the snapshot
  kHeldTakenForDurable,      // a state that only a worker's memory has is taken for one in the store
  kRollbackTargetDeleted,    // the state to go back to is deleted while the head is not yet durable
  kDrainIgnored,             // a worker that is being drained gets units
  kPriorityForgottenAtLoad,  // a state read from a snapshot serves its experiments by number
  kStallIgnored,             // a trainer that hangs keeps its unit, since its process answers
  kHangNotExcused,           // time in which the scheduler itself was stopped counts against its workers
  kGarbageAheadOfHead,       // gc deletes what is ahead of a trial's head
  kForkSourceDeleted,        // a state is deleted while a fork of it lives
  kForkTold,                 // a search hears of trials that it did not make, after a snapshot
  kLastMistake,
};

const char* to_string(Mistake mistake);

#ifdef MODELHOP_PLANTED_MISTAKES
inline thread_local Mistake planted_mistake = Mistake::kNone;
inline bool planted(Mistake mistake) { return planted_mistake == mistake; }
#else
constexpr bool planted(Mistake) { return false; }
#endif

}  // namespace modelhop
