#include "common/spec/schema_scalar.h"

#include <charconv>
#include <cmath>

#include "common/spec/json_text.h"
#include "common/spec/schema.h"
#include "common/spec/suggest.h"

namespace modelhop {
namespace {

using nlohmann::json;

const char* words_of(const std::string& type) {
  if (type == "integer") return "a whole number";
  if (type == "number") return "a number";
  if (type == "string") return "a text";
  if (type == "boolean") return "true or false";
  if (type == "array") return "a list";
  if (type == "object") return "an object";
  return "null";
}

std::string bound_text(const json& bound) {
  if (bound.is_number_integer()) return bound.dump();
  const double value = bound.get<double>();
  return is_whole(value) ? std::to_string(static_cast<std::int64_t>(value)) : double_text(value);
}

// Names that the command line would take for something else.
bool looks_like_an_id(const std::string& text) {
  if (text.size() < 2 || text[0] != 'e') return false;
  return text.find_first_not_of("0123456789.", 1) == std::string::npos;
}

}  // namespace

bool has_type(const json& instance, const std::string& type) {
  if (type == "integer") {
    return instance.is_number_integer() || (instance.is_number_float() && is_whole(instance.get<double>()));
  }
  if (type == "number") return instance.is_number();
  if (type == "string") return instance.is_string();
  if (type == "boolean") return instance.is_boolean();
  if (type == "array") return instance.is_array();
  if (type == "object") return instance.is_object();
  return instance.is_null();
}

bool check_type(json& instance, const json& schema, const std::string& pointer, Problems& out) {
  const auto type = schema.find("type");
  if (type == schema.end()) return true;
  if (type->is_array()) {
    std::vector<std::string> words;
    for (const json& one : *type) {
      if (has_type(instance, one.get_ref<const std::string&>())) return true;
      words.emplace_back(words_of(one.get_ref<const std::string&>()));
    }
    out.error(pointer, "must be one of: " + listed(words) + "; got " + shown(instance));
    return false;
  }
  const std::string& name = type->get_ref<const std::string&>();
  if (!has_type(instance, name)) {
    out.error(pointer, std::string("must be ") + words_of(name) + ", got " + shown(instance));
    return false;
  }
  if (name == "number" && !instance.is_number_float()) {
    instance = instance.get<double>();
  } else if (name == "integer" && instance.is_number_float()) {
    instance = static_cast<std::int64_t>(instance.get<double>());
  }
  // One representation, so that equal values give equal text and compare as equal types.
  if (instance.is_number_integer() && !instance.is_number_unsigned() && instance.get<std::int64_t>() >= 0) {
    instance = instance.get<std::uint64_t>();
  }
  return true;
}

void check_number(const json& instance, const json& schema, const std::string& pointer, Problems& out) {
  const auto fails = [&](const char* key, auto holds, const char* words) {
    const auto bound = schema.find(key);
    if (bound == schema.end()) return;
    const bool in_bound = instance.is_number_float() || bound->is_number_float()
                              ? holds(instance.get<double>(), bound->get<double>())
                              : holds(instance < *bound ? -1.0 : (*bound < instance ? 1.0 : 0.0), 0.0);
    if (!in_bound)
      out.error(pointer, std::string("must be ") + words + " " + bound_text(*bound) + ", got " + shown(instance));
  };
  fails(
      "minimum", [](double a, double b) { return a >= b; }, "at least");
  fails(
      "exclusiveMinimum", [](double a, double b) { return a > b; }, "above");
  fails(
      "maximum", [](double a, double b) { return a <= b; }, "at most");
  fails(
      "exclusiveMaximum", [](double a, double b) { return a < b; }, "below");
}

void check_text(const json& instance, const json& schema, const std::string& pointer, Problems& out) {
  const std::string& text = instance.get_ref<const std::string&>();
  // JSON Schema counts characters, we count bytes: what a limit bounds is memory.
  if (const auto most = schema.find("maxLength"); most != schema.end() && text.size() > most->get<std::size_t>()) {
    out.error(pointer, "has " + std::to_string(text.size()) + " bytes; at most " + most->dump() + " are allowed");
    return;
  }
  if (const auto least = schema.find("minLength"); least != schema.end() && text.size() < least->get<std::size_t>()) {
    out.error(pointer, "must not be empty");
    return;
  }
  const std::string format = schema.value("format", "");
  std::uint64_t milliseconds = 0;
  if (format == "duration-with-unit" && !parse_duration(text, milliseconds)) {
    out.error(pointer,
              "must be a number and its unit (ms, s, m, h, d), as in \"90s\" or \"2h\"; got " + shown(instance));
  } else if (format == "name") {
    for (char c : text) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '/') {
        out.error(pointer, "must not hold control characters or slashes");
        return;
      }
    }
    if (looks_like_an_id(text))
      out.error(pointer, shown(instance) + " reads like an experiment's id; take another name");
  }
}

bool parse_duration(const std::string& text, std::uint64_t& milliseconds) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || text.empty() || text[0] < '0' || text[0] > '9' || end[-1] == '.') return false;
  const std::string unit(end, text.data() + text.size());
  double scale = 0;
  if (unit == "ms") scale = 1;
  if (unit == "s") scale = 1e3;
  if (unit == "m") scale = 60e3;
  if (unit == "h") scale = 3600e3;
  if (unit == "d") scale = 86400e3;
  constexpr double kLongest = 3.2e14;  // 10,000 years: sums of times stay in 64 bits
  if (scale == 0 || number * scale > kLongest) return false;
  milliseconds = static_cast<std::uint64_t>(std::llround(number * scale));
  return true;
}

}  // namespace modelhop
