#pragma once
#include "common/base/ids.h"

namespace modelhop {

// Hash of all that this process's bits depend on: torch's build, the CPU's model and capability, the C library (its
// cos, pow), threads, and the version of our own kernels. Equal profiles give equal bits.
ContentHash torch_numeric_profile(int threads);

}  // namespace modelhop
