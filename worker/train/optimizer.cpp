#include "worker/train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "worker/train/kernels.h"

namespace modelhop {
namespace {

std::vector<const char*> moment_names(const OptimizerSpec& optimizer) {
  std::vector<const char*> names;
  switch (optimizer.name) {
    case OptimizerName::kSgd:
      if (optimizer.momentum != 0) names = {"sgd.momentum_buffer"};
      break;
    case OptimizerName::kAdam:
      names = {"adam.exp_avg", "adam.exp_avg_sq"};
      if (optimizer.amsgrad) names.push_back("adam.max_exp_avg_sq");
      break;
    case OptimizerName::kAdamW:
      names = {"adamw.exp_avg", "adamw.exp_avg_sq"};
      if (optimizer.amsgrad) names.push_back("adamw.max_exp_avg_sq");
      break;
    case OptimizerName::kRmsprop:
      names = {"rmsprop.square_avg"};
      if (optimizer.centered) names.push_back("rmsprop.grad_avg");
      if (optimizer.momentum > 0) names.push_back("rmsprop.momentum_buffer");
      break;
    case OptimizerName::kAdagrad:
      names = {"adagrad.sum"};
      break;
  }
  return names;
}

// By squaring: IEEE products only, where pow() may differ from one C library to the next.
double whole_power(double base, std::uint64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1, base *= base) {
    if ((exponent & 1) != 0) result *= base;
  }
  return result;
}

// The parameters of a state, each with its moments: tensor i's moment m is tensor first + m * parameters + i.
struct Slots {
  explicit Slots(const StateLayout& layout) {
    for (const TensorSpec& spec : layout.tensors) {
      if (spec.section == Section::kParameters) ++parameters;
      if (spec.section != Section::kMoments) ++first_moment;
    }
    moments = parameters == 0 ? 0 : (layout.tensors.size() - first_moment) / parameters;
  }
  std::size_t parameters = 0, first_moment = 0, moments = 0;
};

float to_float(double value) { return static_cast<float>(value); }

template <class Kernel>
void for_each_parameter(StateArena& state, const GradientArena& gradients, Kernel&& kernel) {
  const Slots slots(state.layout());
  const auto floats = [&](std::size_t tensor) { return reinterpret_cast<float*>(state.tensor(tensor)); };
  for (std::size_t i = 0; i < slots.parameters; ++i) {
    const TensorSpec& spec = state.layout().tensors[i];
    const auto moment = [&](std::size_t m) { return floats(slots.first_moment + m * slots.parameters + i); };
    kernel(gradients.at(spec.offset_bytes), floats(i), moment, spec.size_bytes() / sizeof(float));
  }
}

void adam_step(const OptimizerSpec& o, bool decoupled, double rate, float factor, const GradientArena& gradients,
               StateArena& state) {
  const std::uint64_t step = state.cursor.step + 1;
  kernels::Adam k{};
  k.decay = decoupled ? to_float(1 - rate * o.weight_decay) : 1.0f;
  k.weight_decay = decoupled ? 0.0f : to_float(o.weight_decay);
  k.beta1 = to_float(o.betas[0]);
  k.beta2 = to_float(o.betas[1]);
  k.one_minus_beta1 = to_float(1 - o.betas[0]);
  k.one_minus_beta2 = to_float(1 - o.betas[1]);
  k.step_size = to_float(rate / (1 - whole_power(o.betas[0], step)));
  k.root_correction = to_float(std::sqrt(1 - whole_power(o.betas[1], step)));
  k.eps = to_float(o.eps);
  for_each_parameter(state, gradients, [&](const float* g, float* p, auto moment, std::size_t count) {
    kernels::adam(k, g, factor, p, moment(0), moment(1), o.amsgrad ? moment(2) : nullptr, count);
  });
}

}  // namespace

std::vector<TensorSpec> moment_tensors(const OptimizerSpec& optimizer, const std::vector<TensorSpec>& parameters) {
  std::vector<TensorSpec> moments;
  for (const char* name : moment_names(optimizer)) {
    for (const TensorSpec& parameter : parameters) {
      moments.push_back({std::string(name) + "." + parameter.name, Section::kMoments, DType::kF32, parameter.sizes, 0});
    }
  }
  return moments;
}

void initialize_moments(const OptimizerSpec& optimizer, StateArena& state) {
  const float value = optimizer.name == OptimizerName::kAdagrad ? to_float(optimizer.initial_accumulator_value) : 0.0f;
  const auto& tensors = state.layout().tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].section != Section::kMoments) continue;
    std::fill_n(reinterpret_cast<float*>(state.tensor(i)), tensors[i].size_bytes() / sizeof(float), value);
  }
}

double gradient_norm(const StateLayout& layout, const GradientArena& gradients) {
  double sum = 0;
  for (const TensorSpec& spec : layout.tensors) {
    if (spec.section != Section::kParameters) break;
    sum += kernels::sum_of_squares(gradients.at(spec.offset_bytes), spec.size_bytes() / sizeof(float));
  }
  return std::sqrt(sum);
}

float clip_factor(double norm, double norm_max) {
  const double factor = norm_max / (norm + 1e-6);
  return factor > 1 ? 1.0f : to_float(factor);  // a NaN norm makes every gradient NaN, as in torch
}

void optimizer_step(const OptimizerSpec& o, double rate, float factor, const GradientArena& gradients,
                    StateArena& state) {
  switch (o.name) {
    case OptimizerName::kSgd: {
      const kernels::Sgd k{to_float(rate), to_float(o.weight_decay), to_float(o.momentum), to_float(o.dampening),
                           o.nesterov,     state.cursor.step == 0};
      for_each_parameter(state, gradients, [&](const float* g, float* p, auto moment, std::size_t count) {
        kernels::sgd(k, g, factor, p, o.momentum != 0 ? moment(0) : nullptr, count);
      });
      return;
    }
    case OptimizerName::kAdam:
      return adam_step(o, false, rate, factor, gradients, state);
    case OptimizerName::kAdamW:
      return adam_step(o, true, rate, factor, gradients, state);
    case OptimizerName::kRmsprop: {
      const kernels::Rmsprop k{to_float(rate),        to_float(o.weight_decay), to_float(o.alpha),
                               to_float(1 - o.alpha), to_float(o.eps),          to_float(o.momentum)};
      for_each_parameter(state, gradients, [&](const float* g, float* p, auto moment, std::size_t count) {
        float* average = o.centered ? moment(1) : nullptr;
        float* buffer = o.momentum > 0 ? moment(o.centered ? 2 : 1) : nullptr;
        kernels::rmsprop(k, g, factor, p, moment(0), average, buffer, count);
      });
      return;
    }
    case OptimizerName::kAdagrad: {
      const double decayed = rate / (1 + static_cast<double>(state.cursor.step) * o.lr_decay);
      const kernels::Adagrad k{to_float(decayed), to_float(o.weight_decay), to_float(o.eps)};
      for_each_parameter(state, gradients, [&](const float* g, float* p, auto moment, std::size_t count) {
        kernels::adagrad(k, g, factor, p, moment(0), count);
      });
      return;
    }
  }
}

}  // namespace modelhop
