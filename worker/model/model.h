#pragma once
// Model: the layers of a recipe over one state arena. torch.nn.Sequential's forward and its gradient.
// Lifecycle: built for a visit or an evaluation; cheap (views, no copies).
// Threads: one at a time. Owner: the trainer. The arenas outlive it.
// Invariant: parameters and buffers live in `state`, gradients in `gradients`, and stay there.
#include <vector>

#include "common/spec/recipe.h"
#include "common/state/arena.h"
#include "worker/model/gradient_arena.h"
#include "worker/model/op.h"

namespace modelhop {

class Model {
 public:
  // `gradients` null: only evaluation. REQUIRES: the state's tensors begin with model_tensors(layers).
  Model(const std::vector<Layer>& layers, StateArena& state, GradientArena* gradients);
  at::Tensor forward(const at::Tensor& x, const Pass& pass) const { return chain_.forward(x, pass); }
  // `dy`: gradient of the last training forward()'s result; may be overwritten. Every parameter's gradient is written.
  // Returns the gradient of x where wanted.
  at::Tensor backward(at::Tensor dy, bool want_input = false) const {
    return chain_.backward(std::move(dy), want_input);
  }

 private:
  const Chain chain_;
};

// A view of `data`; nothing is copied or owned.
at::Tensor view_floats(float* data, at::IntArrayRef sizes);

}  // namespace modelhop
