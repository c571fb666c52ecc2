#include "worker/model/max_pool.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max_pool2d_with_indices.h>
#include <ATen/ops/max_pool2d_with_indices_backward.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/rng.h"
#undef CHECK
#include <catch2/catch_test_macros.hpp>

using namespace modelhop;

namespace {

using Pair = std::array<std::int64_t, 2>;

at::Tensor view(std::vector<float>& values, at::IntArrayRef sizes) { return at::from_blob(values.data(), sizes); }

// Equal numbers, and NaN where the other has one.
bool same(const std::vector<float>& ours, const at::Tensor& theirs) {
  const at::Tensor flat = theirs.contiguous();
  const float* other = flat.const_data_ptr<float>();
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!(ours[i] == other[i] || (std::isnan(ours[i]) && std::isnan(other[i])))) return false;
  }
  return ours.size() == static_cast<std::size_t>(flat.numel());
}

void compare(std::int64_t height, std::int64_t width, Pair kernel, Pair stride, Pair padding, Pair dilation,
             bool ceil_mode, std::uint64_t seed) {
  CAPTURE(height, width, kernel[0], kernel[1], stride[0], stride[1], padding[0], dilation[0], ceil_mode, seed);
  KeyedRng rng(seed, Purpose::kImport);
  const std::int64_t planes = 6;
  std::vector<float> x(static_cast<std::size_t>(planes * height * width));
  for (float& value : x) {
    const std::uint64_t draw = rng.below(40);  // few values, so windows have equals; and what is not finite
    value = static_cast<float>(draw);
    if (draw == 0) value = std::numeric_limits<float>::quiet_NaN();
    if (draw == 1) value = -std::numeric_limits<float>::infinity();
  }
  const at::Tensor input = view(x, {2, 3, height, width});
  auto [expected, indices] = at::max_pool2d_with_indices(input, kernel, stride, padding, dilation, ceil_mode);
  std::vector<float> dy(static_cast<std::size_t>(expected.numel()));
  for (float& value : dy) value = static_cast<float>(rng.below(100));
  const at::Tensor slope = view(dy, expected.sizes());
  const at::Tensor expected_dx =
      at::max_pool2d_with_indices_backward(slope, input, kernel, stride, padding, dilation, ceil_mode, indices);

  const PoolGeometry geometry{planes, height, width,   expected.size(2), expected.size(3),
                              kernel, stride, padding, dilation};
  std::vector<float> y(dy.size()), dx(x.size());
  std::vector<std::int32_t> winner(dy.size());
  max_pool_forward(geometry, x.data(), y.data(), winner.data());
  max_pool_backward(geometry, dy.data(), winner.data(), dx.data());
  CHECK(same(y, expected));
  CHECK(same(dx, expected_dx));
}

}  // namespace

TEST_CASE("max pooling takes the same elements as torch's, ties and NaN included", "[model]") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    compare(28, 28, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false, seed);
    compare(7, 9, {2, 2}, {2, 2}, {0, 0}, {1, 1}, false, seed);
    compare(7, 9, {2, 2}, {2, 2}, {0, 0}, {1, 1}, true, seed);
    compare(9, 9, {3, 3}, {2, 2}, {1, 1}, {1, 1}, false, seed);
    compare(9, 8, {3, 2}, {1, 3}, {1, 1}, {2, 3}, true, seed);
    compare(5, 6, {5, 6}, {1, 1}, {2, 3}, {1, 1}, false, seed);
    compare(4, 4, {3, 3}, {3, 3}, {1, 1}, {1, 1}, true, seed);
  }
}
