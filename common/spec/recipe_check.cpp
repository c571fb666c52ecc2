#include <algorithm>

#include "common/spec/json_reader.h"
#include "common/spec/layers.h"
#include "common/spec/recipe_reader.h"

namespace modelhop {
namespace {

using nlohmann::json;

bool has_parameters(const std::vector<Layer>& layers) {
  return std::any_of(layers.begin(), layers.end(), [](const Layer& layer) {
    switch (layer.type) {
      case LayerType::kLinear:
      case LayerType::kConv2d:
        return true;
      case LayerType::kBatchNorm1d:
      case LayerType::kBatchNorm2d:
      case LayerType::kLayerNorm:
        return layer.affine;
      case LayerType::kResidual:
        return has_parameters(layer.layers);
      default:
        return false;
    }
  });
}

void check_same_padding(const json& layers, const std::string& pointer, Problems& problems) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const json& object = layers[i];
    const std::string place = pointer + pointer_step(i);
    if (object.at("type") == "residual") check_same_padding(object.at("layers"), place + "/layers", problems);
    if (object.at("type") != "conv2d" || object.at("padding") != "same") continue;
    const Layer layer = read_layers(json::array({object}), "").front();
    for (std::size_t side = 0; side < 2; ++side) {
      if (layer.stride[side] != 1) {
        problems.error(place + "/padding", "conv2d: padding \"same\" needs stride 1");
        break;
      }
      if (layer.dilation[side] * (layer.kernel_size[side] - 1) % 2 != 0) {
        problems.error(
            place + "/padding",
            "conv2d: padding \"same\" of an even kernel would differ from side to side; take an odd kernel_size, "
            "or a number");
        break;
      }
    }
  }
}

void check_schedule(const Training& training, Problems& problems) {
  const LrSchedule& schedule = training.lr_schedule;
  const std::string place = "/training/lr_schedule";
  if (schedule.warmup > static_cast<double>(training.epochs)) {
    problems.error(place + "/warmup", "is longer than training.epochs, " + std::to_string(training.epochs));
  }
  if (std::adjacent_find(schedule.milestones.begin(), schedule.milestones.end(), std::greater_equal<>()) !=
      schedule.milestones.end()) {
    problems.error(place + "/milestones", "must ascend");
  }
}

// Batch normalization cannot train on a single value a channel, as torch says too.
bool normalizes_single_values(const std::vector<Layer>& layers) {
  return std::any_of(layers.begin(), layers.end(), [](const Layer& layer) {
    if (layer.type == LayerType::kResidual) return normalizes_single_values(layer.layers);
    if (layer.type != LayerType::kBatchNorm1d && layer.type != LayerType::kBatchNorm2d) return false;
    return elements_of(layer.in) == static_cast<std::uint64_t>(layer.in[0]);
  });
}

void check_batches(const Recipe& recipe, const Manifest& data, Problems& problems) {
  const Training& training = recipe.training;
  const bool needs_two = normalizes_single_values(recipe.layers);
  for (std::size_t i = 0; i < data.partitions.size(); ++i) {
    const std::uint64_t rows = data.partitions[i].rows;
    const std::string partition =
        "partition " + std::to_string(i) + " of data set \"" + data.name + "\" has " + std::to_string(rows) + " rows";
    if (training.batch_size > rows) {
      problems.error("/training/batch_size", "is " + std::to_string(training.batch_size) + ", but " + partition +
                                                 "; take at most so many, or import with fewer partitions");
      return;
    }
    if (needs_two && (training.batch_size == 1 || (training.keep_partial_batch && rows % training.batch_size == 1))) {
      problems.error("/training/batch_size",
                     "is " + std::to_string(training.batch_size) + " and " + partition +
                         ": a batch of one row is left, and batch normalization needs two; take another batch_size" +
                         (training.batch_size == 1 ? "" : ", or partial_batch \"drop\""));
      return;
    }
  }
}

void check_transforms(const Recipe& recipe, const Manifest& data, Problems& problems) {
  const Shape& shape = data.x().shape;
  const std::size_t channels = shape.empty() ? 1 : static_cast<std::size_t>(shape[0]);
  for (std::size_t i = 0; i < recipe.transforms.size(); ++i) {
    const Transform& transform = recipe.transforms[i];
    if (transform.op != TransformOp::kNormalize) continue;
    for (const auto& [key, list] : {std::pair{"mean", &transform.mean}, {"std", &transform.std}}) {
      if (list->size() == 1 || list->size() == channels) continue;
      problems.error("/dataset/transform" + pointer_step(i) + "/" + key,
                     "has " + std::to_string(list->size()) + " entries; x is " + shape_text(shape) + ", so it needs 1" +
                         (channels == 1 ? "" : " or " + std::to_string(channels)));
    }
  }
}

