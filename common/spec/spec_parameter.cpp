#include "common/spec/spec_parameter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "common/spec/json_reader.h"
#include "common/spec/json_text.h"
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

bool is_normal(Distribution distribution) {
  return distribution == Distribution::kNormal || distribution == Distribution::kLogNormal;
}

bool is_quantized(Distribution distribution) {
  return distribution == Distribution::kQUniform || distribution == Distribution::kQLogUniform ||
         distribution == Distribution::kQRandInt;
}

// Reads one parameter. The object has passed the schema, so types are right; which keys belong together is seen here.
class ParameterReader {
 public:
  ParameterReader(const std::string& path, json& object, const PathTarget& target, std::optional<bool> grid,
                  Problems& problems)
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
    if (grid_ == true) check_grid();
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
    if (object_.contains("count") && grid_ == false) error("count", "is for algorithm grid; leave it out");
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
    } else if ((is_quantized(out_.distribution) && (out_.high - out_.low) / out_.step > kWholeMax) ||
               (row_->integer && out_.high - out_.low > kWholeMax)) {
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
  const std::optional<bool> grid_;
  Problems& problems_;
  const std::string pointer_;
  const DistributionRow* row_ = nullptr;
  Parameter out_;
};

}  // namespace

std::optional<Parameter> read_parameter(const std::string& path, json& object, const PathTarget& target,
                                        std::optional<bool> grid, Problems& problems) {
  const std::size_t errors = problems.errors();
  Parameter parameter = ParameterReader(path, object, target, grid, problems).read();
  if (problems.errors() > errors) return std::nullopt;
  return parameter;
}

bool has_exact_values(const Parameter& parameter) {
  return parameter.distribution == Distribution::kChoice || parameter.integer || is_quantized(parameter.distribution) ||
         kDistributions[static_cast<std::size_t>(parameter.distribution)].integer;
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

}  // namespace modelhop
