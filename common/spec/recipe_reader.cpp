#include "common/spec/recipe_reader.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "common/spec/json_reader.h"
#include "common/spec/layers.h"

namespace modelhop {
namespace {

using nlohmann::json;

template <class Enum, std::size_t N>
Enum named(const json& value, const std::array<std::pair<const char*, Enum>, N>& names) {
  for (const auto& [name, item] : names) {
    if (value == name) return item;
  }
  check_failed(__FILE__, __LINE__, "the schema and the enumeration name the same");
}

constexpr std::array<std::pair<const char*, LossName>, 5> kLosses = {{{"cross_entropy", LossName::kCrossEntropy},
                                                                      {"mse_loss", LossName::kMse},
                                                                      {"l1_loss", LossName::kL1},
                                                                      {"smooth_l1_loss", LossName::kSmoothL1},
                                                                      {"bce_with_logits", LossName::kBceWithLogits}}};
constexpr std::array<std::pair<const char*, MetricName>, 5> kMetrics = {{{"loss", MetricName::kLoss},
                                                                         {"accuracy", MetricName::kAccuracy},
                                                                         {"top5_accuracy", MetricName::kTop5Accuracy},
                                                                         {"mae", MetricName::kMae},
                                                                         {"mse", MetricName::kMse}}};
constexpr std::array<std::pair<const char*, OptimizerName>, 5> kOptimizers = {{{"sgd", OptimizerName::kSgd},
                                                                               {"adam", OptimizerName::kAdam},
                                                                               {"adamw", OptimizerName::kAdamW},
                                                                               {"rmsprop", OptimizerName::kRmsprop},
                                                                               {"adagrad", OptimizerName::kAdagrad}}};
constexpr std::array<std::pair<const char*, ScheduleName>, 7> kSchedules = {
    {{"constant", ScheduleName::kConstant},
     {"step", ScheduleName::kStep},
     {"multistep", ScheduleName::kMultistep},
     {"exponential", ScheduleName::kExponential},
     {"cosine", ScheduleName::kCosine},
     {"linear", ScheduleName::kLinear},
     {"one_cycle", ScheduleName::kOneCycle}}};

// Takes the key if it is there; the field keeps its default otherwise.
template <class T>
void take(const json& object, const char* key, T& out) {
  if (const auto found = object.find(key); found != object.end()) out = found->get<T>();
}

void take_pair(const json& object, const char* key, std::array<std::int64_t, 2>& out) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_string()) return;
  if (found->is_array()) {
    out = {(*found)[0].get<std::int64_t>(), (*found)[1].get<std::int64_t>()};
  } else {
    out.fill(found->get<std::int64_t>());
  }
}

std::vector<Layer> read_layers(const json& layers, const std::string& prefix) {
  std::vector<Layer> out;
  out.reserve(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) out.push_back(read_layer(layers[i], prefix + std::to_string(i)));
  return out;
}

}  // namespace

Layer read_layer(const json& object, const std::string& name) {
  Layer layer;
  CHECK(parse(object.at("type").get<std::string>(), layer.type));
  layer.name = name;
  take(object, "in_features", layer.in_features);
  take(object, "out_features", layer.out_features);
  take(object, "in_channels", layer.in_channels);
  take(object, "out_channels", layer.out_channels);
  take(object, "groups", layer.groups);
  take_pair(object, "kernel_size", layer.kernel_size);
  // torch: the stride of a pool is its kernel unless given.
  if (layer.type == LayerType::kMaxPool2d || layer.type == LayerType::kAvgPool2d) layer.stride = layer.kernel_size;
  take_pair(object, "stride", layer.stride);
  take_pair(object, "dilation", layer.dilation);
  take_pair(object, "padding", layer.padding);
  if (object.contains("padding") && object.at("padding") == "same") {
    for (std::size_t side = 0; side < 2; ++side) {
      layer.padding[side] = layer.dilation[side] * (layer.kernel_size[side] - 1) / 2;
    }
  }
  take(object, "bias", layer.bias);
  take(object, "num_features", layer.num_features);
  take(object, "eps", layer.eps);
  take(object, "momentum", layer.momentum);
  take(object, "affine", layer.affine);
  take(object, "elementwise_affine", layer.affine);
  take(object, "track_running_stats", layer.track_running_stats);
  if (const auto shape = object.find("normalized_shape"); shape != object.end()) {
    layer.normalized_shape = shape->is_array() ? shape->get<Shape>() : Shape{shape->get<std::int64_t>()};
  }
  take(object, "negative_slope", layer.negative_slope);
  layer.gelu_tanh = object.contains("approximate") && object.at("approximate") == "tanh";
  take(object, "ceil_mode", layer.ceil_mode);
  take(object, "count_include_pad", layer.count_include_pad);
  take_pair(object, "output_size", layer.output_size);
  take(object, "p", layer.p);
  take(object, "start_dim", layer.start_dim);
  take(object, "end_dim", layer.end_dim);
  if (layer.type == LayerType::kResidual) layer.layers = read_layers(object.at("layers"), name + ".layers.");
  return layer;
}

