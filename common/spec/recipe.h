#pragma once
// A recipe: data transform, model and training of one trial, typed, with every shape inferred. Torch-free, so a bad
// model is refused at submit; the worker builds from the same structs, so the two cannot disagree.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/spec/manifest.h"

namespace modelhop {

using Shape = std::vector<std::int64_t>;  // of one sample, without the batch dimension

enum class LayerType : std::uint8_t {
  kLinear,
  kConv2d,
  kBatchNorm1d,
  kBatchNorm2d,
  kLayerNorm,
  kReLU,
  kLeakyReLU,
  kGELU,
  kSiLU,
  kTanh,
  kSigmoid,
  kMaxPool2d,
  kAvgPool2d,
  kAdaptiveAvgPool2d,
  kDropout,
  kFlatten,
  kResidual,
};

// Arguments and defaults are torch.nn's; a field that the type does not have keeps its default and means nothing.
struct Layer {
  LayerType type{};
  std::string name;                            // prefix of its tensors, as in a torch state_dict: "3", "4.layers.0"
  Shape in, out;                               // of one sample
  std::int64_t in_features{}, out_features{};  // linear
  std::int64_t in_channels{}, out_channels{}, groups{1};                               // conv2d
  std::array<std::int64_t, 2> kernel_size{}, stride{1, 1}, padding{}, dilation{1, 1};  // conv2d, pools
  bool bias{true};                                                                     // linear, conv2d, layer_norm
  std::int64_t num_features{};                                                         // batch_norm
  double eps{1e-5}, momentum{0.1};                                                     // norms
  bool affine{true}, track_running_stats{true};  // batch_norm; layer_norm: affine = elementwise_affine
  Shape normalized_shape;                        // layer_norm
  double negative_slope{0.01};                   // leaky_relu
  bool gelu_tanh{};                              // gelu: approximate = "tanh"
  bool ceil_mode{}, count_include_pad{true};     // pools
  std::array<std::int64_t, 2> output_size{};     // adaptive_avg_pool2d
  double p{0.5};                                 // dropout
  std::int64_t start_dim{1}, end_dim{-1};        // flatten, counted with the batch dimension
  std::vector<Layer> layers;                     // residual: y = x + layers(x)
};

enum class TransformOp : std::uint8_t { kScale, kNormalize };
struct Transform {
  TransformOp op{};
  double factor{1};               // scale: x * factor
  std::vector<double> mean, std;  // normalize: (x - mean) / std, per channel (first dimension) or one value
};

enum class LossName : std::uint8_t { kCrossEntropy, kMse, kL1, kSmoothL1, kBceWithLogits };
struct Loss {
  LossName name{};
  double label_smoothing{};  // cross_entropy
  double beta{1.0};          // smooth_l1_loss
};

enum class MetricName : std::uint8_t { kLoss, kAccuracy, kTop5Accuracy, kMae, kMse };
const char* to_string(MetricName metric);

enum class OptimizerName : std::uint8_t { kSgd, kAdam, kAdamW, kRmsprop, kAdagrad };
struct OptimizerSpec {  // defaults are torch.optim's
  OptimizerName name{};
  double lr{}, weight_decay{};
  double momentum{}, dampening{};
  bool nesterov{};  // sgd
  std::array<double, 2> betas{0.9, 0.999};
  double eps{1e-8};
  bool amsgrad{};  // adam, adamw
  double alpha{0.99};
  bool centered{};                                 // rmsprop
  double lr_decay{}, initial_accumulator_value{};  // adagrad
};

enum class ScheduleName : std::uint8_t { kConstant, kStep, kMultistep, kExponential, kCosine, kLinear, kOneCycle };
struct LrSchedule {  // arguments are torch's, but times are in epochs (fractions allowed)
  ScheduleName name{};
  double warmup{};                 // epochs of linear warm-up from 0 to the schedule's rate
  double step_size{1};             // step: epochs
  double gamma{0.1};               // step, multistep, exponential (a factor an epoch)
  std::vector<double> milestones;  // multistep: epochs, ascending
  double eta_min{};                // cosine
  double start_factor{1.0 / 3}, end_factor{1}, total_epochs{};             // linear; 0 = the horizon
  double max_lr{}, pct_start{0.3}, div_factor{25}, final_div_factor{1e4};  // one_cycle; max_lr 0 = optimizer.lr
  bool linear_anneal{}, three_phase{};                                     // one_cycle
};

struct Training {
  std::uint64_t epochs{};
  std::uint64_t batch_size{};
  bool keep_partial_batch{true};
  bool shuffle_per_trial{};
  Loss loss;
  std::vector<MetricName> metrics;  // loss first, always
  OptimizerSpec optimizer;
  LrSchedule lr_schedule;
  std::optional<double> clip_grad_norm;
};

struct Recipe {
  std::string dataset;
  std::vector<Transform> transforms;
  std::vector<Layer> layers;
  Training training;
  std::uint64_t seed{};
};

// Reads recipe_json()'s text and infers every shape from the data set's. Refuses what cannot train.
Result<Recipe> parse_recipe(std::string_view json, const Manifest& data);

// Rows one visit to a partition trains on, and its batches, under `partial_batch`.
std::uint64_t rows_per_visit(const Training& training, std::uint64_t partition_rows);
std::uint64_t batches_per_visit(const Training& training, std::uint64_t partition_rows);

}  // namespace modelhop
