#include "common/spec/recipe.h"

#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/base/hash.h"
#include "common/spec/layers.h"

using namespace modelhop;
using nlohmann::json;

namespace {

Manifest manifest_of(Shape x, TargetKind target, std::uint64_t classes, Shape y = {}) {
  Manifest out;
  out.name = std::string("d");
  const DType y_type = target == TargetKind::kClasses ? DType::kU8 : DType::kF32;
  out.columns = {{"x", DType::kF32, std::move(x)}, {"y", y_type, std::move(y)}};
  out.target = target;
  out.classes = classes;
  for (std::uint64_t rows : {1000, 1001, 1000, 999}) out.partitions.push_back({"p", rows, 1, hash_bytes("p")});
  return out;
}

const Manifest kImages = manifest_of({1, 28, 28}, TargetKind::kClasses, 10);

json recipe_with(const json& layers) {
  json out = json::parse(R"({"dataset":{"name":"d"},"model":{"layers":[]},"seed":7,
      "training":{"epochs":5,"batch_size":64,"loss":"cross_entropy","optimizer":{"name":"adam"}}})");
  out["model"]["layers"] = layers;
  return out;
}

std::string refusal(const json& recipe, const Manifest& data = kImages) {
  const auto result = parse_recipe(recipe.dump(), data);
  return result.ok() ? "accepted" : result.status().message();
}

std::string refusal_of(const char* layers, const Manifest& data = kImages) {
  return refusal(recipe_with(json::parse(layers)), data);
}

const char* kCnn = R"([{"type":"conv2d","out_channels":16,"kernel_size":3,"padding":1},{"type":"relu"},
  {"type":"max_pool2d","kernel_size":2},
  {"type":"residual","layers":[{"type":"conv2d","out_channels":16,"kernel_size":[3,5],"padding":"same"},{"type":"batch_norm2d"}]},
  {"type":"flatten"},{"type":"layer_norm"},{"type":"linear","out_features":64},{"type":"batch_norm1d"},{"type":"dropout","p":0.2},
  {"type":"linear","out_features":10}])";

}  // namespace

TEST_CASE("a recipe is read with torch's defaults, names and inferred shapes", "[spec][recipe]") {
  const auto recipe = parse_recipe(recipe_with(json::parse(kCnn)).dump(), kImages);
  REQUIRE(recipe.ok());
  const auto& layers = recipe->layers;
  CHECK(layers[0].in_channels == 1);
  CHECK(layers[0].out == Shape{16, 28, 28});
  CHECK(layers[2].stride == std::array<std::int64_t, 2>{2, 2});
  CHECK(layers[2].out == Shape{16, 14, 14});
  CHECK(layers[3].layers[0].name == "3.layers.0");
  CHECK(layers[3].layers[0].padding == std::array<std::int64_t, 2>{1, 2});
  CHECK(layers[3].layers[1].num_features == 16);
  CHECK(layers[4].out == Shape{3136});
  CHECK(layers[5].normalized_shape == Shape{3136});
  CHECK(layers[6].in_features == 3136);
  CHECK(layers[6].name == "6");
  CHECK(layers[8].p == 0.2);
  CHECK(layers[9].out == Shape{10});
  CHECK(recipe->training.optimizer.lr == 0.001);
  CHECK(recipe->training.lr_schedule.name == ScheduleName::kConstant);
  CHECK(recipe->training.metrics == std::vector<MetricName>{MetricName::kLoss});
  CHECK(recipe->training.keep_partial_batch);
  CHECK(recipe->seed == 7);
}

TEST_CASE("each optimizer has torch.optim's defaults", "[spec][recipe]") {
  const auto optimizer = [](const char* name) {
    json recipe = recipe_with(json::parse(kCnn));
    recipe["training"]["optimizer"] = {{"name", name}};
    const auto result = parse_recipe(recipe.dump(), kImages);
    REQUIRE(result.ok());
    return result->training.optimizer;
  };
  CHECK(optimizer("sgd").lr == 1e-3);
  CHECK(optimizer("adamw").weight_decay == 1e-2);
  CHECK(optimizer("adam").weight_decay == 0);
  CHECK(optimizer("rmsprop").lr == 1e-2);
  CHECK(optimizer("rmsprop").alpha == 0.99);
  CHECK(optimizer("adagrad").eps == 1e-10);
  CHECK(optimizer("adagrad").lr == 1e-2);
}

