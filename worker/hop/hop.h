#pragma once
// Hop: brings a trial's state to this worker and gives it away again. Paths: `stay`, the arena still lies in memory;
// `store`, it is read from the shared store and its hash checked.
// Threads: the training thread. Owner: the worker's process.
// Invariant: a state that is given away is immutable from then on. What is kept holds at most kept_bytes_max, beside
// what is still being saved, which is never dropped: this memory is the only place that has it.
#include <cstdint>
#include <list>
#include <memory>

#include "common/base/status.h"
#include "common/base/unit.h"
#include "common/state/arena.h"
#include "common/state/state_file.h"
#include "common/store/blob_store.h"
#include "worker/hop/saver.h"

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

  // `named` with the state's cursor, hash, layout and the size of its file.
  static StateRef name(StateRef named, const StateArena& state);
  // Durable on return.
  Status store(const StateRef& ref, const StateArena& state, StateNaming naming) {
    return store_state(store_, ref, state, naming);
  }

  // A named state, for `stay`. The oldest that are not being saved go where it would be too much.
  void keep(std::shared_ptr<KeptState> state);
  std::uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  std::unique_ptr<StateArena> take(const StateRef& parent, const StateLayout& layout);

  BlobStore& store_;
  const std::uint64_t kept_bytes_max_;
  std::uint64_t kept_bytes_ = 0;
  std::list<std::shared_ptr<KeptState>> kept_;  // newest first
};

}  // namespace modelhop
