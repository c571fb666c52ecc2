#include "worker/train/trainer.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <thread>

#include "common/base/visit_order.h"
#include "tests/worker/model_fixtures.h"
#include "worker/data/shuffle.h"

using namespace modelhop;
using namespace modelhop::testing;

namespace {

std::unique_ptr<StateArena> fresh(Trainer& trainer, const Recipe& recipe, const Data& data, TrialId trial = {3}) {
  auto layout = trainer.layout(recipe, data.manifest);
  REQUIRE(layout.ok());
  auto state = std::make_unique<StateArena>(layout.value());
  REQUIRE(trainer.initialize(recipe, data.manifest, trial, *state).ok());
  return state;
}

VisitRequest request(const Recipe& recipe, const Data& data, const Cursor& at, TrialId trial = {3}) {
  const auto partitions = static_cast<std::uint32_t>(data.partitions.size());
  const PartitionIndex partition = partition_of_visit(1, at.visit, partitions);
  return {trial, partition, partitions, &recipe, &data.manifest, data.partitions[partition.value].get(), {}};
}

// Trains whole visits; yields after every `yield_every` batches and goes on (0: never yields).
ContentHash train(Trainer& trainer, const Recipe& recipe, const Data& data, std::uint64_t visits,
                  std::uint64_t yield_every, std::uint64_t* yields = nullptr, std::vector<Sum>* sums = nullptr) {
  auto state = fresh(trainer, recipe, data);
  for (std::uint64_t visit = 0; visit < visits; ++visit) {
    std::vector<Sum> before;
    bool more = true;
    while (more) {
      std::uint64_t batches = 0;
      const UnitControl control{[&] { return yield_every > 0 && ++batches >= yield_every; }, nullptr};
      VisitRequest now = request(recipe, data, state->cursor);
      now.train_before = before;
      const auto result = trainer.train(now, *state, control);
      REQUIRE(result.ok());
      before = result->train;
      more = result->yielded;
      if (more && yields != nullptr) ++*yields;
    }
    REQUIRE(state->cursor.batch == 0);
    if (sums != nullptr) sums->insert(sums->end(), before.begin(), before.end());
  }
  return state_hash(*state);
}

}  // namespace

TEST_CASE("a unit that yields at any batch boundary goes on to the same bits and sums", "[train]") {
  const Data data = class_data({1, 6, 6}, 3, {37, 40, 33});  // 33 = 4 batches and one of a single row
  const Recipe recipe = small_cnn();
  const auto trainer = make_torch_trainer(1);
  std::vector<Sum> whole_sums;
  const ContentHash whole = train(*trainer, recipe, data, 4, 0, nullptr, &whole_sums);
  for (const std::uint64_t every : {1u, 2u, 3u}) {
    std::uint64_t yields = 0;
    std::vector<Sum> sums;
    CHECK(train(*trainer, recipe, data, 4, every, &yields, &sums) == whole);
    CHECK(sums == whole_sums);
    CHECK(yields >= 4);
  }
  const auto other = make_torch_trainer(1);
  CHECK(train(*other, recipe, data, 4, 0) == whole);
  ContentHash on_a_thread;
  std::thread([&] { on_a_thread = train(*trainer, recipe, data, 4, 1); }).join();
  CHECK(on_a_thread == whole);
}

TEST_CASE("the cursor counts batches, visits, epochs, steps and rows", "[train]") {
  const Data data = class_data({6}, 3, {20, 16});
  Recipe recipe = small_mlp();
  const auto trainer = make_torch_trainer(1);
  auto state = fresh(*trainer, recipe, data);
  std::vector<Cursor> seen;
  const UnitControl control{nullptr, [&](const Cursor& at) { seen.push_back(at); }};
  REQUIRE(trainer->train(request(recipe, data, state->cursor), *state, control).ok());  // partition 1: 16 rows
  CHECK(seen == std::vector<Cursor>{{0, 0, 1, 1, 8}, {0, 1, 0, 2, 16}});
  REQUIRE(trainer->train(request(recipe, data, state->cursor), *state, {}).ok());  // partition 0: 8 + 8 + 4
  CHECK(state->cursor == Cursor{1, 0, 0, 5, 36});
  recipe.training.keep_partial_batch = false;
  state = fresh(*trainer, recipe, data);
  REQUIRE(trainer->train(request(recipe, data, state->cursor), *state, {}).ok());
  const auto result = trainer->train(request(recipe, data, state->cursor), *state, {});
  REQUIRE(result.ok());
  CHECK(state->cursor == Cursor{1, 0, 0, 4, 32});
  CHECK(result->train[0].weight == 16);
}

