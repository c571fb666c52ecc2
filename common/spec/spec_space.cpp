#include "common/spec/spec_space.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "common/base/limits.h"
#include "common/spec/json_reader.h"
#include "common/spec/json_text.h"
#include "common/spec/recipe_path.h"
#include "common/spec/suggest.h"

namespace modelhop {
namespace {

using nlohmann::json;

// What each distribution is given. Order: enum Distribution.
struct DistributionRow {
  const char* name;
  const char* required[3];
  bool count;    // a grid can take points of it
  bool integer;  // draws whole numbers
  bool log;
};
constexpr std::array<DistributionRow, 10> kDistributions = {{
    {"choice", {"values", nullptr, nullptr}, false, false, false},
    {"uniform", {"low", "high", nullptr}, true, false, false},
    {"loguniform", {"low", "high", nullptr}, true, false, true},
    {"quniform", {"low", "high", "step"}, true, false, false},
    {"qloguniform", {"low", "high", "step"}, true, false, true},
    {"randint", {"low", "high", nullptr}, true, true, false},
    {"lograndint", {"low", "high", nullptr}, true, true, true},
    {"qrandint", {"low", "high", "step"}, true, true, false},
    {"normal", {"mu", "sigma", nullptr}, false, false, false},
    {"lognormal", {"mu", "sigma", nullptr}, false, false, false},
}};

constexpr double kStepsMax = 9007199254740992.0;  // 2^53: steps of a range are counted in whole doubles

bool is_normal(Distribution distribution) {
  return distribution == Distribution::kNormal || distribution == Distribution::kLogNormal;
}

bool is_quantized(Distribution distribution) {
  return distribution == Distribution::kQUniform || distribution == Distribution::kQLogUniform ||
         distribution == Distribution::kQRandInt;
}

bool is_whole(double value) { return std::nearbyint(value) == value && std::fabs(value) <= kStepsMax; }

// Reads one parameter. The object has passed the schema, so types are right; which keys belong together is seen here.
class ParameterReader {
 public:
  ParameterReader(const std::string& path, json& object, const PathTarget& target, bool grid, Problems& problems)
      : path_(path),
        object_(object),
        target_(target),
        grid_(grid),
        problems_(problems),
        pointer_("/parameters" + pointer_step(path)) {}

  Parameter read() {
    out_.path = path_;
    const std::string& name = object_.at("distribution").get_ref<const std::string&>();
    for (std::size_t i = 0; i < kDistributions.size(); ++i) {
      if (name == kDistributions[i].name) out_.distribution = static_cast<Distribution>(i);
    }
    row_ = &kDistributions[static_cast<std::size_t>(out_.distribution)];
    const std::size_t errors = problems_.errors();
    check_keys();
    if (problems_.errors() > errors) return out_;
    if (out_.distribution == Distribution::kChoice) {
      read_values();
    } else {
      read_range();
    }
    if (grid_) check_grid();
    return out_;
  }

 private:
  void error(const char* key, const std::string& message) { problems_.error(pointer_ + "/" + key, message); }

  void check_keys() {
    if (out_.distribution == Distribution::kChoice && !object_.contains("values")) {
      problems_.error(pointer_,
                      "has neither values nor a distribution; give values, or a distribution such as uniform "
                      "with low and high");
      return;
    }
    for (const char* key : row_->required) {
      if (key != nullptr && !object_.contains(key)) error(key, std::string("is missing: ") + row_->name + " needs it");
    }
    for (const char* key : {"values", "low", "high", "step", "mu", "sigma"}) {
      const bool required = std::any_of(std::begin(row_->required), std::end(row_->required),
                                        [&](const char* one) { return one != nullptr && std::string(one) == key; });
      const bool cut = is_normal(out_.distribution) && (std::string(key) == "low" || std::string(key) == "high");
      if (!required && !cut && object_.contains(key)) {
        error(key, std::string("does not belong to ") + row_->name + "; leave it out");
      }
    }
    if (object_.contains("count") && !row_->count) error("count", std::string("does not belong to ") + row_->name);
    if (object_.contains("count") && !grid_) error("count", "is for algorithm grid; leave it out");
  }

  void read_values() {
    json& values = object_.at("values");
    std::map<std::string, std::size_t> seen;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::string place = pointer_ + "/values" + pointer_step(i);
      const auto value = target_.take(values[i], place, problems_);
      if (!value) continue;
      values[i] = json_of(*value);
      const auto [first, added] = seen.emplace(to_json_text(*value), i);
      if (!added)
        problems_.error(place,
                        shown(values[i]) + " is there twice; it is entry " + std::to_string(first->second) + " too");
      out_.values.push_back(*value);
    }
  }

