#pragma once
// The layout of a model state: one flat arena of named tensors. A pure function of the recipe.
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/spec/manifest.h"

namespace modelhop {

inline constexpr std::uint64_t kTensorAlignment = 256;  // bytes; pads are zero

enum class Section : std::uint8_t { kParameters, kBuffers, kMoments };

struct TensorSpec {
  std::string name;  // parameters and buffers: torch state_dict names; moments: "adam.exp_avg.0.weight"
  Section section{};
  DType dtype{};
  std::vector<std::int64_t> sizes;  // contiguous, C order
  std::uint64_t offset_bytes{};     // into the arena; a multiple of kTensorAlignment
  std::uint64_t size_bytes() const;
};

struct StateLayout {
  std::vector<TensorSpec> tensors;  // in arena order: parameters, buffers, moments
  std::uint64_t size_bytes{};       // of the arena, padded
  ContentHash hash;
  // Places `tensors` one after another and computes offsets, size and hash.
  static StateLayout make(std::vector<TensorSpec> tensors);
};

}  // namespace modelhop
