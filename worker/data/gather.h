#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "common/spec/manifest.h"
#include "common/spec/recipe.h"
#include "worker/data/partition.h"

namespace modelhop {

// Gathers rows of a resident partition into a batch: stored dtype to float32, transforms applied, one pass.
class Gather {
 public:
  Gather(const Manifest& manifest, const std::vector<Transform>& transforms);
  void x(const Partition& data, std::span<const std::uint32_t> rows, float* out) const;               // rows x prod(shape)
  void classes(const Partition& data, std::span<const std::uint32_t> rows, std::int64_t* out) const;  // integer y
  void values(const Partition& data, std::span<const std::uint32_t> rows, float* out) const;          // any y, as float
};

}  // namespace modelhop
