#include "common/spec/spec_branches.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "common/spec/json_reader.h"
#include "common/spec/recipe_path.h"
#include "common/spec/recipe_reader.h"
#include "common/spec/schema.h"
#include "common/spec/spec_space.h"

namespace modelhop {
namespace {

using nlohmann::json;

constexpr std::size_t kCombinationsMax = 256;      // all of them are read up to so many
constexpr std::size_t kAloneMax = 2'000;           // values read alone
constexpr std::size_t kValuesReadMax = 2'000'000;  // JSON values of all recipes together: a second or so

std::size_t count_values(const json& value) {
  std::size_t out = 1;
  if (value.is_structured()) {
    for (const json& child : value) out += count_values(child);
  }
  return out;
}

// The values a branch is read under: all of a choice, the ends of a range.
std::vector<Value> ends_of(const Parameter& parameter) {
  if (parameter.distribution == Distribution::kChoice) return parameter.values;
  std::vector<double> numbers = {parameter.low, parameter.high};
  if (parameter.distribution == Distribution::kNormal || parameter.distribution == Distribution::kLogNormal) {
    const double middle = parameter.distribution == Distribution::kLogNormal ? std::exp(parameter.mu) : parameter.mu;
    numbers = {middle, parameter.low, parameter.high};
  } else if (parameter.step > 0) {
    numbers[1] = parameter.low + std::floor((parameter.high - parameter.low) / parameter.step + 1e-9) * parameter.step;
  }
  std::vector<Value> out;
  for (double number : numbers) {
    if (!std::isfinite(number)) continue;
    if (parameter.integer) {
      out.emplace_back(static_cast<std::int64_t>(std::llround(number)));
    } else {
      out.emplace_back(number);
    }
  }
  return out;
}

class Branches {
 public:
  explicit Branches(const Space& space) : space_(space) {
    for (const Parameter& parameter : space) {
      places_[parameter.path] = ends_.size();
      ends_.push_back(ends_of(parameter));
    }
  }

  // Every combination of active parameters; empty: more than `most`.
  std::vector<Params> combinations(std::size_t most) const {
    std::vector<Params> out = {{}};
    for (std::size_t i = 0; i < space_.size(); ++i) {
      std::vector<Params> longer;
      for (Params& params : out) {
        if (!holds(space_[i], params)) {
          longer.push_back(std::move(params));
          continue;
        }
        for (const Value& value : ends_[i]) {
          longer.push_back(params);
          longer.back()[space_[i].path] = value;
          if (longer.size() > most) return {};
        }
      }
      out = std::move(longer);
    }
    return out;
  }

  // Each value once, the others at their first value that its conditions allow.
  std::vector<Params> alone(std::size_t most) const {
    std::vector<Params> out = {completed({})};
    for (std::size_t i = 0; i < space_.size(); ++i) {
      for (const Value& value : ends_[i]) {
        if (out.size() > most) return out;
        Params wanted = {{space_[i].path, value}};
        require(i, wanted);
        out.push_back(completed(wanted));
      }
    }
    return out;
  }

 private:
  // Sets what parameter `i` depends on to values under which it is active.
  void require(std::size_t i, Params& wanted) const {
    for (const auto& [path, allowed] : space_[i].when) {
      if (allowed.empty() || !wanted.emplace(path, allowed.front()).second) continue;
      require(places_.at(path), wanted);
    }
  }
  Params completed(const Params& wanted) const {
    Params out;
    for (std::size_t i = 0; i < space_.size(); ++i) {
      if (!holds(space_[i], out)) continue;
      const auto own = wanted.find(space_[i].path);
      out[space_[i].path] = own == wanted.end() ? ends_[i].front() : own->second;
    }
    return out;
  }

