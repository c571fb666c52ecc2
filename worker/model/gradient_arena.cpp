#include "worker/model/gradient_arena.h"

#include <algorithm>

namespace modelhop {

void GradientArena::prepare(const StateLayout& layout) {
  std::uint64_t end = 0;
  for (const TensorSpec& spec : layout.tensors) {
    if (spec.section == Section::kParameters) end = std::max(end, spec.offset_bytes + spec.size_bytes());
  }
  data_.assign((end + kTensorAlignment) / sizeof(float) + 1, 0.0f);
  const auto address = reinterpret_cast<std::uintptr_t>(data_.data());
  begin_bytes_ = (kTensorAlignment - address % kTensorAlignment) % kTensorAlignment;
}

}  // namespace modelhop
