#pragma once
// Max pooling over planes of floats. ATen's own spends a quarter of a small CNN's step here; the values and the element
// that wins (the first of equals, a NaN before all) are the same.
#include <cstdint>

#include "common/spec/recipe.h"

namespace modelhop {

struct PoolGeometry {
  std::int64_t planes, in_height, in_width, out_height, out_width;
  std::array<std::int64_t, 2> kernel_size, stride, padding, dilation;
};

// `winner`: for each output, the place in its window (row x kernel width + column) of the element it took.
void max_pool_forward(const PoolGeometry& geometry, const float* x, float* y, std::int32_t* winner);
// `dx` is overwritten.
void max_pool_backward(const PoolGeometry& geometry, const float* dy, const std::int32_t* winner, float* dx);

}  // namespace modelhop
