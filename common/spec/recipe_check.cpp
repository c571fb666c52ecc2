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

// `object`: one layer that the schema has passed.
void check_same_padding(const json& object, const std::string& place, Problems& problems) {
  if (object.at("type") == "residual") {
    const json& layers = object.at("layers");
    for (std::size_t i = 0; i < layers.size(); ++i) {
      check_same_padding(layers[i], place + "/layers" + pointer_step(i), problems);
    }
  }
  if (object.at("type") != "conv2d" || object.at("padding") != "same") return;
  const Layer layer = read_layer(object, "");
  for (std::size_t side = 0; side < 2; ++side) {
    if (layer.stride[side] != 1) {
      problems.error(place + "/padding", "conv2d: padding \"same\" needs stride 1");
      return;
    }
    if (layer.dilation[side] * (layer.kernel_size[side] - 1) % 2 != 0) {
      problems.error(
          place + "/padding",
          "conv2d: padding \"same\" of an even kernel would differ from side to side; take an odd kernel_size, "
          "or a number");
      return;
    }
  }
}

void check_milestones(const LrSchedule& schedule, Problems& problems) {
  if (std::adjacent_find(schedule.milestones.begin(), schedule.milestones.end(), std::greater_equal<>()) !=
      schedule.milestones.end()) {
    problems.error("/training/lr_schedule/milestones", "must ascend");
  }
}

void check_warmup(const LrSchedule& schedule, std::uint64_t epochs, Problems& problems) {
  if (schedule.warmup <= static_cast<double>(epochs)) return;
  problems.error("/training/lr_schedule/warmup", "is longer than training.epochs, " + std::to_string(epochs));
}

// Batch normalization cannot train on a single value a channel, as torch says too.
bool normalizes_single_values(const std::vector<Layer>& layers) {
  return std::any_of(layers.begin(), layers.end(), [](const Layer& layer) {
    if (layer.type == LayerType::kResidual) return normalizes_single_values(layer.layers);
    if (layer.type != LayerType::kBatchNorm1d && layer.type != LayerType::kBatchNorm2d) return false;
    return elements_of(layer.in) == static_cast<std::uint64_t>(layer.in[0]);
  });
}

