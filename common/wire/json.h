#pragma once
// The JSON archives of the journal's records: keys sorted, doubles exact, NaN and infinities as strings, hashes as hex,
// tokens "3.17", experiments "e7", enumerations by name. Format: docs/formats.md, "Journal".
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/spec/params.h"
#include "common/wire/bytes.h"

namespace modelhop {

inline constexpr std::size_t kRecordBytesMax = 32 << 20;  // a spec as sent and as expanded, escaped

nlohmann::json json_of(double value);
nlohmann::json json_of(const Params& params);
bool from_json(const nlohmann::json& json, double& out);
bool from_json(const nlohmann::json& json, Params& out);

// Size, depth and duplicate keys are checked while parsing; never throws.
Result<nlohmann::json> parse_bounded_json(std::string_view text, std::size_t bytes_max);

class JsonWriter {
 public:
  nlohmann::json object = nlohmann::json::object();

  template <class T>
  void operator()(const char* name, const T& value, std::size_t = kNoLimit) {
    object[name] = of(value);
  }
  void cut(const char* name, const std::string& text, std::size_t most) { object[name] = cut_text(text, most); }

 private:
  template <class T>
  static nlohmann::json of(const T& value) {
    if constexpr (std::is_same_v<T, double> || std::is_same_v<T, Params>) {
      return json_of(value);
    } else if constexpr (std::is_same_v<T, bool> || std::is_unsigned_v<T> ||
                         std::is_same_v<T, std::map<std::string, std::uint64_t>>) {
      return value;
    } else if constexpr (std::is_same_v<T, std::string>) {
      return cut_text(value, kRecordBytesMax);
    } else if constexpr (std::is_enum_v<T> || std::is_same_v<T, Token> || kIsDigest<T> ||
                         std::is_same_v<T, ExperimentId>) {
      return to_string(value);
    } else if constexpr (kIsId<T> || std::is_same_v<T, PartitionIndex>) {
      return value.value;
    } else if constexpr (kIsVector<T>) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& element : value) list.push_back(of(element));
      return list;
    } else {
      JsonWriter inner;
      fields(inner, value);
      return std::move(inner.object);
    }
  }
};

// Every key is required and no other is allowed.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object()) refuse("", "is no object");
  }

  template <class T>
  void operator()(const char* name, T& value, std::size_t most = kRecordBytesMax) {
    if (!status_.ok()) return;
    const auto found = object_.find(name);
    if (found == object_.end()) return refuse(name, "is missing");
    ++known_;
    get(name, *found, value, most);
  }
  void cut(const char* name, std::string& text, std::size_t most) { (*this)(name, text, most); }

  // After the last field.
  Status finish() const {
    if (status_.ok() && known_ != object_.size()) return corrupt(path_ + ": has a key that its version does not know");
    return status_;
  }

 private:
  void refuse(const char* name, const std::string& what) {
    if (status_.ok()) status_ = corrupt(path_ + "/" + name + " " + what);
  }
  template <class T>
  void get(const char* name, const nlohmann::json& json, T& value, std::size_t most) {
    if constexpr (std::is_same_v<T, double> || std::is_same_v<T, Params>) {
      if (!from_json(json, value)) refuse(name, "has a wrong value");
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!json.is_boolean()) return refuse(name, "is neither true nor false");
      value = json.get<bool>();
    } else if constexpr (std::is_unsigned_v<T>) {
      if (!json.is_number_unsigned() || json.get<std::uint64_t>() > std::numeric_limits<T>::max()) {
        return refuse(name, "is no whole number in its range");
      }
      value = json.get<T>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!json.is_string() || json.get_ref<const std::string&>().size() > most) {
        return refuse(name, "is no text of at most " + std::to_string(most) + " bytes");
      }
      value = json.get<std::string>();
    } else if constexpr (std::is_enum_v<T>) {
      for (unsigned i = 0; json.is_string() && i < kEnumCount<T>; ++i) {
        if (json.get_ref<const std::string&>() != to_string(static_cast<T>(i))) continue;
        value = static_cast<T>(i);
        return;
      }
      refuse(name, "has no such value");
    } else if constexpr (std::is_same_v<T, Token> || kIsDigest<T> || std::is_same_v<T, ExperimentId>) {
      if (!json.is_string() || !parse_text(json.get_ref<const std::string&>(), value)) refuse(name, "is ill-formed");
    } else if constexpr (kIsId<T> || std::is_same_v<T, PartitionIndex>) {
      get(name, json, value.value, most);
    } else if constexpr (std::is_same_v<T, std::map<std::string, std::uint64_t>>) {
      if (!json.is_object()) return refuse(name, "is no object");
      value.clear();
      for (const auto& [key, number] : json.items()) get(name, number, value[key], most);
    } else if constexpr (kIsVector<T>) {
      if (!json.is_array() || json.size() > most) return refuse(name, "is no list of at most " + std::to_string(most));
      value.clear();
      for (const auto& element : json) get(name, element, value.emplace_back(), kRecordBytesMax);
    } else {
      JsonReader inner(json, path_ + "/" + name);
      fields(inner, value);
      if (Status status = inner.finish(); !status.ok() && status_.ok()) status_ = status;
    }
  }
  // parse(), and the zero values, which print as "0.0" and "e0".
  template <class T>
  static bool parse_text(const std::string& text, T& value) {
    if (text == to_string(T{})) {
      value = T{};
      return true;
    }
    return parse(text, value);
  }

  const nlohmann::json& object_;
  std::string path_;
  std::size_t known_ = 0;
  Status status_;
};

}  // namespace modelhop