TEST_CASE("visits over P partitions are sequential SGD, as a loop written by hand does it", "[train]") {
  const Data data = class_data({6}, 3, {20, 16});
  Recipe recipe = classifier({linear(6, 3)});
  const auto trainer = make_torch_trainer(1);
  auto state = fresh(*trainer, recipe, data);
  std::vector<double> weight(18), bias(3);
  std::copy_n(reinterpret_cast<float*>(state->tensor(0)), 18, weight.begin());
  std::copy_n(reinterpret_cast<float*>(state->tensor(1)), 3, bias.begin());

  for (std::uint32_t visit = 0; visit < 4; ++visit) {
    const VisitRequest now = request(recipe, data, state->cursor);
    const auto order = shuffled_rows(recipe.seed, state->cursor.epoch, now.partition, now.data->rows(), std::nullopt);
    REQUIRE(trainer->train(now, *state, {}).ok());
    const auto* x = reinterpret_cast<const float*>(now.data->x().data());
    const auto* y = reinterpret_cast<const std::int64_t*>(now.data->y().data());
    for (std::size_t first = 0; first < order.size(); first += 8) {
      const std::size_t end = std::min(first + 8, order.size());
      std::vector<double> weight_slope(18), bias_slope(3);
      for (std::size_t i = first; i < end; ++i) {
        const float* row = x + order[i] * 6;
        double p[3], sum = 0;
        for (std::size_t c = 0; c < 3; ++c) {
          p[c] = bias[c];
          for (std::size_t k = 0; k < 6; ++k) p[c] += weight[c * 6 + k] * row[k];
          p[c] = std::exp(p[c]);
          sum += p[c];
        }
        for (std::size_t c = 0; c < 3; ++c) {
          const double slope =
              (p[c] / sum - (y[order[i]] == static_cast<std::int64_t>(c))) / static_cast<double>(end - first);
          bias_slope[c] += slope;
          for (std::size_t k = 0; k < 6; ++k) weight_slope[c * 6 + k] += slope * row[k];
        }
      }
      for (std::size_t k = 0; k < 18; ++k) weight[k] -= 0.1 * weight_slope[k];
      for (std::size_t k = 0; k < 3; ++k) bias[k] -= 0.1 * bias_slope[k];
    }
  }
  const auto* trained = reinterpret_cast<const float*>(state->tensor(0));
  for (std::size_t k = 0; k < 18; ++k) CHECK(std::abs(trained[k] - weight[k]) < 1e-5);
}

TEST_CASE("pads of the arena stay zero under every optimizer", "[train]") {
  const Data data = class_data({1, 6, 6}, 3, {24});
  const auto trainer = make_torch_trainer(1);
  for (const OptimizerName name : {OptimizerName::kSgd, OptimizerName::kAdam, OptimizerName::kAdamW,
                                   OptimizerName::kRmsprop, OptimizerName::kAdagrad}) {
    Recipe recipe = small_cnn();
    recipe.training.optimizer.name = name;
    recipe.training.optimizer.momentum = 0.9;
    recipe.training.optimizer.eps = 0;
    recipe.training.optimizer.amsgrad = recipe.training.optimizer.centered = true;
    recipe.training.optimizer.initial_accumulator_value = 0.5;
    recipe.training.clip_grad_norm = 0.1;
    auto state = fresh(*trainer, recipe, data);
    REQUIRE(trainer->train(request(recipe, data, state->cursor), *state, {}).ok());
    std::vector<bool> used(state->layout().size_bytes);
    for (const TensorSpec& spec : state->layout().tensors) {
      std::fill_n(used.begin() + static_cast<std::ptrdiff_t>(spec.offset_bytes), spec.size_bytes(), true);
    }
    std::size_t pads = 0;
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (used[i]) continue;
      ++pads;
      REQUIRE(state->bytes()[i] == 0);
    }
    CHECK(pads > 0);
  }
}

