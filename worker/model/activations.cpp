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
  explicit Activation(const Layer& layer)
      : type_(layer.type), slope_(layer.negative_slope), gelu_(layer.gelu_tanh ? "tanh" : "none") {}

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    at::Tensor y = apply(x);
    if (pass.training) kept_ = backward_needs_output() ? y : x;
    return y;
  }

  at::Tensor backward(const at::Tensor& dy, bool want_input) override {
    at::Tensor kept;
    std::swap(kept, kept_);
    if (!want_input) return {};
    switch (type_) {
      case LayerType::kReLU:
        return at::threshold_backward(dy, kept, 0);
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
  at::Tensor apply(const at::Tensor& x) const {
    switch (type_) {
      case LayerType::kReLU:
        return at::relu(x);
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
  const double slope_;
  const std::string_view gelu_;
  at::Tensor kept_;
};

}  // namespace

OpPtr make_activation(const Layer& layer) { return std::make_unique<Activation>(layer); }

}  // namespace modelhop
