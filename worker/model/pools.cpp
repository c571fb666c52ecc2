// max_pool2d, avg_pool2d, adaptive_avg_pool2d.
#include <ATen/ops/_adaptive_avg_pool2d.h>
#include <ATen/ops/_adaptive_avg_pool2d_backward.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/avg_pool2d_backward.h>
#include <ATen/ops/empty.h>

#include "worker/model/max_pool.h"
#include "worker/model/op.h"

namespace modelhop {
namespace {

class MaxPool2d final : public Op {
 public:
  explicit MaxPool2d(const Layer& layer)
      : ceil_mode_(layer.ceil_mode),
        geometry_{0, 0, 0, 0, 0, layer.kernel_size, layer.stride, layer.padding, layer.dilation} {}

  at::Tensor forward(const at::Tensor& x, const Pass&) override {
    const at::Tensor from = x.contiguous();
    geometry_.planes = x.size(0) * x.size(1);
    geometry_.in_height = x.size(2);
    geometry_.in_width = x.size(3);
    geometry_.out_height = output_size(0, x.size(2));
    geometry_.out_width = output_size(1, x.size(3));
    winner_.resize(static_cast<std::size_t>(geometry_.planes * geometry_.out_height * geometry_.out_width));
    at::Tensor y = at::empty({x.size(0), x.size(1), geometry_.out_height, geometry_.out_width}, x.options());
    max_pool_forward(geometry_, from.const_data_ptr<float>(), y.mutable_data_ptr<float>(), winner_.data());
    return y;
  }

  at::Tensor backward(at::Tensor dy, bool want_input) override {
    if (!want_input) return {};
    dy = dy.contiguous();
    at::Tensor dx = at::empty({dy.size(0), dy.size(1), geometry_.in_height, geometry_.in_width}, dy.options());
    max_pool_backward(geometry_, dy.const_data_ptr<float>(), winner_.data(), dx.mutable_data_ptr<float>());
    return dx;
  }

 private:
  // torch's rule: with ceil_mode, the last window must begin inside the input or its left padding.
  std::int64_t output_size(std::size_t axis, std::int64_t in) const {
    const std::int64_t stride = geometry_.stride[axis], padding = geometry_.padding[axis];
    const std::int64_t room = in + 2 * padding - geometry_.dilation[axis] * (geometry_.kernel_size[axis] - 1) - 1;
    std::int64_t out = (room + (ceil_mode_ ? stride - 1 : 0)) / stride + 1;
    if (ceil_mode_ && (out - 1) * stride >= in + padding) --out;
    return out;
  }

  const bool ceil_mode_;
  PoolGeometry geometry_;
  std::vector<std::int32_t> winner_;
};

class AvgPool2d final : public Op {
 public:
  explicit AvgPool2d(const Layer& layer) : layer_(layer) {}

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    if (pass.training) x_ = x;
    return at::avg_pool2d(x, layer_.kernel_size, layer_.stride, layer_.padding, layer_.ceil_mode,
                          layer_.count_include_pad, std::nullopt);
  }

  at::Tensor backward(at::Tensor dy, bool want_input) override {
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

  at::Tensor backward(at::Tensor dy, bool want_input) override {
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
