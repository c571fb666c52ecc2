#include "common/spec/spec_blame.h"

#include <algorithm>
#include <set>

#include "common/spec/json_reader.h"
#include "common/spec/recipe_path.h"

namespace modelhop {
namespace {

constexpr std::size_t kDescribedBytesMax = 300;

std::string without_numbers(const std::string& message) {
  std::string out;
  for (char c : message) {
    if (c < '0' || c > '9') {
      out += c;
    } else if (!out.ends_with('#')) {
      out += '#';
    }
  }
  return out;
}

std::string described(const Params& params) {
  std::string out;
  for (const auto& [path, value] : params) {
    if (out.size() > kDescribedBytesMax) return out + ", ...";
    out += (out.empty() ? "with " : ", ") + path + " = " + shown(json_of(value));
  }
  return out;
}

std::string more(std::size_t count, const std::string& one, const std::string& many) {
  return count == 0 ? "" : " (and " + std::to_string(count) + " more " + (count == 1 ? one : many) + " like it)";
}

// Where a value stands in the spec: /parameters/<path>/values/2, or the range.
std::string place_of(const Parameter& parameter, const Value& value) {
  std::string pointer = "/parameters" + pointer_step(parameter.path);
  if (parameter.distribution != Distribution::kChoice) return pointer;
  const auto at = std::find(parameter.values.begin(), parameter.values.end(), value) - parameter.values.begin();
  return pointer + "/values" + pointer_step(static_cast<std::size_t>(at));
}

}  // namespace

Findings::Findings(const Space& space, const std::vector<Params>& branches, std::size_t points)
    : space_(space), branches_(branches), points_(points), values_(branches.size()) {
  for (std::size_t p = 0; p < space.size(); ++p) {
    std::map<Value, int> places;
    for (std::size_t i = 0; i < branches.size(); ++i) {
      const auto found = branches[i].find(space[p].path);
      const int next = static_cast<int>(places.size());
      values_[i].push_back(found == branches[i].end() ? -1 : places.emplace(found->second, next).first->second);
    }
    if (places.size() > 1) varying_.push_back(p);
  }
}

void Findings::add(const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) {
    if (full()) break;
    kinds_[{problem.pointer, without_numbers(problem.message)}].emplace(read_, problem.message);
  }
  ++read_;
}

bool Findings::has(std::size_t branch, const Cause& cause) const {
  for (std::size_t i = 0; i < cause.parameters.size(); ++i) {
    if (values_[branch][cause.parameters[i]] != cause.values[i]) return false;
  }
  return true;
}

// Every branch with these values fails.
bool Findings::is_guilty(const Cause& cause, const Messages& failing) const {
  for (std::size_t i = 0; i < std::min(read_, points_); ++i) {
    if (!failing.contains(i) && has(i, cause)) return false;
  }
  return true;
}

// The fewest of a failing branch's values with which every branch fails; all of them where more than two are needed.
Findings::Cause Findings::cause_of(std::size_t branch, const Messages& failing) const {
  if (Cause nothing; is_guilty(nothing, failing)) return nothing;
  std::vector<std::size_t> active;
  for (std::size_t p : varying_) {
    if (values_[branch][p] >= 0) active.push_back(p);
  }
  const auto value = [&](std::size_t p) { return values_[branch][p]; };
  for (std::size_t p : active) {
    if (Cause cause{{p}, {value(p)}}; is_guilty(cause, failing)) return cause;
  }
  if (active.size() <= kPairsOfMost) {
    for (std::size_t i = 0; i < active.size(); ++i) {
      for (std::size_t j = i + 1; j < active.size(); ++j) {
        if (Cause cause{{active[i], active[j]}, {value(active[i]), value(active[j])}}; is_guilty(cause, failing)) {
          return cause;
        }
      }
    }
  }
  Cause all{active, {}};
  for (std::size_t p : active) all.values.push_back(value(p));
  return all;
}

void Findings::report(Problems& problems) const {
  for (const auto& [kind, failing] : kinds_) report_kind(kind.first, failing, problems);
}

void Findings::report_kind(const std::string& pointer, const Messages& failing, Problems& problems) const {
  std::vector<Cause> causes;
  // The parameters of a cause -> the first branch it was found in, and how many such causes there are.
  std::map<std::vector<std::size_t>, std::pair<std::size_t, std::size_t>> clashes;
  for (const auto& [branch, message] : failing) {
    const std::size_t i = branch;
    if (i >= points_ || std::any_of(causes.begin(), causes.end(), [&](const Cause& cause) { return has(i, cause); })) {
      continue;
    }
    causes.push_back(cause_of(i, failing));
    const Cause& cause = causes.back();
    if (cause.parameters.empty()) return problems.error(pointer, message);
    if (cause.parameters.size() == 1) {
      const Parameter& parameter = space_[cause.parameters[0]];
      const Value& value = branches_[i].at(parameter.path);
      problems.error(place_of(parameter, value),
                     "with " + parameter.path + " = " + shown(json_of(value)) + ", " + dotted(pointer) + " " + message);
    } else {
      ++clashes.emplace(cause.parameters, std::pair{i, std::size_t{0}}).first->second.second;
    }
  }
  for (const auto& [parameters, found] : clashes) {
    const auto& [branch, count] = found;
    Params params;
    for (std::size_t p : parameters) params[space_[p].path] = branches_[branch].at(space_[p].path);
    problems.error("/parameters",
                   described(params) + ": " + dotted(pointer) + " " + failing.at(branch) +
                       (parameters.size() == 2 ? more(count - 1, "pair of these two", "pairs of these two")
                                               : more(count - 1, "combination", "combinations")));
  }
  report_points(pointer, failing, causes, problems);
}

// Points that fail for a reason of their own.
void Findings::report_points(const std::string& pointer, const Messages& failing, const std::vector<Cause>& causes,
                             Problems& problems) const {
  std::size_t first = 0, count = 0;
  for (auto at = failing.lower_bound(points_); at != failing.end(); ++at) {
    const std::size_t i = at->first;
    if (std::any_of(causes.begin(), causes.end(), [&](const Cause& cause) { return has(i, cause); })) continue;
    if (count++ == 0) first = i;
  }
  if (count == 0) return;
  problems.error("/points_to_evaluate" + pointer_step(first - points_),
                 "with its values, " + dotted(pointer) + " " + failing.at(first) + more(count - 1, "point", "points"));
}

}  // namespace modelhop
