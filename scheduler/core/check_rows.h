#pragma once
#include "common/base/status.h"
#include "scheduler/core/state.h"

namespace modelhop {

// Whether every id, place and count in rows read from a file points at what is there, so that no later step reaches
// beyond a table. What the rows mean is check_invariants()' business.
Status check_rows(const State& state);

}  // namespace modelhop
