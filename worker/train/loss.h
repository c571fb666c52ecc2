#pragma once
// Losses and metrics of a batch. Metrics are sums over rows in double with the rows as weight, so total / weight is
// torch's mean. For targets of several values a row's share is the mean over its values: total / weight is again the
// mean over all elements.
//   accuracy        classes: the largest output is the label's (the first of equals, as argmax); with bce_with_logits:
//   the
//                   output's sign says what the target does (target above 1/2), element by element
//   top5_accuracy   the label is among the five largest outputs (all, where there are fewer)
//   mae, mse        of the model's outputs as they are
#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "common/base/status.h"
#include "common/base/unit.h"
#include "common/spec/manifest.h"
#include "common/spec/recipe.h"

namespace modelhop {

// A batch's targets: labels (classes non-empty) or values, rows x values a row.
struct Targets {
  std::span<const std::int64_t> classes;
  std::span<const float> values;
};

class LossFunction {
 public:
  // `before`: sums to go on from, by name.
  LossFunction(const Loss& loss, const std::vector<MetricName>& metrics, std::span<const Sum> before = {});
  // Adds the batch to the sums. `gradient`, unless null, becomes d(mean loss)/d(output). `output`: the batch first.
  // A label outside the output's classes, or targets of another size, is kCorrupt and adds nothing.
  Status add(const at::Tensor& output, const Targets& targets, at::Tensor* gradient);
  // "loss" first, then the metrics in their order, over all batches added.
  std::vector<Sum> sums() const;

 private:
  double cross_entropy(const at::Tensor& output, std::span<const std::int64_t> labels, at::Tensor* gradient) const;
  double elementwise(const at::Tensor& output, std::span<const float> targets, at::Tensor* gradient) const;
  double bce_with_logits(const at::Tensor& output, std::span<const float> targets, at::Tensor* gradient) const;

  const Loss loss_;
  std::vector<MetricName> metrics_;
  std::vector<double> totals_;
  std::uint64_t rows_ = 0;
};

}  // namespace modelhop
