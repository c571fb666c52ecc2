// Built with -O3 -fno-trapping-math (CMakeLists.txt), which change no result, only let loops vectorize.
#include "worker/model/max_pool.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>

#include "worker/model/vector_clones.h"

namespace modelhop {
namespace {

constexpr std::int64_t kElementsPerTask = 1 << 15;  // ATen's grain for work of this kind

// Outputs [first, last) of a row of `out` whose window element `place` lies inside `in`.
struct Range {
  std::int64_t first, last;
};
Range inside(std::int64_t out, std::int64_t in, std::int64_t stride, std::int64_t shift) {
  const std::int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;
  const std::int64_t last = in > shift ? (in - shift + stride - 1) / stride : 0;
  return {std::min(first, out), std::clamp(last, std::min(first, out), out)};
}

void forward_plane(const PoolGeometry& g, const float* x, float* y, std::int32_t* winner) {
  std::fill_n(y, g.out_height * g.out_width, -std::numeric_limits<float>::infinity());
  std::fill_n(winner, g.out_height * g.out_width, -1);
  for (std::int64_t oy = 0; oy < g.out_height; ++oy, y += g.out_width, winner += g.out_width) {
    for (std::int64_t ky = 0; ky < g.kernel_size[0]; ++ky) {
      const std::int64_t iy = oy * g.stride[0] - g.padding[0] + ky * g.dilation[0];
      if (iy < 0 || iy >= g.in_height) continue;
      for (std::int64_t kx = 0; kx < g.kernel_size[1]; ++kx) {
        const std::int64_t shift = kx * g.dilation[1] - g.padding[1];
        const auto place = static_cast<std::int32_t>(ky * g.kernel_size[1] + kx);
        const Range range = inside(g.out_width, g.in_width, g.stride[1], shift);
        for (std::int64_t ox = range.first; ox < range.last; ++ox) {
          const float value = x[iy * g.in_width + ox * g.stride[1] + shift];
          const bool takes = (winner[ox] < 0) | (value > y[ox]) | (value != value);
          y[ox] = takes ? value : y[ox];
          winner[ox] = takes ? place : winner[ox];
        }
      }
    }
  }
}

void backward_plane(const PoolGeometry& g, const float* dy, const std::int32_t* winner, float* dx) {
  std::fill_n(dx, g.in_height * g.in_width, 0.0f);
  for (std::int64_t oy = 0; oy < g.out_height; ++oy) {
    for (std::int64_t ox = 0; ox < g.out_width; ++ox, ++dy, ++winner) {
      const std::int64_t iy = oy * g.stride[0] - g.padding[0] + *winner / g.kernel_size[1] * g.dilation[0];
      const std::int64_t ix = ox * g.stride[1] - g.padding[1] + *winner % g.kernel_size[1] * g.dilation[1];
      dx[iy * g.in_width + ix] += *dy;
    }
  }
}

// 2 x 2 windows side by side, the common case: no two windows meet, and every load and store is a vector's.
bool is_halving(const PoolGeometry& g) {
  constexpr std::array<std::int64_t, 2> kOnes{1, 1}, kTwos{2, 2}, kZeros{0, 0};
  return g.kernel_size == kTwos && g.stride == kTwos && g.padding == kZeros && g.dilation == kOnes &&
         g.out_height == g.in_height / 2 && g.out_width == g.in_width / 2;
}

MODELHOP_CLONES void halve_row(const float* __restrict upper, const float* __restrict lower, std::int64_t count,
                               float* __restrict y, std::int32_t* __restrict winner) {
  for (std::int64_t i = 0; i < count; ++i) {
    float best = upper[2 * i];
    std::int32_t place = 0;
    const auto offer = [&](float value, std::int32_t its_place) {
      const bool takes = (value > best) | (value != value);
      best = takes ? value : best;
      place = takes ? its_place : place;
    };
    offer(upper[2 * i + 1], 1);
    offer(lower[2 * i], 2);
    offer(lower[2 * i + 1], 3);
    y[i] = best;
    winner[i] = place;
  }
}

MODELHOP_CLONES void double_row(const float* __restrict dy, const std::int32_t* __restrict winner, std::int64_t count,
                                float* __restrict upper, float* __restrict lower) {
  for (std::int64_t i = 0; i < count; ++i) {
    upper[2 * i] = winner[i] == 0 ? dy[i] : 0.0f;
    upper[2 * i + 1] = winner[i] == 1 ? dy[i] : 0.0f;
    lower[2 * i] = winner[i] == 2 ? dy[i] : 0.0f;
    lower[2 * i + 1] = winner[i] == 3 ? dy[i] : 0.0f;
  }
}

void halve_plane(const PoolGeometry& g, const float* x, float* y, std::int32_t* winner) {
  for (std::int64_t row = 0; row < g.out_height; ++row) {
    const float* upper = x + 2 * row * g.in_width;
    halve_row(upper, upper + g.in_width, g.out_width, y + row * g.out_width, winner + row * g.out_width);
  }
}

void double_plane(const PoolGeometry& g, const float* dy, const std::int32_t* winner, float* dx) {
  for (std::int64_t row = 0; row < g.out_height; ++row) {
    float* upper = dx + 2 * row * g.in_width;
    double_row(dy + row * g.out_width, winner + row * g.out_width, g.out_width, upper, upper + g.in_width);
    if (g.in_width % 2 != 0) upper[g.in_width - 1] = upper[2 * g.in_width - 1] = 0.0f;
  }
  if (g.in_height % 2 != 0) std::fill_n(dx + (g.in_height - 1) * g.in_width, g.in_width, 0.0f);
}

template <class Plane>
void for_each_plane(const PoolGeometry& g, const Plane& plane) {
  const std::int64_t in = g.in_height * g.in_width, out = g.out_height * g.out_width;
  at::parallel_for(0, g.planes, std::max<std::int64_t>(1, kElementsPerTask / std::max<std::int64_t>(1, in)),
                   [&](std::int64_t first, std::int64_t last) {
                     for (std::int64_t i = first; i < last; ++i) plane(i * in, i * out);
                   });
}

}  // namespace

void max_pool_forward(const PoolGeometry& g, const float* x, float* y, std::int32_t* winner) {
  const auto plane = is_halving(g) ? halve_plane : forward_plane;
  for_each_plane(g, [&](std::int64_t in, std::int64_t out) { plane(g, x + in, y + out, winner + out); });
}

void max_pool_backward(const PoolGeometry& g, const float* dy, const std::int32_t* winner, float* dx) {
  const auto plane = is_halving(g) ? double_plane : backward_plane;
  for_each_plane(g, [&](std::int64_t in, std::int64_t out) { plane(g, dy + out, winner + out, dx + in); });
}

}  // namespace modelhop
