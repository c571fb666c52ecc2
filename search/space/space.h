#pragma once
// Draws from a search space, and its grid. Pure functions of their arguments: no generator state, so trial 700 can be
// drawn without the 699 before it. Semantics of every distribution: docs/spec.md, "Parameters".
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/spec/params.h"

namespace modelhop {

// Whether a parameter counts, given the values of those before it in the space.
bool is_active(const Parameter& parameter, const Params& params);

// The values of one trial, keyed by (seed, trial, the parameter's place). Every draw is inside its bounds.
Params sample(const Space& space, std::uint64_t seed, TrialId trial);

// The points of one parameter in a grid, in order: `values`, or `count` points of a range, ends included, equal ones
// once. kInvalid: it has neither.
Result<std::vector<Value>> grid_values(const Parameter& parameter);

// The grid of a space: every combination of the active parameters' points once, so a parameter whose `when` does not
// hold multiplies nothing. Order: the last parameter of the space turns fastest. Holds the points of each parameter,
// never the combinations. Immutable; any thread.
class Grid {
 public:
  static Result<Grid> of(const Space& space);

  // One combination: for each parameter the place of its value; an inactive one has kInactive.
  static constexpr std::uint32_t kInactive = ~std::uint32_t{0};
  using Point = std::vector<std::uint32_t>;

  Point first() const;
  bool next(Point& point) const;  // false: `point` was the last one, and is now the first
  Params params(const Point& point) const;

  // How many combinations there are, counted up to `most`; nullopt: more.
  std::optional<std::uint64_t> size(std::uint64_t most = kTrialsMax) const;

 private:
  struct Axis {
    std::string path;
    std::vector<Value> values;
    // Conditions by place: parameter `of` must be at one of the places where `holds` is true.
    struct Condition {
      std::size_t of;
      std::vector<bool> holds;
    };
    std::vector<Condition> when;
    bool controls{};  // stands in another's `when`
  };
  bool active(const Axis& axis, const Point& point) const;
  void complete(Point& point, std::size_t from) const;
  bool count(std::size_t from, Point& point, std::uint64_t factor, std::uint64_t& total, std::uint64_t most) const;

  std::vector<Axis> axes_;
};

}  // namespace modelhop
