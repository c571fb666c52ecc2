#pragma once
// Op: one layer at work. Forward and backward call ATen's own kernels, each layer's backward the one that torch's
// autograd would call, without building a graph: parameters, buffers and gradients are views into flat arenas, and
// gradients are written where the optimizer reads them. Lifecycle: built for one pair of arenas; forward() then
// backward(), any number of times. Threads: one at a time. Owner: Model. Holds views into the arenas, which outlive it.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/ids.h"
#include "common/spec/recipe.h"

namespace modelhop {

struct Pass {
  bool training{};
  std::uint64_t seed{};  // of the recipe; with trial and step it keys dropout
  TrialId trial;
  std::uint64_t step{};
};

class Op {
 public:
  virtual ~Op() = default;
  // `x`: float, the batch first. In training, keeps what backward() needs. Writes to `x` only where its maker was told.
  virtual at::Tensor forward(const at::Tensor& x, const Pass& pass) = 0;
  // REQUIRES: the last forward() was a training pass. ENSURES: gradients of own parameters are overwritten. Returns the
  // gradient of forward()'s x, or an undefined tensor unless `want_input`. May write to `dy`.
  virtual at::Tensor backward(at::Tensor dy, bool want_input) = 0;
  virtual bool has_parameters() const { return false; }
};

// Hands an op its tensors, in the order of model_tensors().
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  struct Parameter {
    at::Tensor value, gradient;  // gradient undefined when the model only evaluates
  };
  virtual Parameter parameter() = 0;
  virtual at::Tensor buffer() = 0;
};

using OpPtr = std::unique_ptr<Op>;
OpPtr make_linear(const Layer& layer, TensorSource& source);
OpPtr make_conv2d(const Layer& layer, TensorSource& source);
OpPtr make_batch_norm(const Layer& layer, TensorSource& source);
OpPtr make_layer_norm(const Layer& layer, TensorSource& source);
// `in_place`: nobody else needs its input, so relu overwrites it.
OpPtr make_activation(const Layer& layer, bool in_place);
OpPtr make_pool(const Layer& layer);
OpPtr make_flatten(const Layer& layer);
// `place`: the layer's place in the model, depth first; with the pass it keys the mask.
OpPtr make_dropout(const Layer& layer, std::uint32_t place);

// Layers one after another: the model itself, or the inside of a residual.
class Chain {
 public:
  explicit Chain(std::vector<OpPtr> ops);
  at::Tensor forward(at::Tensor x, const Pass& pass) const;
  // As Op::backward. No gradient is computed for what no parameter stands before.
  at::Tensor backward(at::Tensor dy, bool want_input) const;
  bool has_parameters() const { return first_with_parameters_ < ops_.size(); }

 private:
  std::vector<OpPtr> ops_;
  std::size_t first_with_parameters_;
};

OpPtr make_residual(Chain layers);

}  // namespace modelhop
