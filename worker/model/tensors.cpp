#include "worker/model/tensors.h"

#include <cmath>

#include "common/base/rng.h"
#include "common/state/arena.h"

namespace modelhop {
namespace {

using Sizes = std::vector<std::int64_t>;

class Collector {
 public:
  void add(const Layer& layer) {
    switch (layer.type) {
      // torch's kaiming_uniform(a = sqrt 5) is U(-1/sqrt(fan_in), 1/sqrt(fan_in)); its biases draw from the same.
      case LayerType::kLinear:
        return weights(layer, {layer.out_features, layer.in_features}, layer.in_features);
      case LayerType::kConv2d: {
        const std::int64_t channels = layer.in_channels / layer.groups;
        return weights(layer, {layer.out_channels, channels, layer.kernel_size[0], layer.kernel_size[1]},
                       channels * layer.kernel_size[0] * layer.kernel_size[1]);
      }
      case LayerType::kBatchNorm1d:
      case LayerType::kBatchNorm2d:
        return batch_norm(layer);
      case LayerType::kLayerNorm:
        if (layer.affine) parameter(layer, "weight", layer.normalized_shape, Initial::kOnes);
        if (layer.affine && layer.bias) parameter(layer, "bias", layer.normalized_shape, Initial::kZeros);
        return;
      case LayerType::kResidual:
        for (const Layer& inner : layer.layers) add(inner);
        return;
      default:
        return;
    }
  }
  ModelTensors take() { return std::move(tensors_); }

 private:
  void parameter(const Layer& layer, const char* name, Sizes sizes, Initial initial, double bound = 0) {
    tensors_.parameters.push_back(
        {{layer.name + "." + name, Section::kParameters, DType::kF32, std::move(sizes), 0}, initial, bound});
  }
  void buffer(const Layer& layer, const char* name, DType dtype, Sizes sizes, Initial initial) {
    tensors_.buffers.push_back({{layer.name + "." + name, Section::kBuffers, dtype, std::move(sizes), 0}, initial, 0});
  }
  void weights(const Layer& layer, Sizes sizes, std::int64_t fan_in) {
    const double bound = fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0;
    const std::int64_t outputs = sizes[0];
    parameter(layer, "weight", std::move(sizes), Initial::kUniform, bound);
    if (layer.bias) parameter(layer, "bias", {outputs}, Initial::kUniform, bound);
  }
  void batch_norm(const Layer& layer) {
    if (layer.affine) {
      parameter(layer, "weight", {layer.num_features}, Initial::kOnes);
      parameter(layer, "bias", {layer.num_features}, Initial::kZeros);
    }
    if (layer.track_running_stats) {
      buffer(layer, "running_mean", DType::kF32, {layer.num_features}, Initial::kZeros);
      buffer(layer, "running_var", DType::kF32, {layer.num_features}, Initial::kOnes);
      buffer(layer, "num_batches_tracked", DType::kI64, {}, Initial::kZeros);
    }
  }

  ModelTensors tensors_;
};

void fill(const ModelTensor& tensor, const KeyedRng& stream, std::uint8_t* at) {
  if (tensor.spec.dtype == DType::kI64) {
    *reinterpret_cast<std::int64_t*>(at) = 0;  // the only integer buffer is num_batches_tracked
    return;
  }
  auto* out = reinterpret_cast<float*>(at);
  const std::uint64_t count = tensor.spec.size_bytes() / sizeof(float);
  KeyedRng rng = stream;
  for (std::uint64_t i = 0; i < count; ++i) {
    switch (tensor.initial) {
      case Initial::kZeros:
        out[i] = 0;
        break;
      case Initial::kOnes:
        out[i] = 1;
        break;
      case Initial::kUniform:
        out[i] = static_cast<float>(tensor.bound * (2 * static_cast<double>(rng.next_float()) - 1));
        break;
    }
  }
}

}  // namespace

ModelTensors model_tensors(const std::vector<Layer>& layers) {
  Collector collector;
  for (const Layer& layer : layers) collector.add(layer);
  return collector.take();
}

void initialize_model(const Recipe& recipe, TrialId trial, StateArena& arena) {
  const ModelTensors tensors = model_tensors(recipe.layers);
  std::size_t index = 0;
  for (const auto* section : {&tensors.parameters, &tensors.buffers}) {
    for (const ModelTensor& tensor : *section) {
      fill(tensor, KeyedRng(recipe.seed, Purpose::kInitialize, trial.value, index), arena.tensor(index));
      ++index;
    }
  }
}

}  // namespace modelhop
