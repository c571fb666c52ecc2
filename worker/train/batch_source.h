#pragma once
// BatchSource: batches of a partition as tensors, gathered into buffers that live as long as the source.
// Threads: one at a time. Owner: whoever trains or evaluates. The partition outlives it.
#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "common/spec/recipe.h"
#include "worker/data/gather.h"
#include "worker/data/partition.h"
#include "worker/train/loss.h"

namespace modelhop {

class BatchSource {
 public:
  BatchSource(const Recipe& recipe, const Manifest& manifest, const Partition& data);
  struct Batch {
    at::Tensor x;
    Targets targets;
  };
  // Valid until the next call.
  Batch gather(std::span<const std::uint32_t> rows);

 private:
  const Gather gather_;
  const Partition& data_;
  const bool by_class_;
  std::vector<std::int64_t> sizes_;  // of a batch of x; [0] = rows
  std::size_t values_per_row_ = 1;
  std::vector<float> x_, values_;
  std::vector<std::int64_t> classes_;
};

}  // namespace modelhop
