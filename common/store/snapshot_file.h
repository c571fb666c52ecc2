#pragma once
// STATE/snapshot-<seq>: all that the records up to seq add up to, so that a start need not read them again.
// Format: docs/formats.md, "Snapshot".
#include <cstdint>
#include <string>
#include <vector>

#include "common/store/witness.h"

namespace modelhop {

inline constexpr std::size_t kSnapshotsKept = 2;                 // the older one stands in where the newer is damaged
inline constexpr std::uint64_t kSnapshotBytesMax = 16ull << 30;  // of a file that is read into memory

struct Snapshot {
  JournalEnd end;
  std::vector<std::uint8_t> state;  // Core::save()
};

std::string snapshot_path(const std::string& state_dir, std::uint64_t seq);
// Durable on return: temporary file, fsync, rename, fsync of the folder.
Status write_snapshot(const std::string& state_dir, const Snapshot& snapshot);
std::vector<std::uint64_t> list_snapshots(const std::string& state_dir);  // seqs, newest first
// kCorrupt: it is not what was written.
Result<Snapshot> read_snapshot(const std::string& state_dir, std::uint64_t seq);
Status remove_snapshots_after(const std::string& state_dir, std::uint64_t seq);  // of records that are lost
Status remove_old_snapshots(const std::string& state_dir);                       // all but the newest kSnapshotsKept

}  // namespace modelhop
