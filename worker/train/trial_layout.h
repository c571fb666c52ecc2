#pragma once
#include "common/spec/recipe.h"
#include "common/state/layout.h"

namespace modelhop {

// The state of a trial of this recipe: parameters and buffers under their torch state_dict names, then moments.
StateLayout trial_layout(const Recipe& recipe);

}  // namespace modelhop