  const Space& space_;
  std::vector<std::vector<Value>> ends_;
  std::map<std::string, std::size_t> places_;
};

std::string described(const Params& params) {
  std::string out;
  for (const auto& [path, value] : params) {
    if (out.size() > 300) return out + ", ...";
    out += (out.empty() ? "with " : ", ") + path + " = " + shown(json_of(value));
  }
  return out;
}

std::string dotted(const std::string& pointer) {
  std::string out = pointer.substr(pointer.empty() ? 0 : 1);
  std::replace(out.begin(), out.end(), '/', '.');
  return out;
}

// Finds the one parameter value that all failing branches have and no other branch has.
class Blame {
 public:
  Blame(const std::vector<Params>& branches, const std::set<std::size_t>& failing)
      : branches_(branches), failing_(failing) {}

  const std::string* parameter() const {
    for (const auto& [path, value] : branches_[*failing_.begin()]) {
      if (is_guilty(path, value)) return &path;
    }
    return nullptr;
  }

 private:
  bool is_guilty(const std::string& path, const Value& value) const {
    for (std::size_t i = 0; i < branches_.size(); ++i) {
      const auto found = branches_[i].find(path);
      const bool has = found != branches_[i].end() && found->second == value;
      if (has != failing_.contains(i)) return false;
    }
    return true;
  }

  const std::vector<Params>& branches_;
  const std::set<std::size_t>& failing_;
};

// Where a value stands in the spec: /parameters/<path>/values/2, or the range's end.
std::string place_of(const Space& space, const std::string& path, const Value& value) {
  const std::string pointer = "/parameters" + pointer_step(path);
  for (const Parameter& parameter : space) {
    if (parameter.path != path) continue;
    if (parameter.distribution != Distribution::kChoice) return pointer;
    const auto at = std::find(parameter.values.begin(), parameter.values.end(), value) - parameter.values.begin();
    return pointer + "/values" + pointer_step(static_cast<std::size_t>(at));
  }
  return pointer;
}

}  // namespace

json recipe_with(const json& recipe, const Space& space, const Params& params) {
  json out = recipe;
  for (const Parameter& parameter : space) {
    const auto found = params.find(parameter.path);
    if (found != params.end()) put(out, parameter.path, found->second);
  }
  return out;
}

void check_branches(const json& recipe, const Space& space, const std::vector<Params>& points, const Manifest* data,
                    Problems& problems) {
  const std::size_t budget = std::max<std::size_t>(1, kValuesReadMax / count_values(recipe));
  const Branches source(space);
  std::vector<Params> branches = source.combinations(std::min(kCombinationsMax, budget));
  if (branches.empty()) {
    const std::size_t most = std::min(kAloneMax, budget);
    branches = source.alone(most);
    if (branches.size() > most) {
      branches.resize(most);
      problems.warn("/parameters",
                    "has more values than could be tried; a trial whose values do not fit will end as INVALID");
    }
  }
  const std::size_t room = budget - std::min(budget, branches.size());
  branches.insert(branches.end(), points.begin(),
                  points.begin() + static_cast<std::ptrdiff_t>(std::min(points.size(), room)));

  std::map<std::pair<std::string, std::string>, std::set<std::size_t>> errors;  // (pointer, message) -> branches
  for (std::size_t i = 0; i < branches.size() && errors.size() < 100; ++i) {
    Problems own;
    json document = recipe_with(recipe, space, branches[i]);
    read_recipe(document, data, own);
    for (const Problem& problem : own.list()) errors[{problem.pointer, problem.message}].insert(i);
  }
  for (const auto& [error, failing] : errors) {
    const auto& [pointer, message] = error;
    const Params& first = branches[*failing.begin()];
    if (failing.size() == branches.size()) {
      problems.error(pointer, message);
    } else if (const std::string* path = Blame(branches, failing).parameter()) {
      problems.error(
          place_of(space, *path, first.at(*path)),
          "with " + *path + " = " + shown(json_of(first.at(*path))) + ", " + dotted(pointer) + " " + message);
    } else {
      problems.error("/parameters", described(first) + ": " + dotted(pointer) + " " + message);
    }
  }
}

}  // namespace modelhop
