#pragma once
// Which tensors a model has: names as in the state_dict of the same torch.nn.Sequential, in torch's order, and the
// distribution each starts from. A pure function of the recipe; torch-free.
#include <vector>

#include "common/spec/recipe.h"
#include "common/state/layout.h"

namespace modelhop {

class StateArena;

enum class Initial : std::uint8_t { kZeros, kOnes, kUniform };

struct ModelTensor {
  TensorSpec spec;  // offset not yet known
  Initial initial{};
  double bound{};  // kUniform: in [-bound, bound)
};

struct ModelTensors {
  std::vector<ModelTensor> parameters;
  std::vector<ModelTensor> buffers;
};

ModelTensors model_tensors(const std::vector<Layer>& layers);

// Fills parameters and buffers of `arena`, whose tensors begin with model_tensors(recipe.layers). Tensor i of the
// layout draws from the stream (recipe.seed, kInitialize, trial, i), so no tensor depends on the size of another.
void initialize_model(const Recipe& recipe, TrialId trial, StateArena& arena);

}  // namespace modelhop
