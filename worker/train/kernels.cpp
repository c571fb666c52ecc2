// Built with -O3 -fno-math-errno -fno-trapping-math (CMakeLists.txt), which change no result, only let loops vectorize.
#include "worker/train/kernels.h"

#include <cmath>

#include "worker/model/vector_clones.h"

namespace modelhop::kernels {
namespace {

// torch's lerp: exact at both ends.
inline float lerp(float from, float to, float weight, float one_minus_weight) {
  return weight < 0.5f ? from + weight * (to - from) : to - (to - from) * one_minus_weight;
}

}  // namespace

MODELHOP_CLONES void sgd(const Sgd& s, const float* __restrict gradient, float factor, float* __restrict parameter,
                         float* __restrict buffer, std::size_t count) {
  const Sgd k = s;
  if (buffer == nullptr) {
    for (std::size_t i = 0; i < count; ++i) {
      const float g = gradient[i] * factor + k.weight_decay * parameter[i];
      parameter[i] -= k.rate * g;
    }
    return;
  }
  if (k.first) {
    for (std::size_t i = 0; i < count; ++i) buffer[i] = gradient[i] * factor + k.weight_decay * parameter[i];
  } else {
    const float fresh = 1 - k.dampening;
    for (std::size_t i = 0; i < count; ++i) {
      const float g = gradient[i] * factor + k.weight_decay * parameter[i];
      buffer[i] = k.momentum * buffer[i] + fresh * g;
    }
  }
  if (k.nesterov) {
    for (std::size_t i = 0; i < count; ++i) {
      const float g = gradient[i] * factor + k.weight_decay * parameter[i];
      parameter[i] -= k.rate * (g + k.momentum * buffer[i]);
    }
  } else {
    for (std::size_t i = 0; i < count; ++i) parameter[i] -= k.rate * buffer[i];
  }
}

MODELHOP_CLONES void adam(const Adam& a, const float* __restrict gradient, float factor, float* __restrict parameter,
                          float* __restrict average, float* __restrict square, float* __restrict square_max,
                          std::size_t count) {
  const Adam k = a;
  if (square_max == nullptr) {
    for (std::size_t i = 0; i < count; ++i) {
      const float p = parameter[i] * k.decay;
      const float g = gradient[i] * factor + k.weight_decay * p;
      const float m = lerp(average[i], g, k.one_minus_beta1, k.beta1);
      const float v = square[i] * k.beta2 + k.one_minus_beta2 * g * g;
      average[i] = m;
      square[i] = v;
      parameter[i] = p - k.step_size * m / (std::sqrt(v) / k.root_correction + k.eps);
    }
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const float p = parameter[i] * k.decay;
    const float g = gradient[i] * factor + k.weight_decay * p;
    const float m = lerp(average[i], g, k.one_minus_beta1, k.beta1);
    const float v = square[i] * k.beta2 + k.one_minus_beta2 * g * g;
    const float most = square_max[i] >= v ? square_max[i] : v;
    average[i] = m;
    square[i] = v;
    square_max[i] = most;
    parameter[i] = p - k.step_size * m / (std::sqrt(most) / k.root_correction + k.eps);
  }
}

MODELHOP_CLONES void rmsprop(const Rmsprop& r, const float* __restrict gradient, float factor,
                             float* __restrict parameter, float* __restrict square, float* __restrict average,
                             float* __restrict buffer, std::size_t count) {
  const Rmsprop k = r;
  // One element's rule; the branches are the same for all of them, so the compiler hoists them out of the loop.
  const auto update = [&](std::size_t i, bool centered, bool momentum) {
    const float g = gradient[i] * factor + k.weight_decay * parameter[i];
    const float v = square[i] * k.alpha + k.one_minus_alpha * g * g;
    square[i] = v;
    float spread = v;
    if (centered) {
      const float m = lerp(average[i], g, k.one_minus_alpha, k.alpha);
      average[i] = m;
      spread = v - m * m;
    }
    const float root = std::sqrt(spread) + k.eps;
    if (momentum) {
      const float b = k.momentum * buffer[i] + g / root;
      buffer[i] = b;
      parameter[i] -= k.rate * b;
    } else {
      parameter[i] -= k.rate * g / root;
    }
  };
  if (average == nullptr && buffer == nullptr) {
    for (std::size_t i = 0; i < count; ++i) update(i, false, false);
  } else if (buffer == nullptr) {
    for (std::size_t i = 0; i < count; ++i) update(i, true, false);
  } else if (average == nullptr) {
    for (std::size_t i = 0; i < count; ++i) update(i, false, true);
  } else {
    for (std::size_t i = 0; i < count; ++i) update(i, true, true);
  }
}

MODELHOP_CLONES void adagrad(const Adagrad& a, const float* __restrict gradient, float factor,
                             float* __restrict parameter, float* __restrict sum, std::size_t count) {
  const Adagrad k = a;
  for (std::size_t i = 0; i < count; ++i) {
    const float g = gradient[i] * factor + k.weight_decay * parameter[i];
    const float s = sum[i] + g * g;
    sum[i] = s;
    parameter[i] -= k.rate * g / (std::sqrt(s) + k.eps);
  }
}

MODELHOP_CLONES double sum_of_squares(const float* values, std::size_t count) {
  constexpr std::size_t kLanes = 16;
  double lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = values[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (std::size_t lane = 0; i < count; ++i, ++lane) lanes[lane] += static_cast<double>(values[i]) * values[i];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace modelhop::kernels