void check_batches(const Training& training, bool needs_two, const Manifest& data, Problems& problems) {
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

void check_transform(const Transform& transform, const std::string& place, const Manifest& data, Problems& problems) {
  if (transform.op != TransformOp::kNormalize) return;
  const Shape& shape = data.x().shape;
  const std::size_t channels = shape.empty() ? 1 : static_cast<std::size_t>(shape[0]);
  for (const auto& [key, list] : {std::pair{"mean", &transform.mean}, {"std", &transform.std}}) {
    if (list->size() == 1 || list->size() == channels) continue;
    problems.error(place + "/" + key, "has " + std::to_string(list->size()) + " entries; x is " + shape_text(shape) +
                                          ", so it needs 1" + (channels == 1 ? "" : " or " + std::to_string(channels)));
  }
}

void check_loss_target(LossName loss, const Manifest& data, Problems& problems) {
  if (loss == LossName::kCrossEntropy && (data.target != TargetKind::kClasses || !data.y().shape.empty())) {
    problems.error("/training/loss", "cross_entropy needs one class a row, but y of data set \"" + data.name +
                                         "\" is " + to_string(data.y().dtype) + " values of shape " +
                                         shape_text(data.y().shape) +
                                         "; take mse_loss, l1_loss, smooth_l1_loss or bce_with_logits");
  }
  if (loss == LossName::kBceWithLogits && data.target == TargetKind::kClasses && data.classes > 2) {
    problems.error("/training/loss", "bce_with_logits needs targets from 0 to 1, but y of data set \"" + data.name +
                                         "\" has " + std::to_string(data.classes) + " classes; take cross_entropy");
  }
}

// REQUIRES: every layer has its shapes.
void check_output(LossName loss, const std::vector<Layer>& layers, const Manifest& data, Problems& problems) {
  const Layer& last = layers.back();
  const std::string place = "/model/layers" + pointer_step(layers.size() - 1);
  const std::string given = std::string(to_string(last.type)) + ": the model's output is " + shape_text(last.out);
  if (loss == LossName::kCrossEntropy) {
    const bool classes = data.target == TargetKind::kClasses && data.y().shape.empty();
    if (!classes || last.out == Shape{static_cast<std::int64_t>(data.classes)}) return;
    problems.error(place, given + ", but cross_entropy over the " + std::to_string(data.classes) +
                              " classes of data set \"" + data.name + "\" needs [" + std::to_string(data.classes) +
                              "]");
    return;
  }
  const Shape& y = data.y().shape;
  if (last.out == y || (y.empty() && last.out == Shape{1})) return;
  problems.error(place,
                 given + ", but y of data set \"" + data.name + "\" is " + shape_text(y) + ", which needs " +
                     (y.empty() ? "[1]" : shape_text(y)) +
                     (data.target == TargetKind::kClasses && y.empty() ? "; for classes take cross_entropy" : ""));
}

void check_metric_fits(const std::string& name, LossName loss, const std::string& place, Problems& problems) {
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

// The sections of a recipe of which some may be unusable; each check names what it needs.
class RecipeCheck {
 public:
  RecipeCheck(const json& document, const Manifest* data, const Usable& usable, Problems& problems)
      : document_(document), data_(data), usable_(usable), problems_(problems) {}

  std::vector<Layer> run() {
    check_model();
    check_training();
    if (data_ != nullptr) check_transforms();
    return std::move(layers_);
  }

 private:
  // The list at this place; empty where there is none.
  const json& list(const char* section, const char* key) const {
    static const json kNone = json::array();
    const auto owner = document_.find(section);
    if (owner == document_.end() || !owner->is_object()) return kNone;
    const auto found = owner->find(key);
    return found == owner->end() || !found->is_array() ? kNone : *found;
  }

  // Fills in `layers_` up to the first that is unusable.
  void check_model() {
    const json& objects = list("model", "layers");
    whole_ = !objects.empty() && usable_("/model/layers");
    bool before = true;
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const std::string place = "/model/layers" + pointer_step(i);
      if (!usable_(place)) {
        before = false;
        continue;
      }
      Layer layer = read_layer(objects[i], std::to_string(i));
      check_layer(layer, place, problems_);
      check_same_padding(objects[i], place, problems_);
      if (before) layers_.push_back(std::move(layer));
    }
    if (whole_ && !has_parameters(layers_)) {
      problems_.error("/model/layers", "no layer has parameters, so there is nothing to train");
    }
    shaped_ = data_ != nullptr && infer_shapes(layers_, data_->x().shape, "/model/layers", problems_) && whole_;
  }

  void check_training() {
    if (usable_("/training/optimizer")) {
      const OptimizerSpec optimizer = read_optimizer(document_.at("training").at("optimizer"));
      if (optimizer.nesterov && (optimizer.momentum <= 0 || optimizer.dampening != 0)) {
        problems_.error("/training/optimizer/nesterov", "needs momentum above 0 and dampening 0");
      }
    }
    if (usable_("/training/lr_schedule")) {
      const LrSchedule schedule = read_schedule(document_.at("training").at("lr_schedule"));
      check_milestones(schedule, problems_);
      if (usable_("/training/epochs")) {
        check_warmup(schedule, document_.at("training").at("epochs").get<std::uint64_t>(), problems_);
      }
    }
    if (usable_("/training/loss")) check_loss();
    if (data_ != nullptr && usable_("/training/batch_size")) {
      Training training;
      training.batch_size = document_.at("training").at("batch_size").get<std::uint64_t>();
      const bool partial = usable_("/training/partial_batch");
      training.keep_partial_batch = partial && document_.at("training").at("partial_batch") == "keep";
      check_batches(training, shaped_ && normalizes_single_values(layers_), *data_, problems_);
    }
  }

  void check_loss() {
    const LossName loss = read_loss(document_.at("training").at("loss")).name;
    const json& metrics = list("training", "metrics");
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      const std::string place = "/training/metrics" + pointer_step(i);
      if (usable_(place)) check_metric_fits(metrics[i].at("name").get<std::string>(), loss, place, problems_);
    }
    if (data_ == nullptr) return;
    check_loss_target(loss, *data_, problems_);
    if (shaped_) check_output(loss, layers_, *data_, problems_);
  }

  void check_transforms() {
    const json& transforms = list("dataset", "transform");
    for (std::size_t i = 0; i < transforms.size(); ++i) {
      const std::string place = "/dataset/transform" + pointer_step(i);
      if (usable_(place)) check_transform(read_transform(transforms[i]), place, *data_, problems_);
    }
  }

  const json& document_;
  const Manifest* const data_;
  const Usable& usable_;
  Problems& problems_;
  std::vector<Layer> layers_;
  bool whole_{}, shaped_{};  // all layers are in `layers_`; and they have their shapes
};

}  // namespace

std::vector<Layer> check_recipe(const json& document, const Manifest* data, const Usable& usable, Problems& problems) {
  return RecipeCheck(document, data, usable, problems).run();
}

}  // namespace modelhop
