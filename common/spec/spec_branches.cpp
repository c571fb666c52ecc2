#include "common/spec/spec_branches.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "common/spec/recipe_path.h"
#include "common/spec/recipe_reader.h"
#include "common/spec/spec_blame.h"
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

// Whether one of these parameters changes what is at or inside this place, or replaces what is around it.
bool is_touched(const Schema::Given& given, const std::string& place) {
  return std::any_of(given.begin(), given.end(), [&](const auto& parameter) {
    return (parameter.first + "/").starts_with(place + "/") || (place + "/").starts_with(parameter.first + "/");
  });
}

// Reads a branch as far as `before` and the parameters that could not be read leave sense in it.
std::vector<Problem> read_branch(json document, const Schema::Given& unread, const Problems& before,
                                 const Manifest* data) {
  const Schema& schema = Schema::spec();
  Problems own;
  schema.check(document, schema.definition("recipe"), "", unread, own);
  Problems out;
  for (const Problem& problem : own.list()) {
    if (before.clean(problem.pointer)) out.error(problem.pointer, problem.message);
  }
  const Usable usable = [&](const std::string& place) {
    return before.clean(place) && own.clean(place) && !is_touched(unread, place);
  };
  check_recipe(document, data, usable, out);
  return out.list();
}

}  // namespace

json recipe_of(const json& document) {
  json out = json::object();
  for (const char* key : {"dataset", "model", "training", "seed"}) {
    if (const auto found = document.find(key); found != document.end()) out[key] = *found;
  }
  return out;
}

json recipe_with(const json& recipe, const Space& space, const Params& params) {
  json out = recipe;
  std::size_t used = 0;
  for (const Parameter& parameter : space) {
    const auto found = params.find(parameter.path);
    if (found == params.end()) continue;
    put(out, parameter.path, found->second);
    ++used;
  }
  if (used == params.size()) return out;
  // What stands deeper depends on the name beside it.
  for (const bool names : {true, false}) {
    for (const auto& [path, value] : params) {
      const bool in_space =
          std::any_of(space.begin(), space.end(), [&path = path](const Parameter& p) { return p.path == path; });
      if (!in_space && path.ends_with(".name") == names) change(out, path, value);
    }
  }
  return out;
}

void check_branches(const json& recipe, const Space& space, const Schema::Given& unread,
                    const std::vector<Params>& points, const Manifest* data, Problems& problems) {
  const Problems before = problems;
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
  const std::size_t own = branches.size();
  const std::size_t room = budget - std::min(budget, own);
  branches.insert(branches.end(), points.begin(),
                  points.begin() + static_cast<std::ptrdiff_t>(std::min(points.size(), room)));
  Findings findings(space, branches, own);
  for (const Params& params : branches) {
    if (findings.full()) break;
    findings.add(read_branch(recipe_with(recipe, space, params), unread, before, data));
  }
  findings.report(problems);
}

}  // namespace modelhop
