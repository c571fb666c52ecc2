// max_pool2d, avg_pool2d, adaptive_avg_pool2d.
#include <ATen/ops/_adaptive_avg_pool2d.h>
#include <ATen/ops/_adaptive_avg_pool2d_backward.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/avg_pool2d_backward.h>
#include <ATen/ops/max_pool2d_with_indices.h>
#include <ATen/ops/max_pool2d_with_indices_backward.h>

#include "worker/model/op.h"

namespace modelhop {
namespace {

class MaxPool2d final : public Op {
 public:
  explicit MaxPool2d(const Layer& layer) : layer_(layer) {}

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    auto [y, indices] = at::max_pool2d_with_indices(x, layer_.kernel_size, layer_.stride, layer_.padding,
                                                    layer_.dilation, layer_.ceil_mode);
    if (pass.training) {
      x_ = x;
      indices_ = indices;
    }
    return y;
  }

  at::Tensor backward(const at::Tensor& dy, bool want_input) override {
    at::Tensor dx;
    if (want_input) {
      dx = at::max_pool2d_with_indices_backward(dy, x_, layer_.kernel_size, layer_.stride, layer_.padding,
                                                layer_.dilation, layer_.ceil_mode, indices_);
    }
    x_.reset();
    indices_.reset();
    return dx;
  }

 private:
  const Layer layer_;
  at::Tensor x_, indices_;
};

class AvgPool2d final : public Op {
 public:
  explicit AvgPool2d(const Layer& layer) : layer_(layer) {}

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    if (pass.training) x_ = x;
    return at::avg_pool2d(x, layer_.kernel_size, layer_.stride, layer_.padding, layer_.ceil_mode,
                          layer_.count_include_pad, std::nullopt);
  }

  at::Tensor backward(const at::Tensor& dy, bool want_input) override {
    at::Tensor dx;
    if (want_input) {
      dx = at::avg_pool2d_backward(dy, x_, layer_.kernel_size, layer_.stride, layer_.padding, layer_.ceil_mode,
                                   layer_.count_include_pad, std::nullopt);
    }
    x_.reset();
    return dx;
  }

 private:
  const Layer layer_;
  at::Tensor x_;
};

class AdaptiveAvgPool2d final : public Op {
 public:
  explicit AdaptiveAvgPool2d(const Layer& layer) : size_{layer.out[layer.out.size() - 2], layer.out.back()} {}

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    if (pass.training) x_ = x;
    return at::_adaptive_avg_pool2d(x, size_);
  }

  at::Tensor backward(const at::Tensor& dy, bool want_input) override {
    at::Tensor dx;
    if (want_input) dx = at::_adaptive_avg_pool2d_backward(dy, x_);
    x_.reset();
    return dx;
  }

 private:
  const std::array<std::int64_t, 2> size_;
  at::Tensor x_;
};

}  // namespace

OpPtr make_pool(const Layer& layer) {
  if (layer.type == LayerType::kMaxPool2d) return std::make_unique<MaxPool2d>(layer);
  if (layer.type == LayerType::kAvgPool2d) return std::make_unique<AvgPool2d>(layer);
  return std::make_unique<AdaptiveAvgPool2d>(layer);
}

}  // namespace modelhop
