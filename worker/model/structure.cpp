// flatten, dropout, residual, and running layers one after another.
#include <ATen/ops/add.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/flatten.h>

#include "worker/model/dropout_mask.h"
#include "worker/model/op.h"

namespace modelhop {
namespace {

class Flatten final : public Op {
 public:
  explicit Flatten(const Layer& layer) : start_(layer.start_dim), end_(layer.end_dim) {}

  at::Tensor forward(const at::Tensor& x, const Pass&) override {
    sizes_ = at::DimVector(x.sizes());
    return at::flatten(x, start_, end_);
  }
  at::Tensor backward(at::Tensor dy, bool want_input) override {
    return want_input ? dy.reshape(sizes_) : at::Tensor();
  }

 private:
  const std::int64_t start_, end_;
  at::DimVector sizes_;
};

class Dropout final : public Op {
 public:
  Dropout(const Layer& layer, std::uint32_t place) : p_(layer.p), place_(place) {}

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override {
    if (!pass.training || p_ == 0) {
      kept_.clear();
      return x;
    }
    const KeyedRng stream(pass.seed, Purpose::kDropout, pass.trial.value, pass.step);
    kept_.resize(static_cast<std::size_t>(x.numel()));
    dropout_mask(stream, place_, p_, kept_);
    return masked(x);
  }
  at::Tensor backward(at::Tensor dy, bool want_input) override {
    if (!want_input) return {};
    return kept_.empty() ? dy : masked(dy);
  }

 private:
  at::Tensor masked(const at::Tensor& x) const {
    const at::Tensor from = x.contiguous();
    at::Tensor to = at::empty_like(from);
    apply_dropout(from.const_data_ptr<float>(), kept_, p_, to.mutable_data_ptr<float>());
    return to;
  }

  const double p_;
  const std::uint32_t place_;
  std::vector<std::uint8_t> kept_;  // 1 = goes through; empty = everything does
};

class Residual final : public Op {
 public:
  explicit Residual(Chain layers) : layers_(std::move(layers)) {}

  at::Tensor forward(const at::Tensor& x, const Pass& pass) override { return at::add(x, layers_.forward(x, pass)); }
  at::Tensor backward(at::Tensor dy, bool want_input) override {
    const at::Tensor dx = layers_.backward(dy.clone(), want_input);
    return want_input ? at::add(dy, dx) : at::Tensor();
  }
  bool has_parameters() const override { return layers_.has_parameters(); }

 private:
  const Chain layers_;
};

}  // namespace

OpPtr make_flatten(const Layer& layer) { return std::make_unique<Flatten>(layer); }
OpPtr make_dropout(const Layer& layer, std::uint32_t place) { return std::make_unique<Dropout>(layer, place); }
OpPtr make_residual(Chain layers) { return std::make_unique<Residual>(std::move(layers)); }

Chain::Chain(std::vector<OpPtr> ops) : ops_(std::move(ops)), first_with_parameters_(0) {
  while (first_with_parameters_ < ops_.size() && !ops_[first_with_parameters_]->has_parameters())
    ++first_with_parameters_;
}

at::Tensor Chain::forward(at::Tensor x, const Pass& pass) const {
  for (const OpPtr& op : ops_) x = op->forward(x, pass);
  return x;
}

at::Tensor Chain::backward(at::Tensor dy, bool want_input) const {
  const std::size_t last = want_input ? 0 : first_with_parameters_;
  for (std::size_t i = ops_.size(); i-- > last;) dy = ops_[i]->backward(std::move(dy), want_input || i > last);
  return want_input ? dy : at::Tensor();
}

}  // namespace modelhop
