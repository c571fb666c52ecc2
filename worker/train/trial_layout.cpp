#include "worker/train/trial_layout.h"

#include "worker/model/tensors.h"
#include "worker/train/optimizer.h"

namespace modelhop {

StateLayout trial_layout(const Recipe& recipe) {
  std::vector<TensorSpec> parameters, tensors;
  const ModelTensors model = model_tensors(recipe.layers);
  for (const ModelTensor& tensor : model.parameters) parameters.push_back(tensor.spec);
  tensors = parameters;
  for (const ModelTensor& tensor : model.buffers) tensors.push_back(tensor.spec);
  for (TensorSpec& moment : moment_tensors(recipe.training.optimizer, parameters)) tensors.push_back(std::move(moment));
  return StateLayout::make(std::move(tensors));
}

}  // namespace modelhop
