// batch_norm1d, batch_norm2d and layer_norm.
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>

#include "worker/model/op.h"

namespace modelhop {
namespace {

std::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
}

class BatchNorm final : public Op {
 public:
  BatchNorm(const Layer& layer, TensorSource& source) : eps_(layer.eps), momentum_(layer.momentum) {
    if (layer.affine) {
      weight_ = source.parameter();
      bias_ = source.parameter();
    }
    if (layer.track_running_stats) {
      mean_ = source.buffer();
      var_ = source.buffer();
      batches_ = source.buffer();
    }
  }

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    // As torch.nn: without running statistics, evaluation normalizes by the batch's own.
    const bool by_batch = pass.training || !mean_.defined();
    at::Tensor var = var_;
    // One value a channel has no unbiased variance (0/0): such a batch moves the running mean only.
    if (pass.training && var.defined() && x.numel() == x.size(1)) var = var_.clone();
    auto [y, batch_mean, batch_invstd] = at::native_batch_norm(
        x, optional(weight_.value), optional(bias_.value), optional(mean_), optional(var), by_batch, momentum_, eps_);
    if (pass.training) {
      if (batches_.defined()) ++*batches_.mutable_data_ptr<std::int64_t>();
      x_ = x;
      batch_mean_ = batch_mean;
      batch_invstd_ = batch_invstd;
    }
    return y;
  }

  bool has_parameters() const override { return weight_.value.defined(); }

  at::Tensor backward(at::Tensor dy, bool want_input) override {
    const bool affine = weight_.value.defined();
    auto [dx, dw, db] =
        at::native_batch_norm_backward(dy, x_, optional(weight_.value), optional(mean_), optional(var_), batch_mean_,
                                       batch_invstd_, true, eps_, {want_input, affine, affine});
    if (affine) {
      weight_.gradient.copy_(dw);
      bias_.gradient.copy_(db);
    }
    x_.reset();
    return dx;
  }

 private:
  const double eps_, momentum_;
  TensorSource::Parameter weight_, bias_;
  at::Tensor mean_, var_, batches_;
  at::Tensor x_, batch_mean_, batch_invstd_;
};

class LayerNorm final : public Op {
 public:
  LayerNorm(const Layer& layer, TensorSource& source) : shape_(layer.normalized_shape), eps_(layer.eps) {
    if (layer.affine) weight_ = source.parameter();
    if (layer.affine && layer.bias) bias_ = source.parameter();
  }

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    auto [y, mean, rstd] = at::native_layer_norm(x, shape_, optional(weight_.value), optional(bias_.value), eps_);
    if (pass.training) {
      x_ = x;
      mean_ = mean;
      rstd_ = rstd;
    }
    return y;
  }

  bool has_parameters() const override { return weight_.value.defined(); }

  at::Tensor backward(at::Tensor dy, bool want_input) override {
    auto [dx, dw, db] =
        at::native_layer_norm_backward(dy, x_, shape_, mean_, rstd_, optional(weight_.value), optional(bias_.value),
                                       {want_input, weight_.value.defined(), bias_.value.defined()});
    if (weight_.value.defined()) weight_.gradient.copy_(dw);
    if (bias_.value.defined()) bias_.gradient.copy_(db);
    x_.reset();
    return dx;
  }

 private:
  const Shape shape_;
  const double eps_;
  TensorSource::Parameter weight_, bias_;
  at::Tensor x_, mean_, rstd_;
};

}  // namespace

OpPtr make_batch_norm(const Layer& layer, TensorSource& source) { return std::make_unique<BatchNorm>(layer, source); }
OpPtr make_layer_norm(const Layer& layer, TensorSource& source) { return std::make_unique<LayerNorm>(layer, source); }

}  // namespace modelhop