std::string last_layer(const Recipe& recipe) { return "/model/layers" + pointer_step(recipe.layers.size() - 1); }

void check_loss(const Recipe& recipe, const Manifest& data, Problems& problems) {
  const Layer& last = recipe.layers.back();
  const std::string given = std::string(to_string(last.type)) + ": the model's output is " + shape_text(last.out);
  if (recipe.training.loss.name == LossName::kCrossEntropy) {
    if (data.target != TargetKind::kClasses || !data.y().shape.empty()) {
      problems.error("/training/loss", "cross_entropy needs one class a row, but y of data set \"" + data.name +
                                           "\" is " + to_string(data.y().dtype) + " values of shape " +
                                           shape_text(data.y().shape) +
                                           "; take mse_loss, l1_loss, smooth_l1_loss or bce_with_logits");
    } else if (last.out != Shape{static_cast<std::int64_t>(data.classes)}) {
      problems.error(last_layer(recipe), given + ", but cross_entropy over the " + std::to_string(data.classes) +
                                             " classes of data set \"" + data.name + "\" needs [" +
                                             std::to_string(data.classes) + "]");
    }
    return;
  }
  const Shape& y = data.y().shape;
  const bool scalar = y.empty() && last.out == Shape{1};
  if (last.out != y && !scalar) {
    problems.error(last_layer(recipe),
                   given + ", but y of data set \"" + data.name + "\" is " + shape_text(y) + ", which needs " +
                       (y.empty() ? "[1]" : shape_text(y)) +
                       (data.target == TargetKind::kClasses && y.empty() ? "; for classes take cross_entropy" : ""));
  }
  if (recipe.training.loss.name == LossName::kBceWithLogits && data.target == TargetKind::kClasses &&
      data.classes > 2) {
    problems.error("/training/loss", "bce_with_logits needs targets from 0 to 1, but y of data set \"" + data.name +
                                         "\" has " + std::to_string(data.classes) + " classes; take cross_entropy");
  }
}

void check_metrics(const Recipe& recipe, const json& document, Problems& problems) {
  const LossName loss = recipe.training.loss.name;
  const json& metrics = document.at("training").at("metrics");
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    const std::string name = metrics[i].at("name").get<std::string>();
    const std::string place = "/training/metrics" + pointer_step(i);
    if (name == "accuracy" && loss != LossName::kCrossEntropy && loss != LossName::kBceWithLogits) {
      problems.error(place, "accuracy needs the loss cross_entropy or bce_with_logits; for values take mae or mse");
    }
    if (name == "top5_accuracy" && loss != LossName::kCrossEntropy) {
      problems.error(place, "top5_accuracy needs the loss cross_entropy");
    }
    if ((name == "mae" || name == "mse") && loss == LossName::kCrossEntropy) {
      problems.error(place, name + " compares values, and cross_entropy has classes; take accuracy");
    }
  }
}

}  // namespace

void check_without_data(const Recipe& recipe, const json& document, Problems& problems) {
  check_layers(recipe.layers, "/model/layers", problems);
  check_same_padding(document.at("model").at("layers"), "/model/layers", problems);
  if (!has_parameters(recipe.layers)) {
    problems.error("/model/layers", "no layer has parameters, so there is nothing to train");
  }
  const OptimizerSpec& optimizer = recipe.training.optimizer;
  if (optimizer.nesterov && (optimizer.momentum <= 0 || optimizer.dampening != 0)) {
    problems.error("/training/optimizer/nesterov", "needs momentum above 0 and dampening 0");
  }
  check_schedule(recipe.training, problems);
  check_metrics(recipe, document, problems);
}

void check_with_data(Recipe& recipe, const Manifest& data, Problems& problems) {
  check_transforms(recipe, data, problems);
  if (infer_shapes(recipe.layers, data.x().shape, "/model/layers", problems)) {
    check_loss(recipe, data, problems);
    check_batches(recipe, data, problems);
  }
}

void check_parts(const json& document, const Manifest* data, const std::function<bool(const char*)>& usable,
                 Problems& problems) {
  Recipe recipe;
  bool shaped = false;
  if (usable("/model") && usable("/dataset")) {
    recipe.layers = read_layers(document.at("model").at("layers"), "");
    check_layers(recipe.layers, "/model/layers", problems);
    if (data != nullptr) shaped = infer_shapes(recipe.layers, data->x().shape, "/model/layers", problems);
  }
  if (data == nullptr) return;
  if (shaped && usable("/training/loss")) {
    recipe.training.loss = read_loss(document.at("training").at("loss"));
    check_loss(recipe, *data, problems);
  }
  if (usable("/training/batch_size")) {
    recipe.layers.clear();
    recipe.training.batch_size = document.at("training").at("batch_size").get<std::uint64_t>();
    check_batches(recipe, *data, problems);
  }
}

}  // namespace modelhop
