#include "worker/train/loss.h"

#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/sigmoid.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace modelhop {
namespace {

struct LossAndSlope {
  double loss;
  float slope;  // d loss / d difference
};

LossAndSlope of_difference(const Loss& loss, float d) {
  const double wide = d;
  const float sign = d > 0 ? 1.0f : (d < 0 ? -1.0f : d);  // d itself where 0 or NaN
  switch (loss.name) {
    case LossName::kMse:
      return {wide * wide, 2 * d};
    case LossName::kSmoothL1:
      if (std::fabs(wide) < loss.beta) return {0.5 * wide * wide / loss.beta, static_cast<float>(wide / loss.beta)};
      return {std::fabs(wide) - 0.5 * loss.beta, sign};
    default:
      return {std::fabs(wide), sign};
  }
}

// Classes above the label's, where the first of equals counts as larger and NaN as largest.
std::int64_t classes_above(const float* row, std::int64_t classes, std::int64_t label) {
  std::int64_t above = 0;
  for (std::int64_t c = 0; c < label; ++c) above += !(row[c] < row[label]);
  for (std::int64_t c = label + 1; c < classes; ++c) above += !(row[c] <= row[label]);
  return above;
}

double metric_of_classes(MetricName metric, const float* outputs, std::int64_t classes,
                         std::span<const std::int64_t> labels) {
  const std::int64_t best = metric == MetricName::kTop5Accuracy ? 5 : 1;
  std::int64_t right = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const float* of_row = outputs + static_cast<std::int64_t>(row) * classes;
    right += !std::isnan(of_row[labels[row]]) && classes_above(of_row, classes, labels[row]) < best;
  }
  return static_cast<double>(right);
}

double metric_of_values(MetricName metric, const float* outputs, std::span<const float> targets) {
  double total = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double d = static_cast<double>(outputs[i]) - targets[i];
    switch (metric) {
      case MetricName::kMae:
        total += std::fabs(d);
        break;
      case MetricName::kMse:
        total += d * d;
        break;
      default:
        total += (outputs[i] > 0) == (targets[i] > 0.5f);
        break;
    }
  }
  return total;
}

}  // namespace

LossFunction::LossFunction(const Loss& loss, const std::vector<MetricName>& metrics, std::span<const Sum> before)
    : loss_(loss) {
  metrics_.push_back(MetricName::kLoss);
  for (const MetricName metric : metrics) {
    if (std::find(metrics_.begin(), metrics_.end(), metric) == metrics_.end()) metrics_.push_back(metric);
  }
  totals_.resize(metrics_.size());
  for (std::size_t m = 0; m < metrics_.size(); ++m) {
    const std::string_view name = to_string(metrics_[m]);
    const auto found = std::find_if(before.begin(), before.end(), [&](const Sum& sum) { return sum.name == name; });
    if (found == before.end()) continue;
    totals_[m] = found->total;
    rows_ = found->weight;
  }
}

Status LossFunction::add(const at::Tensor& raw, const Targets& targets, at::Tensor* gradient) {
  const at::Tensor output = raw.contiguous();
  const auto rows = static_cast<std::size_t>(output.size(0));
  const std::size_t per_row = rows == 0 ? 0 : static_cast<std::size_t>(output.numel()) / rows;
  const bool by_class = loss_.name == LossName::kCrossEntropy;
  if (by_class) {
    if (targets.classes.size() != rows) return corrupt("a batch has another number of labels than rows");
    for (const std::int64_t label : targets.classes) {
      if (label < 0 || static_cast<std::size_t>(label) >= per_row) {
        return corrupt("a label is " + std::to_string(label) + ", but the model has " + std::to_string(per_row) +
                       " outputs; import the data set again");
      }
    }
  } else if (targets.values.size() != rows * per_row) {
    return corrupt("a batch has " + std::to_string(targets.values.size()) + " target values for " +
                   std::to_string(rows * per_row) + " outputs");
  }
  const float* outputs = output.const_data_ptr<float>();
  for (std::size_t m = 0; m < metrics_.size(); ++m) {
    double total;
    if (metrics_[m] == MetricName::kLoss) {
      total =
          by_class ? cross_entropy(output, targets.classes, gradient) : elementwise(output, targets.values, gradient);
    } else if (by_class) {
      total = metric_of_classes(metrics_[m], outputs, static_cast<std::int64_t>(per_row), targets.classes);
    } else {
      total = metric_of_values(metrics_[m], outputs, targets.values);
    }
    totals_[m] += by_class ? total : total / static_cast<double>(per_row);
  }
  rows_ += rows;
  return {};
}