  // A bound, held against what the key takes. `fallback` where it is not given.
  double bound(const char* key, double fallback) {
    if (!object_.contains(key)) return fallback;
    target_.take(object_.at(key), pointer_ + "/" + key, problems_);
    return object_.at(key).get<double>();
  }

  void need_whole(const char* key) {
    if (!object_.contains(key) || is_whole(object_.at(key).get<double>())) return;
    error(key, "must be a whole number, got " + shown(object_.at(key)));
  }

  void read_range() {
    if (!target_.number()) {
      problems_.error(pointer_ + "/distribution", std::string(row_->name) + " draws numbers, which " + shown(path_) +
                                                      " does not take; give values");
      return;
    }
    out_.integer = target_.integer();
    if (out_.integer && !row_->integer && !is_quantized(out_.distribution)) {
      problems_.error(pointer_ + "/distribution",
                      std::string(row_->name) + " draws fractions, and " + shown(path_) +
                          " takes whole numbers; take " +
                          (row_->log ? "lograndint or qloguniform" : "randint or qrandint"));
      return;
    }
    if (is_normal(out_.distribution)) return read_normal();
    const std::size_t errors = problems_.errors();
    out_.low = bound("low", 0);
    out_.high = bound("high", 0);
    out_.step = object_.contains("step") ? object_.at("step").get<double>() : 0;
    if (object_.contains("count")) out_.count = object_.at("count").get<std::uint64_t>();
    if (row_->integer && !out_.integer) {  // an integer key has refused them already
      need_whole("low");
      need_whole("high");
    }
    if (row_->integer || out_.integer) need_whole("step");
    if (problems_.errors() > errors) return;
    if (out_.low >= out_.high) {
      error("low", "must be below high, " + shown(object_.at("high")) + "; got " + shown(object_.at("low")));
    } else if (!std::isfinite(out_.high - out_.low)) {
      error("high", "is too far from low");
    } else if (is_quantized(out_.distribution) && out_.step > out_.high - out_.low) {
      error("step", "is larger than the range from low to high");
    } else if ((is_quantized(out_.distribution) && (out_.high - out_.low) / out_.step > kStepsMax) ||
               (row_->integer && out_.high - out_.low > kStepsMax)) {
      error("step", "makes more than 2^53 values of the range");
    }
    if (row_->log && out_.low <= 0) {
      error("low", std::string(row_->name) + " needs a bound above 0, got " + shown(object_.at("low")) +
                       (row_->integer ? "; try 1" : "; try 1e-5"));
    }
  }

  void read_normal() {
    out_.mu = object_.at("mu").get<double>();
    out_.sigma = object_.at("sigma").get<double>();
    const auto [least, most] = limits_of_key();
    out_.low = bound("low", least);
    out_.high = bound("high", most);
    if (out_.low >= out_.high) return error("low", "must be below high");
    const double middle = out_.distribution == Distribution::kLogNormal ? std::exp(out_.mu) : out_.mu;
    if (middle < out_.low || middle > out_.high) {
      error("mu", "puts the middle of the distribution, " + double_text(middle) + ", outside of what is allowed (" +
                      (std::isfinite(out_.low) ? double_text(out_.low) : "-inf") + " to " +
                      (std::isfinite(out_.high) ? double_text(out_.high) : "inf") + ")");
    }
  }

  // A normal draw has no bounds of its own: it is cut to what the key allows.
  std::pair<double, double> limits_of_key() const {
    double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
    for (const json* one : target_.schemas) {
      const json& schema = Schema::spec().resolve(*one);
      if (schema.contains("minimum")) least = std::max(least, schema.at("minimum").get<double>());
      if (schema.contains("maximum")) most = std::min(most, schema.at("maximum").get<double>());
      if (schema.contains("exclusiveMinimum")) {
        least = std::max(least, std::nextafter(schema.at("exclusiveMinimum").get<double>(), most));
      }
      if (schema.contains("exclusiveMaximum")) {
        most = std::min(most, std::nextafter(schema.at("exclusiveMaximum").get<double>(), least));
      }
    }
    return {least, most};
  }

