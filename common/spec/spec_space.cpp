#include "common/spec/spec_space.h"

#include <algorithm>
#include <map>

#include "common/base/limits.h"
#include "common/spec/json_reader.h"
#include "common/spec/recipe_path.h"
#include "common/spec/spec_parameter.h"
#include "common/spec/suggest.h"

namespace modelhop {
namespace {

using nlohmann::json;

// Fills in `when` of a parameter whose object has one.
void read_when(Parameter& parameter, json& objects, const std::map<std::string, Parameter>& known,
               const std::map<std::string, PathTarget>& targets, Problems& problems) {
  json& object = objects.at(parameter.path);
  const auto when = object.find("when");
  if (when == object.end()) return;
  const std::string pointer = "/parameters" + pointer_step(parameter.path) + "/when";
  std::vector<std::string> others;
  for (const auto& [path, ignored] : objects.items()) {
    if (path != parameter.path) others.push_back(path);
  }
  if (when->empty()) problems.error(pointer, "names no parameter; leave it out");
  for (auto& [path, values] : when->items()) {
    const std::string place = pointer + pointer_step(path);
    if (path == parameter.path) {
      problems.error(place, "a parameter cannot depend on itself");
      continue;
    }
    if (!objects.contains(path)) {
      problems.error(place, "is no parameter" + suggestion(path, others));
      continue;
    }
    const auto found = known.find(path);
    if (found == known.end()) continue;  // it is wrong itself, which is told at its place
    const Parameter& other = found->second;
    if (!has_exact_values(other)) {
      problems.error(place,
                     "is drawn from a range of fractions, so it hardly ever equals a value; depend on a parameter "
                     "with values");
      continue;
    }
    std::vector<Value>& allowed = parameter.when[path];
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t errors = problems.errors();
      const auto value = targets.at(path).take(values[i], place + pointer_step(i), problems);
      if (problems.errors() > errors || !value) continue;
      values[i] = json_of(*value);
      if (!is_possible(other, *value)) {
        std::vector<std::string> texts;
        for (const Value& one : other.values) texts.push_back(to_json_text(one));
        problems.error(place + pointer_step(i),
                       shown(values[i]) + " is no value that " + shown(path) + " can have" +
                           (texts.empty() || texts.size() > 16 ? "" : "; one of " + listed(texts)));
      } else {
        allowed.push_back(*value);
      }
    }
  }
}

// A parameter after all that it depends on; among those, by path. Reports circles.
Space ordered(std::map<std::string, Parameter> parameters, Problems& problems) {
  Space out;
  std::map<std::string, bool> placed;
  bool progress = true;
  while (progress) {
    progress = false;
    for (auto& [path, parameter] : parameters) {
      if (placed[path]) continue;
      const bool ready = std::all_of(parameter.when.begin(), parameter.when.end(), [&](const auto& condition) {
        return !parameters.contains(condition.first) || placed[condition.first];
      });
      if (!ready) continue;
      placed[path] = true;
      out.push_back(parameter);
      progress = true;
      break;  // from the front again: the smallest path that is ready
    }
  }
  for (const auto& [path, parameter] : parameters) {
    if (placed[path]) continue;
    // Follow unplaced conditions until one comes again: that is the circle.
    std::vector<std::string> walk = {path};
    while (true) {
      std::string next;
      for (const auto& [other, ignored] : parameters.at(walk.back()).when) {
        if (parameters.contains(other) && !placed[other]) next = other;
      }
      const auto again = static_cast<std::size_t>(std::find(walk.begin(), walk.end(), next) - walk.begin());
      walk.push_back(next);
      if (again == walk.size() - 1) continue;
      std::string circle;
      for (std::size_t i = again; i < walk.size(); ++i) circle += (circle.empty() ? "" : " -> ") + walk[i];
      problems.error("/parameters" + pointer_step(path) + "/when", "depends on itself in a circle: " + circle);
      break;
    }
  }
  return out;
}

void check_prefixes(const json& parameters, Problems& problems) {
  for (const auto& [path, ignored] : parameters.items()) {
    for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
      if (parameters.contains(path.substr(0, dot))) {
        problems.error("/parameters" + pointer_step(path), "lies inside of " + shown(path.substr(0, dot)) +
                                                               ", which is a parameter too; search one of them");
      }
    }
  }
}

// Every parameter that the object's `when` names is in the space.
bool depends_on_known(const json& object, const Space& space) {
  const auto when = object.find("when");
  if (when == object.end()) return true;
  return std::all_of(when->items().begin(), when->items().end(), [&](const auto& condition) {
    return std::any_of(space.begin(), space.end(),
                       [&](const Parameter& parameter) { return parameter.path == condition.key(); });
  });
}

}  // namespace