TEST_CASE("every layer has torch's output shape, or is refused where torch refuses", "[spec][recipe]") {
  std::ifstream file(MODELHOP_SOURCE_DIR "/tests/common/spec/torch_shapes.txt");
  int cases = 0, refused = 0;
  for (std::string line; std::getline(file, line);) {
    INFO(line);
    const json one = json::parse(line);
    // A linear layer behind it, so that there is something to train; mse over its output, so that any shape is a model.
    json layers = json::array({one[0], {{"type", "linear"}, {"out_features", 1}}});
    json recipe = recipe_with(layers);
    recipe["training"]["loss"] = "mse_loss";
    recipe["training"]["batch_size"] = 2;
    recipe["training"]["partial_batch"] = "drop";
    Shape y;
    if (!one[2].is_null()) {
      y = one[2].get<Shape>();
      y.back() = 1;
    }
    const auto result = parse_recipe(recipe.dump(), manifest_of(one[1].get<Shape>(), TargetKind::kValues, 0, y));
    ++cases;
    if (one[2].is_null()) {
      ++refused;
      CHECK_FALSE(result.ok());
    } else {
      INFO((result.ok() ? "" : result.status().message()));
      REQUIRE(result.ok());
      CHECK(result->layers[0].out == one[2].get<Shape>());
    }
  }
  CHECK(cases == 600);
  CHECK(refused > 50);
}

TEST_CASE("a model that does not fit names the layer and both shapes", "[spec][recipe]") {
  CHECK(refusal_of(R"([{"type":"flatten"},{"type":"linear","in_features":100,"out_features":10}])") ==
        "model.layers.1 linear: in_features is 100, but the last dimension of the input is 784; leave in_features out, "
        "it "
        "follows from the input; its input is [784]");
  CHECK(refusal_of(R"([{"type":"flatten"},{"type":"conv2d","out_channels":4,"kernel_size":3}])") ==
        "model.layers.1 conv2d: needs an input of [channels, height, width]; its input is [784]");
  CHECK(refusal_of(R"([{"type":"max_pool2d","kernel_size":29},{"type":"linear","out_features":10}])") ==
        "model.layers.0 max_pool2d: its kernel of 29 is larger than the height of 28; its input is [1, 28, 28]");
  CHECK(refusal_of(R"([{"type":"residual","layers":[{"type":"linear","out_features":9}]}])") ==
        "model.layers.0 residual: x + layers(x) needs equal shapes; x is [1, 28, 28], its layers give [1, 28, 9]");
  CHECK(refusal_of(
            R"([{"type":"residual","layers":[{"type":"relu"},{"type":"linear","in_features":3,"out_features":9}]}])")
            .starts_with("model.layers.0.layers.1 linear: in_features is 3"));
  CHECK(refusal_of(R"([{"type":"flatten"},{"type":"linear","out_features":12}])") ==
        "model.layers.1 linear: the model's output is [12], but cross_entropy over the 10 classes of data set \"d\" "
        "needs [10]");
  CHECK(refusal_of(R"([{"type":"flatten"},{"type":"relu"}])").find("no layer has parameters") != std::string::npos);
}

TEST_CASE("sizes that would overflow are refused, not computed", "[spec][recipe]") {
  CHECK(
      refusal_of(
          R"([{"type":"flatten"},{"type":"linear","out_features":16777216},{"type":"linear","out_features":16777216}])")
          .find("too large") != std::string::npos);
  CHECK(refusal_of(R"([{"type":"adaptive_avg_pool2d","output_size":16777216},{"type":"linear","out_features":10}])")
            .find("too large") != std::string::npos);
  CHECK(refusal_of(R"([{"type":"conv2d","out_channels":1,"kernel_size":1,"padding":16777216}])").find("too large") !=
        std::string::npos);
}

