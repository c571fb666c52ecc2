#pragma once
// The fence of a store: one scheduler at a time gives out work over it. Boot numbers are claimed by an exclusive create
// of fence/<boot>, so none is given twice and no token either; the newest fence names its owner and says how far that
// one's journal had come, so a copy, an old backup or a lost tail is found. Format: docs/formats.md, "Fence".
// Lifecycle: claim_fence() at start, renew_fence() every kFenceRenewNs, release_fence() at a clean stop.
// Threads: none of its own; one caller at a time for each Fence.
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/store/blob_store.h"

namespace modelhop {

inline constexpr std::int64_t kFenceRenewNs = 5 * kSecond;
inline constexpr std::int64_t kFenceYoungMs = 30'000;   // six renewals: an owner silent for longer is taken for gone
inline constexpr std::size_t kFencesKeptMin = 4;        // the newest; what came before them is of use to people only
inline constexpr std::size_t kFenceClustersMax = 256;   // the newest fence of so many journals is kept
inline constexpr std::size_t kFenceBytesMax = 4 << 10;  // one is 400

// A state directory: neither a copy of it nor a backup put elsewhere. (The directory itself is held by flock.)
struct FenceIdentity {
  ClusterId cluster;                // the journal's
  std::string machine;              // /etc/machine-id, else the host's name
  std::uint64_t device{}, inode{};  // of journal.db
  bool operator==(const FenceIdentity&) const = default;
};
// REQUIRES: the journal is there. `cluster`: Journal::cluster().
Result<FenceIdentity> fence_identity(const std::string& state_dir, ClusterId cluster);

struct Fence {
  std::uint64_t boot{};  // its number
  FenceIdentity owner;
  std::string host, address;  // where it serves; an address is empty after take_over()
  std::int64_t pid{};
  std::uint64_t seq{};  // its journal's last durable record, at the last renewal
  bool released{};      // it stopped cleanly
  std::string renewed;  // by its owner's clock: for people
};
std::string to_json(const Fence& fence);
Result<Fence> parse_fence(std::string_view text);

struct FenceClaim {
  FenceIdentity owner;
  std::string address;
  std::uint64_t boot_above{};  // the journal's newest boot
  std::uint64_t seq{};         // the journal's last record
  bool accept_lost_tail{};     // of this very journal: the fence's seq may be beyond it
};
// Whether the claim would be granted now; changes nothing but a probe file. kConflict names the other's boot, address,
// seq and age, and the fix.
Status may_claim_fence(BlobStore& store, const FenceClaim& claim);
// Makes and returns the new fence; removes old ones. kConflict as above.
Result<Fence> claim_fence(BlobStore& store, const FenceClaim& claim);
// kConflict: a newer fence than `own` is there. Looks only. For what must not be done by a scheduler that was taken
// over and does not know it yet.
Status check_fence(BlobStore& store, std::uint64_t own_boot);
// kConflict: a newer fence is there, and this scheduler must end at once. Another error: try again.
Status renew_fence(BlobStore& store, Fence& own, std::uint64_t seq);
// The same, and whoever comes next need not wait.
Status release_fence(BlobStore& store, Fence& own, std::uint64_t seq);

// Makes the store that of this state directory, whoever has it: `modelhop scheduler restore --take-over`. A scheduler
// that still runs on it ends at its next renewal. `seq`: the journal's last record.
Status take_over(BlobStore& store, const FenceIdentity& owner, std::uint64_t seq);

}  // namespace modelhop