Schema::Given given_by_parameters(const json& document) {
  Schema::Given out;
  const auto parameters = document.find("parameters");
  if (parameters == document.end() || !parameters->is_object() || parameters->size() > kParametersMax) return out;
  for (const auto& [path, parameter] : parameters->items()) {
    if (!is_below_recipe(path)) continue;  // refused as a path, and gives nothing
    std::vector<std::string>& texts = out[pointer_of_path(path)];
    if (!parameter.is_object()) continue;
    const auto values = parameter.find("values");
    if (values == parameter.end() || !values->is_array()) continue;
    for (const json& value : *values) {
      if (value.is_string()) texts.push_back(value.get<std::string>());
    }
  }
  return out;
}

Space read_space(json& document, const Schema::Given& given, std::optional<bool> grid, Problems& problems) {
  const auto found = document.find("parameters");
  if (found == document.end() || !found->is_object() || found->size() > kParametersMax) return {};
  json& objects = *found;
  const Problems schema = problems;
  const auto place_of = [](const std::string& path) { return "/parameters" + pointer_step(path); };
  std::map<std::string, Parameter> parameters;
  std::map<std::string, PathTarget> targets;
  for (auto& [path, object] : objects.items()) {
    const auto [target, ignored] = targets.emplace(path, find_path(document, path, given));
    if (target->second.schemas.empty()) {
      // Where the recipe itself is wrong, a path may lead nowhere for that reason.
      const auto& ends = target->second.ends_at;
      const bool sure =
          std::all_of(ends.begin(), ends.end(), [&](const std::string& at) { return schema.clean_around(at); });
      if (sure) problems.error(place_of(path), target->second.why_not);
      continue;
    }
    if (!schema.clean(place_of(path))) continue;
    auto parameter = read_parameter(path, object, target->second, grid, problems);
    if (parameter) parameters.emplace(path, std::move(*parameter));
  }
  const std::map<std::string, Parameter> known = parameters;
  for (auto& [path, parameter] : parameters) read_when(parameter, objects, known, targets, problems);
  check_prefixes(objects, problems);
  Space out;
  for (Parameter& parameter : ordered(std::move(parameters), problems)) {
    if (problems.clean(place_of(parameter.path)) && depends_on_known(objects.at(parameter.path), out)) {
      out.push_back(std::move(parameter));
    }
  }
  return out;
}

bool holds(const Parameter& parameter, const Params& params) {
  return std::all_of(parameter.when.begin(), parameter.when.end(), [&](const auto& condition) {
    const auto found = params.find(condition.first);
    return found != params.end() &&
           std::find(condition.second.begin(), condition.second.end(), found->second) != condition.second.end();
  });
}

std::vector<Params> read_points(json& document, const Schema::Given& given, const Space& space, Problems& problems) {
  std::vector<Params> out;
  const auto points = document.find("points_to_evaluate");
  if (points == document.end() || !points->is_array()) return out;
  const json none = json::object();
  const auto parameters = document.find("parameters");
  const json& objects = parameters == document.end() || !parameters->is_object() ? none : *parameters;
  std::vector<std::string> paths;
  for (const auto& [path, ignored] : objects.items()) paths.push_back(path);
  std::map<std::string, PathTarget> targets;
  for (const Parameter& parameter : space) {
    targets.emplace(parameter.path, find_path(document, parameter.path, given));
  }
  const Problems schema = problems;
  for (std::size_t i = 0; i < points->size() && !problems.full(); ++i) {
    json& point = (*points)[i];
    const std::string pointer = "/points_to_evaluate" + pointer_step(i);
    if (!schema.clean_inside(pointer)) continue;
    const std::size_t errors = problems.errors();
    for (const auto& [path, ignored] : point.items()) {
      if (!objects.contains(path))
        problems.error(pointer + pointer_step(path), "is no parameter" + suggestion(path, paths));
    }
    Params params;
    for (const Parameter& parameter : space) {
      const std::string place = pointer + pointer_step(parameter.path);
      const auto found = point.find(parameter.path);
      const bool active = holds(parameter, params);
      if (found == point.end()) {
        if (active) problems.error(place, "is missing: a point needs a value for every active parameter");
        continue;
      }
      if (!active) {
        problems.error(place, "is not active at this point, its `when` does not hold; leave it out");
        continue;
      }
      const auto value = targets.at(parameter.path).take(*found, place, problems);
      if (!value) continue;
      *found = json_of(*value);
      if (!is_possible(parameter, *value)) problems.error(place, shown(*found) + " is not in the parameter's space");
      params[parameter.path] = *value;
    }
    if (problems.errors() == errors) out.push_back(std::move(params));
  }
  return out;
}

}  // namespace modelhop
