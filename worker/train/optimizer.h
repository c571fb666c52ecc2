#pragma once
// Optimizers: torch.optim's arithmetic in one pass over flat memory. Their moments are tensors of the state.
// Bits do not depend on the instruction set: elementwise IEEE operations only, and sums in a fixed order.
#include <cstdint>
#include <string>
#include <vector>

#include "common/spec/recipe.h"
#include "common/state/arena.h"
#include "worker/model/gradient_arena.h"

namespace modelhop {

// The moment tensors of `parameters`, in arena order: "adam.exp_avg.0.weight", ...
std::vector<TensorSpec> moment_tensors(const OptimizerSpec& optimizer, const std::vector<TensorSpec>& parameters);

// Sets the moments of a fresh state. All are zero but adagrad's initial_accumulator_value.
void initialize_moments(const OptimizerSpec& optimizer, StateArena& state);

// L2 norm over all gradients, in double, in a fixed order.
double gradient_norm(const StateLayout& layout, const GradientArena& gradients);

// torch.nn.utils.clip_grad_norm_'s factor for gradients of this norm.
float clip_factor(double norm, double norm_max);

// One optimizer step, number state.cursor.step (from 0), at this rate, with gradients times `gradient_factor`.
// REQUIRES: the state's layout is trial_layout() of a recipe with this optimizer. Pads are neither read nor written.
void optimizer_step(const OptimizerSpec& optimizer, double rate, float gradient_factor, const GradientArena& gradients,
                    StateArena& state);

}  // namespace modelhop