TEST_CASE("batch norm's statistics and count move in training, in the arena", "[train]") {
  const Data data = class_data({1, 6, 6}, 3, {17});  // 8 + 8 + 1 rows
  const Recipe recipe = small_cnn();
  const auto trainer = make_torch_trainer(1);
  auto state = fresh(*trainer, recipe, data);
  REQUIRE(trainer->train(request(recipe, data, state->cursor), *state, {}).ok());
  for (std::size_t i = 0; i < state->layout().tensors.size(); ++i) {
    const TensorSpec& spec = state->layout().tensors[i];
    if (spec.dtype == DType::kI64) {
      CHECK(*reinterpret_cast<const std::int64_t*>(state->tensor(i)) == 3);
      continue;
    }
    const auto* values = reinterpret_cast<const float*>(state->tensor(i));
    for (std::size_t k = 0; k < spec.size_bytes() / sizeof(float); ++k) {
      REQUIRE(std::isfinite(values[k]));  // a batch of one row has no variance, and must not poison the statistics
      if (spec.section == Section::kBuffers) CHECK(values[k] != (spec.name.ends_with("var") ? 1.0f : 0.0f));
    }
  }
}

TEST_CASE("evaluation leaves the state as it is and does not depend on how it was reached", "[train]") {
  const Data data = class_data({1, 6, 6}, 3, {40, 600});
  const Recipe recipe = small_cnn();
  const auto trainer = make_torch_trainer(1);
  auto state = fresh(*trainer, recipe, data);
  REQUIRE(trainer->train(request(recipe, data, state->cursor), *state, {}).ok());
  const ContentHash before = state_hash(*state);
  const auto first = trainer->evaluate(recipe, data.manifest, *data.partitions[1], *state, {});
  const auto second = trainer->evaluate(recipe, data.manifest, *data.partitions[1], *state, {});
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(first.value() == second.value());
  CHECK(first.value()[0].name == "loss");
  CHECK(first.value()[1].name == "accuracy");
  CHECK(first.value()[0].weight == 600);
  CHECK(state_hash(*state) == before);
}

TEST_CASE("a loss that is not a number is a result, not an error", "[train]") {
  const Data data = class_data({6}, 3, {40});
  Recipe recipe = small_mlp();
  recipe.training.optimizer.lr = 1e30;
  const auto trainer = make_torch_trainer(1);
  auto state = fresh(*trainer, recipe, data);
  const auto result = trainer->train(request(recipe, data, state->cursor), *state, {});
  REQUIRE(result.ok());
  CHECK_FALSE(std::isfinite(result->train[0].total));
}

TEST_CASE("what does not fit together is refused, not trained", "[train]") {
  Data data = class_data({6}, 5, {16});
  Recipe recipe = small_mlp();
  const auto trainer = make_torch_trainer(1);
  auto state = fresh(*trainer, recipe, data);
  SECTION("a label the model has no output for") {
    std::vector<std::int64_t> labels(16, 4);
    const auto bad = std::make_shared<const Partition>(
        16, std::vector<std::uint8_t>(data.partitions[0]->x().begin(), data.partitions[0]->x().end()),
        to_bytes(labels));
    VisitRequest now = request(recipe, data, state->cursor);
    now.data = bad.get();
    const auto result = trainer->train(now, *state, {});
    REQUIRE_FALSE(result.ok());
    CHECK(result.status().code() == Code::kCorrupt);
    CHECK(result.status().message().find("label is 4") != std::string::npos);
  }
  SECTION("a state of another recipe") {
    const Recipe other = classifier({linear(6, 3)});
    CHECK(trainer->train(request(other, data, state->cursor), *state, {}).status().code() == Code::kCorrupt);
    CHECK(trainer->evaluate(other, data.manifest, *data.partitions[0], *state, {}).status().code() == Code::kCorrupt);
    CHECK(trainer->initialize(other, data.manifest, {1}, *state).code() == Code::kCorrupt);
  }
  SECTION("a cursor behind the visit's end") {
    state->cursor.batch = 2;
    CHECK(trainer->train(request(recipe, data, state->cursor), *state, {}).status().code() == Code::kCorrupt);
    state->cursor.batch = 0;
    state->cursor.visit = 1;
    CHECK(
        trainer->train({{3}, {0}, 1, &recipe, &data.manifest, data.partitions[0].get()}, *state, {}).status().code() ==
        Code::kCorrupt);
  }
  SECTION("rows of another width than the model's input") {
    data.manifest.columns[0].shape = {3};
    const auto result = trainer->train(request(recipe, data, state->cursor), *state, {});
    REQUIRE_FALSE(result.ok());
    CHECK(result.status().message().find("torch refused") != std::string::npos);
  }
}

TEST_CASE("the numeric profile tells thread counts apart", "[train]") {
  CHECK(make_torch_trainer(1)->numeric_profile() == make_torch_trainer(1)->numeric_profile());
  CHECK(make_torch_trainer(1)->numeric_profile() != make_torch_trainer(2)->numeric_profile());
}