OptimizerSpec read_optimizer(const json& object) {
  OptimizerSpec out;
  out.name = named(object.at("name"), kOptimizers);
  take(object, "lr", out.lr);
  take(object, "weight_decay", out.weight_decay);
  take(object, "momentum", out.momentum);
  take(object, "dampening", out.dampening);
  take(object, "nesterov", out.nesterov);
  take(object, "betas", out.betas);
  take(object, "eps", out.eps);
  take(object, "amsgrad", out.amsgrad);
  take(object, "alpha", out.alpha);
  take(object, "centered", out.centered);
  take(object, "lr_decay", out.lr_decay);
  take(object, "initial_accumulator_value", out.initial_accumulator_value);
  return out;
}

LrSchedule read_schedule(const json& object) {
  LrSchedule out;
  out.name = named(object.at("name"), kSchedules);
  take(object, "warmup", out.warmup);
  take(object, "step_size", out.step_size);
  take(object, "gamma", out.gamma);
  take(object, "milestones", out.milestones);
  take(object, "eta_min", out.eta_min);
  take(object, "start_factor", out.start_factor);
  take(object, "end_factor", out.end_factor);
  take(object, "total_epochs", out.total_epochs);
  take(object, "max_lr", out.max_lr);
  take(object, "pct_start", out.pct_start);
  take(object, "div_factor", out.div_factor);
  take(object, "final_div_factor", out.final_div_factor);
  out.linear_anneal = object.contains("anneal_strategy") && object.at("anneal_strategy") == "linear";
  take(object, "three_phase", out.three_phase);
  return out;
}

Transform read_transform(const json& object) {
  Transform out;
  out.op = object.at("op") == "scale" ? TransformOp::kScale : TransformOp::kNormalize;
  take(object, "factor", out.factor);
  take(object, "mean", out.mean);
  take(object, "std", out.std);
  return out;
}

const char* to_string(MetricName metric) {
  for (const auto& [name, item] : kMetrics) {
    if (item == metric) return name;
  }
  check_failed(__FILE__, __LINE__, "a MetricName has a name");
}

Loss read_loss(const json& object) {
  Loss out;
  out.name = named(object.at("name"), kLosses);
  take(object, "label_smoothing", out.label_smoothing);
  take(object, "beta", out.beta);
  return out;
}

Training read_training(const json& object) {
  Training out;
  take(object, "epochs", out.epochs);
  take(object, "batch_size", out.batch_size);
  out.keep_partial_batch = object.at("partial_batch") == "keep";
  out.shuffle_per_trial = object.at("shuffle") == "per_trial";
  out.loss = read_loss(object.at("loss"));
  out.metrics = {MetricName::kLoss};
  for (const json& metric : object.at("metrics")) {
    const MetricName name = named(metric.at("name"), kMetrics);
    if (std::find(out.metrics.begin(), out.metrics.end(), name) == out.metrics.end()) out.metrics.push_back(name);
  }
  out.optimizer = read_optimizer(object.at("optimizer"));
  out.lr_schedule = read_schedule(object.at("lr_schedule"));
  if (object.contains("clip_grad_norm")) out.clip_grad_norm = object.at("clip_grad_norm").get<double>();
  return out;
}

Recipe typed_recipe(const json& recipe) {
  Recipe out;
  out.dataset = recipe.at("dataset").at("name").get<std::string>();
  for (const json& object : recipe.at("dataset").at("transform")) out.transforms.push_back(read_transform(object));
  out.layers = read_layers(recipe.at("model").at("layers"), "");
  out.training = read_training(recipe.at("training"));
  out.seed = recipe.at("seed").get<std::uint64_t>();
  return out;
}

}  // namespace modelhop
