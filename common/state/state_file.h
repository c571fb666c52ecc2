#pragma once
// A state on disk and on the wire: safetensors, pads as "_pad.N", cursor and names in its metadata.
// Format: docs/formats.md, "State".
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/state_name.h"
#include "common/state/arena.h"

namespace modelhop {

inline constexpr std::uint64_t kStateHeaderBytesMax = 16 << 20;  // 100 bytes a tensor: 160,000 tensors
inline constexpr std::uint64_t kStateBytesMax = kArenaBytesMax + kStateHeaderBytesMax;

// The bytes before the arena: 8-byte length and the JSON header, padded so that the arena starts at a multiple of 256.
// Equal (layout, ref) give equal bytes. The file is header + arena.
// REQUIRES: ref.layout is layout.hash, ref.hash the state_hash() of the arena that follows.
std::vector<std::uint8_t> encode_state_header(const StateLayout& layout, const StateRef& ref);

struct DecodedState {
  StateRef ref;
  std::unique_ptr<StateArena> state;
};
// Never trusts a byte: lengths, offsets, pads, names, dtypes and both hashes are checked, and the header must be the
// very one that encode_state_header() makes. kCorrupt otherwise, saying what is wrong (the caller names the file).
// `expected`: the layout it must have; null = take the file's.
Result<DecodedState> decode_state(std::span<const std::uint8_t> file, std::shared_ptr<const StateLayout> expected);

// What the names of an experiment's states have in common.
struct StateNaming {
  std::uint64_t cluster{};     // State::cluster: two schedulers on one store never share a name
  std::uint32_t partitions{};  // P
};
// "states/c1/e7/12/0.20-<hash>.safetensors": lineage, completed visits, hash. Unique by content; our own ids only.
std::string state_blob_name(const StateRef& ref, StateNaming naming);
std::string state_blob_name(const StateName& name, std::uint64_t cluster);
// "states/c1/": what all of a cluster's names begin with.
std::string states_folder(std::uint64_t cluster);
// Total. None: state_blob_name() of this cluster cannot have made it.
std::optional<StateName> parse_state_blob_name(std::string_view blob, std::uint64_t cluster);

}  // namespace modelhop
