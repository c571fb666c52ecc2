#include "common/wire/json.h"

#include <cmath>
#include <set>

#include "common/base/limits.h"

namespace modelhop {

nlohmann::json json_of(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

bool from_json(const nlohmann::json& json, double& out) {
  if (json.is_number()) {
    out = json.get<double>();
    return true;
  }
  if (!json.is_string()) return false;
  const std::string& text = json.get_ref<const std::string&>();
  if (text == "nan") {
    out = std::numeric_limits<double>::quiet_NaN();
  } else if (text == "inf") {
    out = std::numeric_limits<double>::infinity();
  } else if (text == "-inf") {
    out = -std::numeric_limits<double>::infinity();
  } else {
    return false;
  }
  return true;
}

// A double that JSON cannot hold is {"double": "inf"}, so that it stays apart from a text.
nlohmann::json json_of(const Params& params) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [path, value] : params) {
    object[path] = std::visit(
        [](const auto& held) -> nlohmann::json {
          if constexpr (std::is_same_v<std::decay_t<decltype(held)>, double>) {
            if (!std::isfinite(held)) return {{"double", json_of(held)}};
          }
          return held;
        },
        value);
  }
  return object;
}

bool from_json(const nlohmann::json& json, Params& out) {
  if (!json.is_object() || json.size() > kParametersMax) return false;
  out.clear();
  for (const auto& [path, value] : json.items()) {
    Value& to = out[path];
    if (value.is_boolean()) {
      to = value.get<bool>();
    } else if (value.is_number_unsigned()) {
      if (value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return false;
      to = value.get<std::int64_t>();
    } else if (value.is_number_integer()) {
      to = value.get<std::int64_t>();
    } else if (value.is_number_float()) {
      to = value.get<double>();
    } else if (value.is_string()) {
      to = value.get<std::string>();
    } else {
      double number = 0;
      if (!value.is_object() || value.size() != 1 || !value.contains("double") || !from_json(value["double"], number)) {
        return false;
      }
      to = number;
    }
  }
  return true;
}

Result<nlohmann::json> parse_bounded_json(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) return corrupt("has more than " + std::to_string(bytes_max) + " bytes");
  using Json = nlohmann::json;
  bool too_deep = false, doubled = false;
  std::vector<std::set<std::string>> keys;  // of the open objects; empty for arrays
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (too_deep || doubled) return false;
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        keys.emplace_back();
        too_deep = depth >= static_cast<int>(kJsonDepthMax);
        break;
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end:
        if (!keys.empty()) keys.pop_back();
        break;
      case Json::parse_event_t::key:
        doubled = keys.empty() || !keys.back().insert(parsed.get<std::string>()).second;
        break;
      case Json::parse_event_t::value:
        break;
    }
    return !too_deep && !doubled;
  };
  Json json = Json::parse(text.begin(), text.end(), watch, false);
  if (too_deep) return corrupt("is nested deeper than " + std::to_string(kJsonDepthMax));
  if (doubled) return corrupt("has a key twice");
  if (json.is_discarded()) return corrupt("is no JSON");
  return json;
}

}  // namespace modelhop
