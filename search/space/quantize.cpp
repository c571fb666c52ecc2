#include "search/space/quantize.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/base/check.h"

namespace modelhop {

double readable(double value) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific, 14);
  double out = value;
  if (error == std::errc{}) std::from_chars(text, end, out);
  return out;
}

std::uint64_t quantized_count(const Parameter& parameter) {
  // (0.3 - 0.1) / 0.1 is a little under 2: a part in 10^9 of a step counts as reached.
  return static_cast<std::uint64_t>(std::floor((parameter.high - parameter.low) / parameter.step + 1e-9)) + 1;
}

double quantized(const Parameter& parameter, std::uint64_t k) {
  return std::min(readable(parameter.low + static_cast<double>(k) * parameter.step), parameter.high);
}

double nearest_quantized(const Parameter& parameter, double value) {
  const double k = std::round((value - parameter.low) / parameter.step);
  const double last = static_cast<double>(quantized_count(parameter) - 1);
  return quantized(parameter, static_cast<std::uint64_t>(std::clamp(k, 0.0, last)));
}

Value as_value(const Parameter& parameter, double number) {
  if (parameter.integer) return static_cast<std::int64_t>(std::llround(number));
  return number;
}

}  // namespace modelhop
