#pragma once
// Copies of a state directory: journal.db, its archive and its snapshots, verified by reading them as a start would.
// logs/ and the store stay.
#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "common/store/blob_store.h"

namespace modelhop {

struct Copied {
  std::uint64_t seq{};  // the last record
  std::uint64_t files{}, bytes{};
};

// Beside a scheduler that runs on `state_dir`, or none. `into`: absent or empty; kConflict else. Durable on return.
Result<Copied> backup_state(const std::string& state_dir, const std::string& into);
// `state_dir`: absent or empty; kConflict else. Durable on return.
Result<Copied> restore_state(const std::string& backup, const std::string& state_dir);
// Makes the store that of this state directory, whoever has it now. Returns the journal's last record. kConflict: a
// scheduler works on the directory.
Result<std::uint64_t> take_store_over(const std::string& state_dir, BlobStore& store, bool accept_lost_tail);

}  // namespace modelhop
