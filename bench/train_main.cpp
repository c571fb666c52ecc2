// One side of `./dev bench train`: our training loop over real rows. Reads "go" lines, trains one epoch (P = 1) for
// each, and prints its seconds. Arguments: mlp|cnn BATCH OPTIMIZER ROWS X Y, where X and Y are files of bytes.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "common/base/time.h"
#include "worker/train/trainer.h"

namespace modelhop {
namespace {

Layer of(LayerType type) {
  Layer layer;
  layer.type = type;
  return layer;
}

Layer linear(std::int64_t in, std::int64_t out) {
  Layer layer = of(LayerType::kLinear);
  layer.in_features = in;
  layer.out_features = out;
  return layer;
}

Layer conv2d(std::int64_t in, std::int64_t out) {
  Layer layer = of(LayerType::kConv2d);
  layer.in_channels = in;
  layer.out_channels = out;
  layer.kernel_size = {3, 3};
  layer.padding = {1, 1};
  return layer;
}

Layer max_pool() {
  Layer layer = of(LayerType::kMaxPool2d);
  layer.kernel_size = layer.stride = {2, 2};
  return layer;
}

std::vector<Layer> mlp() {
  return {of(LayerType::kFlatten), linear(784, 256),     of(LayerType::kReLU),
          linear(256, 128),        of(LayerType::kReLU), linear(128, 10)};
}

std::vector<Layer> cnn() {  // of docs/spec.md's first example
  return {conv2d(1, 16), of(LayerType::kReLU),    max_pool(),          conv2d(16, 32),       of(LayerType::kReLU),
          max_pool(),    of(LayerType::kFlatten), linear(32 * 49, 64), of(LayerType::kReLU), linear(64, 10)};
}

std::vector<std::uint8_t> read_bytes(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int fail(const std::string& why) {
  std::cerr << why << "\n";
  return 1;
}

int run(char** argv) {
  Recipe recipe;
  recipe.layers = std::string(argv[1]) == "cnn" ? cnn() : mlp();
  for (std::size_t i = 0; i < recipe.layers.size(); ++i) recipe.layers[i].name = std::to_string(i);
  recipe.transforms = {{TransformOp::kScale, 1.0 / 255, {}, {}}, {TransformOp::kNormalize, 1, {0.2860}, {0.3530}}};
  recipe.training.epochs = 1000;
  recipe.training.batch_size = std::stoull(argv[2]);
  recipe.training.loss.name = LossName::kCrossEntropy;
  recipe.training.metrics = {MetricName::kLoss, MetricName::kAccuracy};
  recipe.training.optimizer.name = std::string(argv[3]) == "sgd" ? OptimizerName::kSgd : OptimizerName::kAdam;
  recipe.training.optimizer.lr = 0.001;

  const std::uint64_t rows = std::stoull(argv[4]);
  Manifest manifest;
  manifest.columns = {{"x", DType::kU8, {1, 28, 28}}, {"y", DType::kU8, {}}};
  manifest.classes = 10;
  manifest.partitions.resize(1);
  manifest.partitions[0].rows = rows;
  std::vector<std::uint8_t> x = read_bytes(argv[5]), y = read_bytes(argv[6]);
  x.resize(rows * 784);
  y.resize(rows);
  const Partition data(rows, std::move(x), std::move(y));

  const auto trainer = make_torch_trainer(1);
  auto layout = trainer->layout(recipe, manifest);
  if (!layout.ok()) return fail(layout.status().message());
  StateArena state(layout.value());
  if (Status status = trainer->initialize(recipe, manifest, {1}, state); !status.ok()) return fail(status.message());
  std::string line;
  while (std::getline(std::cin, line)) {
    const Instant start = monotonic_now();
    const auto result = trainer->train({{1}, {0}, 1, &recipe, &manifest, &data}, state, {});
    if (!result.ok()) return fail(result.status().message());
    const double seconds = static_cast<double>(monotonic_now() - start) / kSecond;
    std::cout << seconds << " " << result->train[0].total / static_cast<double>(result->train[0].weight) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace modelhop

int main(int argc, char** argv) {
  if (argc != 7) return modelhop::fail("usage: modelhop-bench-train mlp|cnn BATCH sgd|adam ROWS X Y");
  return modelhop::run(argv);
}