TEST_CASE("losses and metrics are held against the targets", "[spec][recipe]") {
  const char* head = R"([{"type":"linear","out_features":3}])";
  const auto with = [&](const char* loss, json metrics, const Manifest& data, const char* layers) {
    json recipe = recipe_with(json::parse(layers));
    recipe["training"]["loss"] = loss;
    recipe["training"]["metrics"] = std::move(metrics);
    return refusal(recipe, data);
  };
  const Manifest values = manifest_of({5}, TargetKind::kValues, 0, {3});
  const Manifest scalar = manifest_of({5}, TargetKind::kValues, 0, {});
  const Manifest classes = manifest_of({5}, TargetKind::kClasses, 3);
  const Manifest two = manifest_of({5}, TargetKind::kClasses, 2);
  for (const char* loss : {"mse_loss", "l1_loss", "smooth_l1_loss", "bce_with_logits"}) {
    INFO(loss);
    CHECK(with(loss, {"mae", "mse", "loss"}, values, head) == "accepted");
    CHECK(with(loss, {"mae"}, scalar, R"([{"type":"linear","out_features":1}])") == "accepted");
    CHECK(with(loss, json::array(), scalar, head).find("which needs [1]") != std::string::npos);
  }
  CHECK(with("bce_with_logits", {"accuracy"}, values, head) == "accepted");
  CHECK(with("bce_with_logits", {"accuracy"}, two, R"([{"type":"linear","out_features":1}])") == "accepted");
  CHECK(with("bce_with_logits", json::array(), classes, R"([{"type":"linear","out_features":1}])")
            .find("has 3 classes") != std::string::npos);
  CHECK(with("cross_entropy", {"accuracy", "top5_accuracy"}, classes, head) == "accepted");
  CHECK(with("cross_entropy", json::array(), values, head).find("cross_entropy needs one class a row") !=
        std::string::npos);
  CHECK(with("cross_entropy", {"mae"}, classes, head).find("mae compares values") != std::string::npos);
  CHECK(with("mse_loss", {"accuracy"}, values, head).find("accuracy needs the loss") != std::string::npos);
  CHECK(with("mse_loss", json::array(), classes, head).find("for classes take cross_entropy") != std::string::npos);
}

TEST_CASE("a batch larger than the smallest partition is refused", "[spec][recipe]") {
  json recipe = recipe_with(json::parse(kCnn));
  recipe["training"]["partial_batch"] = "drop";
  recipe["training"]["batch_size"] = 999;
  CHECK(refusal(recipe) == "accepted");
  recipe["training"]["batch_size"] = 1000;
  CHECK(refusal(recipe).starts_with("training.batch_size is 1000, but partition 3 of data set \"d\" has 999 rows"));
}

TEST_CASE("a batch of one row behind batch normalization is refused", "[spec][recipe]") {
  json recipe = recipe_with(json::parse(kCnn));
  recipe["training"]["batch_size"] = 500;  // 1001 rows leave one
  CHECK(refusal(recipe).find("batch normalization needs two") != std::string::npos);
  recipe["training"]["partial_batch"] = "drop";
  CHECK(refusal(recipe) == "accepted");
}

TEST_CASE("rows and batches of a visit follow partial_batch", "[spec][recipe]") {
  Training training;
  training.batch_size = 64;
  CHECK(rows_per_visit(training, 130) == 130);
  CHECK(batches_per_visit(training, 130) == 3);
  CHECK(batches_per_visit(training, 128) == 2);
  training.keep_partial_batch = false;
  CHECK(rows_per_visit(training, 130) == 128);
  CHECK(batches_per_visit(training, 130) == 2);
}

TEST_CASE("a recipe with a wrong key or value is refused by its path", "[spec][recipe]") {
  CHECK(refusal_of(R"([{"type":"linear","out_feature":10}])").find("did you mean \"out_features\"?") !=
        std::string::npos);
  CHECK(refusal_of(R"([{"type":"lineal","out_features":10}])").find("did you mean \"linear\"?") != std::string::npos);
  json recipe = recipe_with(json::parse(kCnn));
  recipe["training"]["optimizer"]["momentum"] = 0.9;
  CHECK(refusal(recipe).starts_with("training.optimizer.momentum is not a key of adam"));
  recipe.erase("seed");
  CHECK_FALSE(parse_recipe("{\"a\":", kImages).ok());
  CHECK_FALSE(parse_recipe("[]", kImages).ok());
}
