#include "worker/hop/hop.h"

#include <algorithm>
#include <array>
#include <new>

#include "common/base/check.h"

namespace modelhop {
namespace {

bool equal(std::span<const std::uint8_t> file, std::span<const std::span<const std::uint8_t>> pieces) {
  for (const auto piece : pieces) {
    if (file.size() < piece.size() || !std::equal(piece.begin(), piece.end(), file.begin())) return false;
    file = file.subspan(piece.size());
  }
  return file.empty();
}

}  // namespace

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

Result<StateRef> Hop::publish(StateRef named, const StateArena& state, StateNaming naming) {
  named.at = state.cursor;
  named.layout = state.layout().hash;
  named.hash = state_hash(state);
  named.size_bytes = 0;
  const std::vector<std::uint8_t> header = encode_state_header(state.layout(), named);
  const std::array<std::span<const std::uint8_t>, 2> pieces = {header, state.bytes()};
  named.size_bytes = header.size() + state.bytes().size();
  const std::string name = state_blob_name(named, naming);
  ASSIGN_OR_RETURN(const Put put, store_.create(name, pieces));
  if (put == Put::kCreated) return named;
  // Made before, by an attempt that was not counted: the same bytes, unless the disk spoiled them since.
  const Result<std::vector<std::uint8_t>> there = store_.read(name, named.size_bytes);
  if (there.ok() && equal(*there, pieces)) return named;
  RETURN_IF_ERROR(store_.replace(name, pieces));
  return named;
}

void Hop::keep(const ContentHash& hash, std::unique_ptr<StateArena> state) {
  const std::uint64_t bytes = state->bytes().size();
  if (bytes > kept_bytes_max_) return;
  while (kept_bytes_ + bytes > kept_bytes_max_) {
    kept_bytes_ -= kept_.back().state->bytes().size();
    kept_.pop_back();
  }
  kept_bytes_ += bytes;
  kept_.push_front({hash, std::move(state)});
}

// Moved out, since training changes it: a second lease from the same parent reads the store.
std::unique_ptr<StateArena> Hop::take(const StateRef& parent, const StateLayout& layout) {
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.hash == parent.hash && kept.state->layout().hash == layout.hash;
  });
  if (found == kept_.end()) return nullptr;
  std::unique_ptr<StateArena> state = std::move(found->state);
  kept_bytes_ -= state->bytes().size();
  kept_.erase(found);
  return state;
}

}  // namespace modelhop
