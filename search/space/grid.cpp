#include <algorithm>
#include <cmath>
#include <map>

#include "common/base/check.h"
#include "search/space/quantize.h"
#include "search/space/space.h"

namespace modelhop {
namespace {

bool is_log(Distribution distribution) {
  return distribution == Distribution::kLogUniform || distribution == Distribution::kQLogUniform ||
         distribution == Distribution::kLogRandInt;
}

// Point i of n over a range, ends exact.
double spaced(const Parameter& parameter, std::uint64_t i, std::uint64_t n) {
  if (i == 0) return parameter.low;
  if (i == n - 1) return parameter.high;
  const double share = static_cast<double>(i) / static_cast<double>(n - 1);
  if (!is_log(parameter.distribution)) return readable(parameter.low + share * (parameter.high - parameter.low));
  return readable(std::exp(std::log(parameter.low) + share * (std::log(parameter.high) - std::log(parameter.low))));
}

double snapped(const Parameter& parameter, double value) {
  switch (parameter.distribution) {
    case Distribution::kQUniform:
    case Distribution::kQLogUniform:
    case Distribution::kQRandInt:
      return nearest_quantized(parameter, value);
    case Distribution::kRandInt:
    case Distribution::kLogRandInt:
      return std::round(value);
    default:
      return value;
  }
}

}  // namespace

Result<std::vector<Value>> grid_values(const Parameter& parameter) {
  if (parameter.distribution == Distribution::kChoice) return parameter.values;
  if (parameter.distribution == Distribution::kNormal || parameter.distribution == Distribution::kLogNormal) {
    return invalid(parameter.path + ": a grid needs values or a range with low, high and count");
  }
  if (parameter.count == 0) {
    return invalid(parameter.path + ": a grid needs values, or count: how many points of the range");
  }
  std::vector<Value> out;
  for (std::uint64_t i = 0; i < parameter.count; ++i) {
    Value value = as_value(parameter, snapped(parameter, spaced(parameter, i, parameter.count)));
    if (out.empty() || out.back() != value) out.push_back(std::move(value));
  }
  return out;
}

Result<Grid> Grid::of(const Space& space) {
  Grid grid;
  std::map<std::string, std::size_t> places;
  for (const Parameter& parameter : space) {
    Axis axis;
    axis.path = parameter.path;
    ASSIGN_OR_RETURN(axis.values, grid_values(parameter));
    for (const auto& [path, allowed] : parameter.when) {
      const auto found = places.find(path);
      CHECK(found != places.end());  // a Space is ordered
      Axis& other = grid.axes_[found->second];
      other.controls = true;
      Axis::Condition condition{found->second, {}};
      for (const Value& value : other.values) {
        condition.holds.push_back(std::find(allowed.begin(), allowed.end(), value) != allowed.end());
      }
      axis.when.push_back(std::move(condition));
    }
    places[axis.path] = grid.axes_.size();
    grid.axes_.push_back(std::move(axis));
  }
  return grid;
}

bool Grid::active(const Axis& axis, const Point& point) const {
  return std::all_of(axis.when.begin(), axis.when.end(), [&](const Axis::Condition& condition) {
    return point[condition.of] != kInactive && condition.holds[point[condition.of]];
  });
}

// Puts every parameter from `from` on at its first value, or none where it is inactive.
void Grid::complete(Point& point, std::size_t from) const {
  for (std::size_t i = from; i < axes_.size(); ++i) point[i] = active(axes_[i], point) ? 0 : kInactive;
}

Grid::Point Grid::first() const {
  Point point(axes_.size(), kInactive);
  complete(point, 0);
  return point;
}

bool Grid::next(Point& point) const {
  for (std::size_t i = axes_.size(); i-- > 0;) {
    if (point[i] == kInactive || point[i] + 1 == axes_[i].values.size()) continue;
    ++point[i];
    complete(point, i + 1);
    return true;
  }
  complete(point, 0);
  return false;
}

Params Grid::params(const Point& point) const {
  Params out;
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    if (point[i] != kInactive) out[axes_[i].path] = axes_[i].values[point[i]];
  }
  return out;
}

// Walks the combinations of the parameters that others depend on; all others multiply `factor`. Every such combination
// holds at least one point, so the walk ends after `most` + 1 of them. False: more than `most`.
bool Grid::count(std::size_t from, Point& point, std::uint64_t factor, std::uint64_t& total, std::uint64_t most) const {
  for (std::size_t i = from; i < axes_.size(); ++i) {
    const Axis& axis = axes_[i];
    if (!active(axis, point)) {
      point[i] = kInactive;
    } else if (axis.controls) {
      for (std::uint32_t value = 0; value < axis.values.size(); ++value) {
        point[i] = value;
        if (!count(i + 1, point, factor, total, most)) return false;
      }
      return true;
    } else {
      point[i] = 0;
      if (factor > most / axis.values.size()) return false;
      factor *= axis.values.size();
    }
  }
  total += factor;
  return total <= most;
}

std::optional<std::uint64_t> Grid::size(std::uint64_t most) const {
  Point point(axes_.size(), kInactive);
  std::uint64_t total = 0;
  if (!count(0, point, 1, total, most)) return std::nullopt;
  return total;
}

}  // namespace modelhop
