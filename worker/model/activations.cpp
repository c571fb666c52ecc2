// relu, leaky_relu, gelu, silu, tanh, sigmoid.
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/leaky_relu_backward.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sigmoid_backward.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/threshold_backward.h>

#include "worker/model/op.h"

namespace modelhop {
namespace {

class Activation final : public Op {
 public:
  Activation(const Layer& layer, bool in_place)
      : type_(layer.type),
        in_place_(in_place),
        slope_(layer.negative_slope),
        gelu_(layer.gelu_tanh ? "tanh" : "none") {}

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    at::Tensor y = apply(x);
    if (pass.training) kept_ = backward_needs_output() ? y : x;
    return y;
  }

  at::Tensor backward(at::Tensor dy, bool want_input) override {
    at::Tensor kept;
    std::swap(kept, kept_);
    if (!want_input) return {};
    switch (type_) {
      case LayerType::kReLU:
        return at::threshold_backward_out(dy, dy, kept, 0);
      case LayerType::kLeakyReLU:
        return at::leaky_relu_backward(dy, kept, slope_, false);
      case LayerType::kGELU:
        return at::gelu_backward(dy, kept, gelu_);
      case LayerType::kSiLU:
        return at::silu_backward(dy, kept);
      case LayerType::kTanh:
        return at::tanh_backward(dy, kept);
      case LayerType::kSigmoid:
        return at::sigmoid_backward(dy, kept);
      default:
        check_failed(__FILE__, __LINE__, "an activation has a gradient");
    }
  }

 private:
  bool backward_needs_output() const {
    return type_ == LayerType::kReLU || type_ == LayerType::kTanh || type_ == LayerType::kSigmoid;
  }
  at::Tensor apply(at::Tensor x) const {
    switch (type_) {
      case LayerType::kReLU:
        return in_place_ ? at::relu_(x) : at::relu(x);
      case LayerType::kLeakyReLU:
        return at::leaky_relu(x, slope_);
      case LayerType::kGELU:
        return at::gelu(x, gelu_);
      case LayerType::kSiLU:
        return at::silu(x);
      case LayerType::kTanh:
        return at::tanh(x);
      case LayerType::kSigmoid:
        return at::sigmoid(x);
      default:
        check_failed(__FILE__, __LINE__, "an activation is one of six");
    }
  }

  const LayerType type_;
  const bool in_place_;
  const double slope_;
  const std::string_view gelu_;
  at::Tensor kept_;
};

}  // namespace

OpPtr make_activation(const Layer& layer, bool in_place) { return std::make_unique<Activation>(layer, in_place); }

}  // namespace modelhop
