// linear and conv2d.
#include <ATen/ops/addmm.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>

#include "worker/model/op.h"

namespace modelhop {
namespace {

class Linear final : public Op {
 public:
  Linear(const Layer& layer, TensorSource& source) : in_(layer.in_features), out_(layer.out_features) {
    weight_ = source.parameter();
    if (layer.bias) bias_ = source.parameter();
    weight_t_ = weight_.value.t();
  }

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    const at::Tensor flat = x.dim() == 2 ? x : x.reshape({-1, in_});
    at::Tensor y = bias_.value.defined() ? at::addmm(bias_.value, flat, weight_t_) : at::mm(flat, weight_t_);
    if (pass.training) x_ = flat;
    if (x.dim() == 2) return y;
    at::DimVector sizes(x.sizes());
    sizes.back() = out_;
    return y.view(sizes);
  }

  bool has_parameters() const override { return true; }

  at::Tensor backward(at::Tensor dy, bool want_input) override {
    const at::Tensor flat = dy.dim() == 2 ? dy : dy.reshape({-1, out_});
    at::mm_out(weight_.gradient, flat.t(), x_);
    if (bias_.value.defined()) at::sum_out(bias_.gradient, flat, {0});
    x_.reset();
    if (!want_input) return {};
    at::Tensor dx = at::mm(flat, weight_.value);
    if (dy.dim() == 2) return dx;
    at::DimVector sizes(dy.sizes());
    sizes.back() = in_;
    return dx.view(sizes);
  }

 private:
  const std::int64_t in_, out_;
  TensorSource::Parameter weight_, bias_;
  at::Tensor weight_t_;
  at::Tensor x_;
};

class Conv2d final : public Op {
 public:
  Conv2d(const Layer& layer, TensorSource& source)
      : stride_(layer.stride), padding_(layer.padding), dilation_(layer.dilation), groups_(layer.groups) {
    weight_ = source.parameter();
    if (layer.bias) bias_ = source.parameter();
  }

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    if (pass.training) x_ = x;
    return at::convolution(x, weight_.value, bias_.value, stride_, padding_, dilation_, false, kNoPadding, groups_);
  }

  bool has_parameters() const override { return true; }

  at::Tensor backward(at::Tensor dy, bool want_input) override {
    const bool has_bias = bias_.value.defined();
    at::OptionalIntArrayRef bias_sizes;
    if (has_bias) bias_sizes = bias_.value.sizes();
    auto [dx, dw, db] = at::convolution_backward(dy, x_, weight_.value, bias_sizes, stride_, padding_, dilation_, false,
                                                 kNoPadding, groups_, {want_input, true, has_bias});
    weight_.gradient.copy_(dw);
    if (has_bias) bias_.gradient.copy_(db);
    x_.reset();
    return dx;
  }

 private:
  static constexpr std::array<std::int64_t, 2> kNoPadding{0, 0};  // of the output; only transposed convolutions have it
  const std::array<std::int64_t, 2> stride_, padding_, dilation_;
  const std::int64_t groups_;
  TensorSource::Parameter weight_, bias_;
  at::Tensor x_;
};

}  // namespace

OpPtr make_linear(const Layer& layer, TensorSource& source) { return std::make_unique<Linear>(layer, source); }
OpPtr make_conv2d(const Layer& layer, TensorSource& source) { return std::make_unique<Conv2d>(layer, source); }

}  // namespace modelhop
