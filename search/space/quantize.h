#pragma once
// The points of a quantized range: low, low + step, ... up to high.
#include <cstdint>

#include "common/spec/params.h"

namespace modelhop {

std::uint64_t quantized_count(const Parameter& parameter);
double quantized(const Parameter& parameter, std::uint64_t k);
double nearest_quantized(const Parameter& parameter, double value);

// A drawn number as the recipe's key takes it.
Value as_value(const Parameter& parameter, double number);

// 0.1 + 2 * 0.1 as people write it: 0.3. The double nearest to the value's 15 significant digits.
double readable(double value);

}  // namespace modelhop
