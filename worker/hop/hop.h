#pragma once
// Hop: brings a trial's state to this worker and gives it away again. Paths: `stay`, the arena still lies in memory;
// `store`, it is read from the shared store and its hash checked. A published state is durable before it is reported.
// Threads: the training thread. Owner: the worker's process.
// Invariant: arenas kept for `stay` hold at most kept_bytes_max; one is immutable from its publication on.
#include <cstdint>
#include <list>
#include <memory>

#include "common/base/status.h"
#include "common/base/unit.h"
#include "common/state/arena.h"
#include "common/state/state_file.h"
#include "common/store/blob_store.h"

namespace modelhop {

class Hop {
 public:
  Hop(BlobStore& store, std::uint64_t kept_bytes_max) : store_(store), kept_bytes_max_(kept_bytes_max) {}

  struct Fetched {
    std::unique_ptr<StateArena> state;
    HopPath path{};
  };
  // REQUIRES: `parent` has a hash. kNotFound: the store lost it. kCorrupt: its bytes are not what the hash says.
  Result<Fetched> fetch(const StateRef& parent, const std::shared_ptr<const StateLayout>& layout, StateNaming naming);

  // Hashes and stores the state. The ref gets its cursor, hash, layout and size. The arena may be used on.
  Result<StateRef> publish(StateRef named, const StateArena& state, StateNaming naming);

  // The arena of a published state, for `stay`. The oldest go where it would be too much.
  void keep(const ContentHash& hash, std::unique_ptr<StateArena> state);
  std::uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  struct Kept {
    ContentHash hash;
    std::unique_ptr<StateArena> state;
  };
  std::unique_ptr<StateArena> take(const StateRef& parent, const StateLayout& layout);

  BlobStore& store_;
  const std::uint64_t kept_bytes_max_;
  std::uint64_t kept_bytes_ = 0;
  std::list<Kept> kept_;  // newest first
};

}  // namespace modelhop
