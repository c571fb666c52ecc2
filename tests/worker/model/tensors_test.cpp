#include "worker/model/tensors.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <set>

#include "tests/worker/model_fixtures.h"

using namespace modelhop;
using namespace modelhop::testing;

namespace {

StateArena fresh(const Recipe& recipe, TrialId trial) {
  std::vector<TensorSpec> specs;
  const ModelTensors tensors = model_tensors(recipe.layers);
  for (const auto& tensor : tensors.parameters) specs.push_back(tensor.spec);
  for (const auto& tensor : tensors.buffers) specs.push_back(tensor.spec);
  StateArena arena(std::make_shared<const StateLayout>(StateLayout::make(specs)));
  initialize_model(recipe, trial, arena);
  return arena;
}

}  // namespace

TEST_CASE("tensors have the names and order of torch's state_dict", "[model]") {
  const ModelTensors tensors = model_tensors(small_cnn().layers);
  std::vector<std::string> parameters, buffers;
  for (const auto& tensor : tensors.parameters) parameters.push_back(tensor.spec.name);
  for (const auto& tensor : tensors.buffers) buffers.push_back(tensor.spec.name);
  CHECK(parameters == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias", "3.layers.0.weight",
                                               "3.layers.0.bias", "7.weight", "7.bias", "8.weight", "8.bias",
                                               "9.weight", "9.bias"});
  CHECK(buffers == std::vector<std::string>{"1.running_mean", "1.running_var", "1.num_batches_tracked",
                                            "8.running_mean", "8.running_var", "8.num_batches_tracked"});
  CHECK(tensors.parameters[0].spec.sizes == std::vector<std::int64_t>{4, 1, 3, 3});
  CHECK(tensors.buffers[2].spec.dtype == DType::kI64);
  CHECK(tensors.buffers[2].spec.sizes.empty());
}

TEST_CASE("weights and biases fill U(-1/sqrt(fan_in), 1/sqrt(fan_in)), norms start at one and zero", "[model]") {
  const Recipe recipe = classifier({linear(64, 500), batch_norm(LayerType::kBatchNorm1d, 500), linear(500, 3)});
  StateArena arena = fresh(recipe, {1});
  for (std::size_t i = 0; i < arena.layout().tensors.size(); ++i) {
    const TensorSpec& spec = arena.layout().tensors[i];
    if (spec.dtype == DType::kI64) {
      CHECK(*reinterpret_cast<const std::int64_t*>(arena.tensor(i)) == 0);
      continue;
    }
    const auto* values = reinterpret_cast<const float*>(arena.tensor(i));
    const std::size_t count = spec.size_bytes() / sizeof(float);
    if (spec.name == "1.weight" || spec.name == "1.running_var") {
      for (std::size_t k = 0; k < count; ++k) REQUIRE(values[k] == 1.0f);
    } else if (spec.name == "1.bias" || spec.name == "1.running_mean") {
      for (std::size_t k = 0; k < count; ++k) REQUIRE(values[k] == 0.0f);
    } else {
      const double bound = 1 / std::sqrt(spec.name[0] == '0' ? 64.0 : 500.0);
      double sum = 0, squares = 0;
      for (std::size_t k = 0; k < count; ++k) {
        REQUIRE(std::fabs(values[k]) <= bound);
        sum += values[k];
        squares += static_cast<double>(values[k]) * values[k];
      }
      if (count < 400) continue;
      const double n = static_cast<double>(count);
      CHECK(std::fabs(sum / n) < 5 * bound / std::sqrt(3 * n));  // five standard errors
      CHECK(std::fabs(squares / n / (bound * bound / 3) - 1) < 0.2);
    }
  }
}

TEST_CASE("each trial and each seed starts elsewhere, and the same one at the same bits", "[model]") {
  Recipe recipe = small_cnn();
  std::set<std::string> seen;
  for (const std::uint64_t seed : {7u, 8u}) {
    recipe.seed = seed;
    for (const std::uint64_t trial : {1u, 2u, 3u}) {
      const std::string hash = to_string(state_hash(fresh(recipe, {trial})));
      CHECK(hash == to_string(state_hash(fresh(recipe, {trial}))));
      seen.insert(hash);
    }
  }
  CHECK(seen.size() == 6);
}
