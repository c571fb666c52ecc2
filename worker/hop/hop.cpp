#include "worker/hop/hop.h"

#include <algorithm>
#include <array>
#include <new>

#include "common/base/check.h"

namespace modelhop {
Result<Hop::Fetched> Hop::fetch(const StateRef& parent, const std::shared_ptr<const StateLayout>& layout,
                                StateNaming naming) {
  CHECK(static_cast<bool>(parent.hash));
  if (parent.layout != layout->hash) {
    return corrupt("state " + to_string(parent.hash) + ": was made for another recipe: its layout differs");
  }
  if (std::unique_ptr<StateArena> kept = take(parent, *layout)) return Fetched{std::move(kept), HopPath::kStay};
  const std::string name = state_blob_name(parent, naming);
  ASSIGN_OR_RETURN(const std::vector<std::uint8_t> file,
                   store_.read(name, std::min(parent.size_bytes, kStateBytesMax)));
  Result<DecodedState> decoded = decode_state(file, layout);
  if (!decoded.ok()) return Status(decoded.status().code(), name + ": " + decoded.status().message());
  if (decoded->ref.hash != parent.hash || decoded->ref.at != parent.at) {
    return corrupt(name + ": holds state " + to_string(decoded->ref.hash) + ", wanted " + to_string(parent.hash));
  }
  return Fetched{std::move(decoded->state), HopPath::kStore};
}

StateRef Hop::name(StateRef named, const StateArena& state) {
  named.at = state.cursor;
  named.layout = state.layout().hash;
  named.hash = state_hash(state);
  named.size_bytes = 0;
  named.size_bytes = encode_state_header(state.layout(), named).size() + state.bytes().size();
  return named;
}

void Hop::keep(std::shared_ptr<KeptState> state) {
  kept_bytes_ += state->arena->bytes().size();
  kept_.push_front(std::move(state));
  for (auto oldest = kept_.end(); oldest != kept_.begin() && kept_bytes_ > kept_bytes_max_;) {
    --oldest;
    if ((*oldest)->saving.load(std::memory_order_acquire)) continue;
    kept_bytes_ -= (*oldest)->arena->bytes().size();
    oldest = kept_.erase(oldest);
  }
}

// Moved out, since training changes it: a second lease from the same parent reads the store. While it is being saved, a
// copy goes.
std::unique_ptr<StateArena> Hop::take(const StateRef& parent, const StateLayout& layout) {
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const std::shared_ptr<KeptState>& kept) {
    return kept->hash == parent.hash && kept->arena->layout().hash == layout.hash;
  });
  if (found == kept_.end()) return nullptr;
  if ((*found)->saving.load(std::memory_order_acquire)) return std::make_unique<StateArena>((*found)->arena->copy());
  std::unique_ptr<StateArena> state = std::move((*found)->arena);
  kept_bytes_ -= state->bytes().size();
  kept_.erase(found);
  return state;
}

}  // namespace modelhop
