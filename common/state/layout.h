#pragma once
// The layout of a model state: one flat arena of named tensors. A pure function of the recipe.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/spec/manifest.h"

namespace modelhop {

inline constexpr std::uint64_t kTensorAlignment = 256;       // bytes; pads are zero
inline constexpr std::size_t kTensorNameBytesMax = 256;      // deep residual nests are about 100
inline constexpr std::size_t kTensorDimensionsMax = 16;      // a convolution has 4
inline constexpr std::uint64_t kArenaBytesMax = 1ull << 40;  // also keeps sizes and offsets far from overflow

enum class Section : std::uint8_t { kParameters, kBuffers, kMoments };
inline constexpr std::size_t kSections = 3;

struct TensorSpec {
  std::string name;  // parameters and buffers: torch state_dict names; moments: "adam.exp_avg.0.weight"
  Section section{};
  DType dtype{};
  std::vector<std::int64_t> sizes;  // contiguous, C order; {} = a scalar; none is 0
  std::uint64_t offset_bytes{};     // into the arena; a multiple of kTensorAlignment
  std::uint64_t size_bytes() const;
  bool operator==(const TensorSpec&) const = default;
};

struct StateLayout {
  std::vector<TensorSpec> tensors;  // in arena order: parameters, buffers, moments
  std::uint64_t size_bytes{};       // of the arena, padded
  ContentHash hash;                 // over names, sections, dtypes, sizes and offsets
  // Places `tensors` one after another and computes offsets, size and hash.
  // REQUIRES: parameters before buffers before moments; names legal and unlike; within the limits above.
  static StateLayout make(std::vector<TensorSpec> tensors);
};

// [A-Za-z0-9._-]+ within kTensorNameBytesMax, and not "_pad.", which names the holes of a state file.
bool is_tensor_name(std::string_view name);

// Elements times the width of `dtype`. False: a size below 1, too many of them, or more than kArenaBytesMax.
bool tensor_bytes(DType dtype, const std::vector<std::int64_t>& sizes, std::uint64_t& out);

inline std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
}

}  // namespace modelhop
