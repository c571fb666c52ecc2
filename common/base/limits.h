#pragma once
// Every limit that more than one leaf must agree on, with its reason. A limit of one leaf stays in that leaf.
// A test hits each.
#include <cstddef>
#include <cstdint>

namespace modelhop {

inline constexpr std::size_t kSpecBytesMax = 1 << 20;  // a spec by hand has a few KiB; bounds the parser
inline constexpr unsigned kJsonDepthMax = 32;          // nested values recurse when copied and dumped
inline constexpr std::size_t kNameBytesMax = 128;      // experiment, data set, worker, label
inline constexpr std::size_t kNotesBytesMax = 64 << 10;
inline constexpr std::uint32_t kPriorityMax = 100;
inline constexpr std::size_t kLabelsMax = 64;            // of an experiment
inline constexpr std::size_t kDetailBytesMax = 4 << 10;  // a fault's text from a worker; longer is cut
inline constexpr std::size_t kFrameBytesMax = 8 << 20;   // one control message; a lease with its recipe is a few KiB
inline constexpr std::uint32_t kPartitionsMax = 4096;    // per data set
inline constexpr std::uint32_t kWorkersMax = 4096;
inline constexpr std::uint64_t kTrialsMax = 1'000'000;  // per experiment
inline constexpr std::uint64_t kEpochsMax = 1'000'000;
inline constexpr std::size_t kExperimentsLiveMax = 256;  // not ended, at a time
inline constexpr std::size_t kUnitMembersMax = 64;       // fused lanes
inline constexpr std::size_t kSumsMax = 32;              // metrics of one result
inline constexpr std::size_t kSavesWaitingMax = 16;      // states of a worker; past it a unit stores its own
inline constexpr std::size_t kParametersMax = 256;       // of one search space
inline constexpr std::size_t kChoicesMax = 10'000;       // values of one parameter

}  // namespace modelhop