  void check_grid() {
    if (out_.distribution == Distribution::kChoice || out_.count > 0) return;
    problems_.error(pointer_, is_normal(out_.distribution)
                                  ? std::string("a grid cannot cross ") + row_->name + "; give values"
                                  : std::string("a grid needs values, or count: how many points of the range"));
  }

  const std::string& path_;
  json& object_;
  const PathTarget& target_;
  const bool grid_;
  Problems& problems_;
  const std::string pointer_;
  const DistributionRow* row_ = nullptr;
  Parameter out_;
};

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
    const bool exact = other.distribution == Distribution::kChoice || other.integer ||
                       is_quantized(other.distribution) ||
                       kDistributions[static_cast<std::size_t>(other.distribution)].integer;
    if (!exact) {
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

void check_prefixes(const std::map<std::string, Parameter>& parameters, Problems& problems) {
  for (const auto& [path, ignored] : parameters) {
    for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
      if (parameters.contains(path.substr(0, dot))) {
        problems.error("/parameters" + pointer_step(path), "lies inside of " + shown(path.substr(0, dot)) +
                                                               ", which is a parameter too; search one of them");
      }
    }
  }
}

}  // namespace

Schema::Given given_by_parameters(const json& document) {
  Schema::Given out;
  const auto parameters = document.find("parameters");
  if (parameters == document.end() || !parameters->is_object() || parameters->size() > kParametersMax) return out;
  for (const auto& [path, parameter] : parameters->items()) {
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

Space read_space(json& document, const Schema::Given& given, bool grid, Problems& problems) {
  json& objects = document.at("parameters");
  const Problems recipe = problems;
  std::map<std::string, Parameter> parameters;
  std::map<std::string, PathTarget> targets;
  for (auto& [path, object] : objects.items()) {
    const auto [target, ignored] = targets.emplace(path, find_path(document, path, given));
    if (target->second.schemas.empty()) {
      // Where the recipe itself is wrong there, a path may lead nowhere for that reason.
      const std::size_t dot = path.find('.');
      if (!recipe.clean("/" + path.substr(0, dot))) continue;
      problems.error("/parameters" + pointer_step(path), target->second.why_not);
      continue;
    }
    const std::size_t errors = problems.errors();
    Parameter parameter = ParameterReader(target->first, object, target->second, grid, problems).read();
    if (problems.errors() == errors) parameters.emplace(path, std::move(parameter));
  }
  const std::map<std::string, Parameter> known = parameters;
  for (auto& [path, parameter] : parameters) read_when(parameter, objects, known, targets, problems);
  check_prefixes(parameters, problems);
  return ordered(std::move(parameters), problems);
}

bool is_possible(const Parameter& parameter, const Value& value) {
  if (parameter.distribution == Distribution::kChoice) {
    return std::find(parameter.values.begin(), parameter.values.end(), value) != parameter.values.end();
  }
  double number = 0;
  if (const std::int64_t* whole = std::get_if<std::int64_t>(&value)) {
    number = static_cast<double>(*whole);
  } else if (const double* fraction = std::get_if<double>(&value)) {
    number = *fraction;
  } else {
    return false;
  }
  if (number < parameter.low || number > parameter.high) return false;
  if (kDistributions[static_cast<std::size_t>(parameter.distribution)].integer && !is_whole(number)) return false;
  if (!is_quantized(parameter.distribution)) return true;
  const double steps = (number - parameter.low) / parameter.step;
  return std::fabs(steps - std::nearbyint(steps)) < 1e-6;
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
  json& points = document.at("points_to_evaluate");
  std::vector<std::string> paths;
  std::map<std::string, PathTarget> targets;
  for (const Parameter& parameter : space) {
    paths.push_back(parameter.path);
    targets.emplace(parameter.path, find_path(document, parameter.path, given));
  }
  for (std::size_t i = 0; i < points.size() && !problems.full(); ++i) {
    const std::string pointer = "/points_to_evaluate" + pointer_step(i);
    for (const auto& [path, ignored] : points[i].items()) {
      if (!targets.contains(path))
        problems.error(pointer + pointer_step(path), "is no parameter" + suggestion(path, paths));
    }
    Params params;
    for (const Parameter& parameter : space) {
      const std::string place = pointer + pointer_step(parameter.path);
      const auto found = points[i].find(parameter.path);
      const bool active = holds(parameter, params);
      if (found == points[i].end()) {
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
    out.push_back(std::move(params));
  }
  return out;
}

}  // namespace modelhop
