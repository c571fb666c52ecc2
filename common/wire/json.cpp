#include "common/wire/json.h"

#include <cmath>
#include <utility>
#include <vector>

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

namespace {

// Builds a document, and stops where it goes too deep or has a key twice. Not by nlohmann's callback, which costs half
// as much again: a start reads whole journals.
class BoundedBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  using Json = nlohmann::json;
  bool too_deep = false, doubled = false;
  Json document;

  bool null() override { return place(nullptr); }
  bool boolean(bool value) override { return place(value); }
  bool number_integer(number_integer_t value) override { return place(value); }
  bool number_unsigned(number_unsigned_t value) override { return place(value); }
  bool number_float(number_float_t value, const string_t&) override { return place(value); }
  bool string(string_t& value) override { return place(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::value_t::object); }
  bool start_array(std::size_t) override { return open(Json::value_t::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    const auto [slot, added] = open_.back()->get_ref<Json::object_t&>().try_emplace(std::move(name));
    doubled = !added;
    value_of_key_ = &slot->second;
    return added;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override { return false; }

 private:
  bool open(Json::value_t kind) {
    too_deep = open_.size() >= kJsonDepthMax;
    if (too_deep) return false;
    place(kind);
    open_.push_back(placed_);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  template <class T>
  bool place(T&& value) {
    if (open_.empty()) {
      document = Json(std::forward<T>(value));
      placed_ = &document;
    } else if (open_.back()->is_array()) {
      placed_ = &open_.back()->get_ref<Json::array_t&>().emplace_back(std::forward<T>(value));
    } else {
      *value_of_key_ = Json(std::forward<T>(value));
      placed_ = value_of_key_;
    }
    return true;
  }

  std::vector<Json*> open_;  // objects and arrays that are not closed yet, the innermost last
  Json *value_of_key_ = nullptr, *placed_ = nullptr;
};

}  // namespace

Result<nlohmann::json> parse_bounded_json(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) return corrupt("has more than " + std::to_string(bytes_max) + " bytes");
  BoundedBuilder builder;
  const bool whole = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  if (builder.too_deep) return corrupt("is nested deeper than " + std::to_string(kJsonDepthMax));
  if (builder.doubled) return corrupt("has a key twice");
  if (!whole) return corrupt("is no JSON");
  return std::move(builder.document);
}

}  // namespace modelhop
