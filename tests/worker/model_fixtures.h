#pragma once
// Small recipes and data sets, made by hand: these tests do not depend on the spec's parser.
#include <memory>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "common/spec/recipe.h"
#include "common/state/arena.h"
#include "worker/data/partition.h"

namespace modelhop::testing {

inline Layer layer(LayerType type) {
  Layer made;
  made.type = type;
  return made;
}
inline Layer linear(std::int64_t in, std::int64_t out, bool bias = true) {
  Layer made = layer(LayerType::kLinear);
  made.in_features = in;
  made.out_features = out;
  made.bias = bias;
  return made;
}
inline Layer conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t padding) {
  Layer made = layer(LayerType::kConv2d);
  made.in_channels = in;
  made.out_channels = out;
  made.kernel_size = {kernel, kernel};
  made.padding = {padding, padding};
  return made;
}
inline Layer batch_norm(LayerType type, std::int64_t features) {
  Layer made = layer(type);
  made.num_features = features;
  return made;
}
inline Layer dropout(double p) {
  Layer made = layer(LayerType::kDropout);
  made.p = p;
  return made;
}
inline Layer max_pool(std::int64_t kernel) {
  Layer made = layer(LayerType::kMaxPool2d);
  made.kernel_size = made.stride = {kernel, kernel};
  return made;
}
inline Layer residual(std::vector<Layer> layers) {
  Layer made = layer(LayerType::kResidual);
  made.layers = std::move(layers);
  return made;
}

// Gives every layer the prefix its tensors have in a torch state_dict.
inline std::vector<Layer> named(std::vector<Layer> layers, const std::string& prefix = "") {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i].name = prefix + std::to_string(i);
    layers[i].layers = named(std::move(layers[i].layers), layers[i].name + ".layers.");
  }
  return layers;
}

inline Recipe classifier(std::vector<Layer> layers) {
  Recipe recipe;
  recipe.dataset = "made";
  recipe.layers = named(std::move(layers));
  recipe.seed = 7;
  recipe.training.epochs = 2;
  recipe.training.batch_size = 8;
  recipe.training.loss.name = LossName::kCrossEntropy;
  recipe.training.metrics = {MetricName::kLoss, MetricName::kAccuracy};
  recipe.training.optimizer.name = OptimizerName::kSgd;
  recipe.training.optimizer.lr = 0.1;
  return recipe;
}

inline Recipe small_mlp() { return classifier({linear(6, 9), layer(LayerType::kReLU), linear(9, 3)}); }

// Batch norm, dropout, a residual, convolution and pooling, on {1, 6, 6}.
inline Recipe small_cnn() {
  Recipe recipe = classifier({conv2d(1, 4, 3, 1), batch_norm(LayerType::kBatchNorm2d, 4), layer(LayerType::kReLU),
                              residual({conv2d(4, 4, 3, 1), dropout(0.3)}), max_pool(2), layer(LayerType::kFlatten),
                              dropout(0.5), linear(36, 5), batch_norm(LayerType::kBatchNorm1d, 5), linear(5, 3)});
  recipe.training.optimizer.name = OptimizerName::kAdam;
  recipe.training.optimizer.lr = 0.01;
  return recipe;
}

inline std::size_t elements(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  return count;
}

template <class T>
std::vector<std::uint8_t> to_bytes(const std::vector<T>& values) {
  const auto* begin = reinterpret_cast<const std::uint8_t*>(values.data());
  return {begin, begin + values.size() * sizeof(T)};
}

// Float rows in memory with labels that follow from them, in partitions of the given sizes.
struct Data {
  Manifest manifest;
  std::vector<std::shared_ptr<const Partition>> partitions;
};
inline Data class_data(std::vector<std::int64_t> shape, std::uint64_t classes, const std::vector<std::uint64_t>& rows) {
  Data data;
  data.manifest.name = "made";
  data.manifest.columns = {{"x", DType::kF32, shape}, {"y", DType::kI64, {}}};
  data.manifest.target = TargetKind::kClasses;
  data.manifest.classes = classes;
  const std::size_t width = elements(shape);
  KeyedRng rng(11, Purpose::kImport);
  for (const std::uint64_t count : rows) {
    std::vector<float> x(count * width);
    std::vector<std::int64_t> y(count);
    for (std::size_t row = 0; row < count; ++row) {
      for (std::size_t i = 0; i < width; ++i) x[row * width + i] = static_cast<float>(rng.next_normal());
      y[row] = static_cast<std::int64_t>(x[row * width] > 0.5f) + static_cast<std::int64_t>(x[row * width + 1] > 0);
      y[row] %= static_cast<std::int64_t>(classes);
    }
    Shard shard;
    shard.rows = count;
    data.manifest.partitions.push_back(shard);
    data.partitions.push_back(std::make_shared<const Partition>(count, to_bytes(x), to_bytes(y)));
  }
  return data;
}

}  // namespace modelhop::testing
