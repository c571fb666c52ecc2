#pragma once
#include <cstdint>
#include <vector>

#include "common/state/layout.h"

namespace modelhop {

// GradientArena: the gradient of every parameter, at the parameter's own offset in the state arena. Never leaves the
// worker. Threads: one at a time. Owner: the trainer, which reuses it from unit to unit.
class GradientArena {
 public:
  // ENSURES: room for the parameter section of `layout`, all zero. Earlier views are void.
  void prepare(const StateLayout& layout);
  float* at(std::uint64_t offset_bytes) { return data_.data() + (begin_bytes_ + offset_bytes) / sizeof(float); }
  const float* at(std::uint64_t offset_bytes) const {
    return data_.data() + (begin_bytes_ + offset_bytes) / sizeof(float);
  }

 private:
  std::vector<float> data_;
  std::uint64_t begin_bytes_{};  // where the first aligned gradient is
};

}  // namespace modelhop
