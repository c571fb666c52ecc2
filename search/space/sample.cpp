#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "common/base/rng.h"
#include "search/space/quantize.h"
#include "search/space/space.h"

namespace modelhop {
namespace {

constexpr int kRedrawsMax = 1'000;  // of a normal draw outside its bounds; then the nearer bound

double log_between(double low, double high, double share) {
  return std::exp(std::log(low) + share * (std::log(high) - std::log(low)));
}

double draw_normal(const Parameter& parameter, KeyedRng& rng) {
  double value = 0;
  for (int i = 0; i < kRedrawsMax; ++i) {
    value = parameter.mu + parameter.sigma * rng.next_normal();
    if (parameter.distribution == Distribution::kLogNormal) value = std::exp(value);
    if (value >= parameter.low && value <= parameter.high) return value;
  }
  return std::clamp(value, parameter.low, parameter.high);
}

double draw_number(const Parameter& parameter, KeyedRng& rng) {
  const double low = parameter.low, high = parameter.high, step = parameter.step;
  switch (parameter.distribution) {
    case Distribution::kUniform:
      return std::clamp(low + rng.next_double() * (high - low), low, high);
    case Distribution::kLogUniform:
      return std::clamp(log_between(low, high, rng.next_double()), low, high);
    case Distribution::kRandInt:
      return low + static_cast<double>(rng.below(static_cast<std::uint64_t>(high - low) + 1));
    case Distribution::kLogRandInt:
      // Half a unit over each end, so that the ends are as likely as their neighbours.
      return std::clamp(std::round(log_between(low - 0.5, high + 0.5, rng.next_double())), low, high);
    case Distribution::kQUniform:
    case Distribution::kQRandInt:
      return quantized(parameter, rng.below(quantized_count(parameter)));
    case Distribution::kQLogUniform: {
      // Half a step over each end for the same reason, where the logarithm allows it.
      const double from = low > step / 2 ? low - step / 2 : low;
      const double to = quantized(parameter, quantized_count(parameter) - 1) + step / 2;
      return nearest_quantized(parameter, log_between(from, to, rng.next_double()));
    }
    case Distribution::kNormal:
    case Distribution::kLogNormal:
      return draw_normal(parameter, rng);
    case Distribution::kChoice:
      break;
  }
  check_failed(__FILE__, __LINE__, "a numeric distribution");
}

}  // namespace

bool is_active(const Parameter& parameter, const Params& params) {
  return std::all_of(parameter.when.begin(), parameter.when.end(), [&](const auto& condition) {
    const auto found = params.find(condition.first);
    return found != params.end() &&
           std::find(condition.second.begin(), condition.second.end(), found->second) != condition.second.end();
  });
}

Params sample(const Space& space, std::uint64_t seed, TrialId trial) {
  Params out;
  for (std::size_t place = 0; place < space.size(); ++place) {
    const Parameter& parameter = space[place];
    if (!is_active(parameter, out)) continue;
    KeyedRng rng(seed, Purpose::kSearch, trial.value, place);
    if (parameter.distribution == Distribution::kChoice) {
      out[parameter.path] = parameter.values[rng.below(parameter.values.size())];
    } else {
      out[parameter.path] = as_value(parameter, draw_number(parameter, rng));
    }
  }
  return out;
}

}  // namespace modelhop
