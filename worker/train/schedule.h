#pragma once
// Learning rates: pure functions of the samples trained on, over the horizon Training::epochs; never of a rung's
// target, a partition or the clock. docs/spec.md, "Schedules".
#include <cstdint>

#include "common/spec/recipe.h"

namespace modelhop {

// The rate of the optimizer step that starts after `samples` rows. `samples_per_epoch`: rows one epoch trains on, over
// all partitions. Equal to torch's scheduler of that name stepped once a batch, where rows divide by the batch. Warm-up
// multiplies the schedule's rate by samples / (warmup x samples_per_epoch) until that is 1.
double learning_rate(const Training& training, std::uint64_t samples, std::uint64_t samples_per_epoch);

}  // namespace modelhop