std::vector<Sum> LossFunction::sums() const {
  std::vector<Sum> sums;
  for (std::size_t m = 0; m < metrics_.size(); ++m) sums.push_back({to_string(metrics_[m]), totals_[m], rows_});
  return sums;
}

double LossFunction::cross_entropy(const at::Tensor& output, std::span<const std::int64_t> labels,
                                   at::Tensor* gradient) const {
  const auto classes = output.numel() / output.size(0);
  const at::Tensor log_p = at::_log_softmax(output, -1, false);
  const float* logs = log_p.const_data_ptr<float>();
  const double smooth = loss_.label_smoothing;
  double total = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const float* of_row = logs + static_cast<std::int64_t>(row) * classes;
    double loss = -(1 - smooth) * of_row[labels[row]];
    if (smooth > 0) {
      double sum = 0;
      for (std::int64_t c = 0; c < classes; ++c) sum += of_row[c];
      loss -= smooth / static_cast<double>(classes) * sum;
    }
    total += loss;
  }
  if (gradient != nullptr) {
    *gradient = at::exp(log_p);
    float* slope = gradient->mutable_data_ptr<float>();
    const float everywhere = static_cast<float>(smooth / static_cast<double>(classes));
    const float at_label = static_cast<float>(1 - smooth);
    const float scale = 1.0f / static_cast<float>(labels.size());
    for (std::size_t row = 0; row < labels.size(); ++row) {
      float* of_row = slope + static_cast<std::int64_t>(row) * classes;
      of_row[labels[row]] -= at_label;
      for (std::int64_t c = 0; c < classes; ++c) of_row[c] = (of_row[c] - everywhere) * scale;
    }
  }
  return total;
}

double LossFunction::elementwise(const at::Tensor& output, std::span<const float> targets, at::Tensor* gradient) const {
  if (loss_.name == LossName::kBceWithLogits) return bce_with_logits(output, targets, gradient);
  const float* outputs = output.const_data_ptr<float>();
  float* slope = nullptr;
  if (gradient != nullptr) {
    *gradient = at::empty_like(output);
    slope = gradient->mutable_data_ptr<float>();
  }
  const float count = static_cast<float>(targets.size());
  double total = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const LossAndSlope at_element = of_difference(loss_, outputs[i] - targets[i]);
    total += at_element.loss;
    if (slope != nullptr) slope[i] = at_element.slope / count;
  }
  return total;
}

double LossFunction::bce_with_logits(const at::Tensor& output, std::span<const float> targets,
                                     at::Tensor* gradient) const {
  constexpr std::int64_t kReduceNone = 0;  // at::Reduction::None
  // from_blob takes no const; the kernel only reads.
  const at::Tensor target = at::from_blob(const_cast<float*>(targets.data()), output.sizes(),  // NOLINT
                                          at::TensorOptions().dtype(at::kFloat));
  const at::Tensor losses = at::binary_cross_entropy_with_logits(output, target, {}, {}, kReduceNone).contiguous();
  const float* of_element = losses.const_data_ptr<float>();
  double total = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) total += of_element[i];
  if (gradient != nullptr) {
    *gradient = at::sigmoid(output);
    float* slope = gradient->mutable_data_ptr<float>();
    const float count = static_cast<float>(targets.size());
    for (std::size_t i = 0; i < targets.size(); ++i) slope[i] = (slope[i] - targets[i]) / count;
  }
  return total;
}

}  // namespace modelhop
