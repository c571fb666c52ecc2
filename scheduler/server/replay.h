#pragma once
// Replay: all records of a state directory, from the first on and through no snapshot, applied to a fresh core; and
// whether that is the state which a start would go on with. Reads only; works beside a live scheduler.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/store/journal.h"
#include "scheduler/core/core.h"

namespace modelhop {

struct Fold {
  std::unique_ptr<Core> core;
  JournalEnd end;                                 // the last record
  std::map<ExperimentId, std::uint64_t> records;  // by experiment; 0: of the cluster
};
// The records from the first to `until`. kCorrupt names the seq that is damaged. kConflict: the first ones are kept no
// longer, and the message says where the history begins. kInvalid: the journal ends before `until`.
Result<Fold> fold_journal(const std::string& state_dir, std::optional<std::uint64_t> until, const CoreHooks& hooks);

struct ReplayDifference {
  std::uint64_t seq{};       // the first record after which the two are known to differ
  std::string other;         // what differs from the fold: "STATE/snapshot-240", ...
  std::string field;         // "e1.3 milestones/0/value"; empty: it cannot be said of a field
  std::string folded, read;  // the field's two values; or, in `read` alone, what is wrong with the other
};

struct Replay {
  Fold fold;
  std::vector<std::uint64_t> snapshots;        // that were compared, oldest first
  std::optional<ReplayDifference> difference;  // the first; none: equal, byte for byte
  std::vector<std::string> notes;              // what a start passes over
};
// Folds all records, and compares the state after each snapshot's record with the snapshot, and the last one with what
// recover() makes of the newest snapshot and the records after it. Errors: as fold_journal() and recover().
Result<Replay> replay_journal(const std::string& state_dir, const CoreHooks& hooks);

// Of one experiment's rows; equal ones give equal hashes.
ContentHash rows_hash(const ExperimentRow& row);

}  // namespace modelhop
