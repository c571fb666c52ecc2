#include "cli/json_input.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace modelhop::cli {
namespace {

unsigned depth_of(std::string_view text) {
  unsigned depth = 0, deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& what, unsigned depth_max) {
  if (depth_of(text) > depth_max) return invalid(what + ": nested deeper than " + std::to_string(depth_max));
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    std::string why = error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (const auto at = why.find("] "); at != std::string::npos) why = why.substr(at + 2);
    return invalid(what + ": " + why);
  }
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const auto close = [](std::FILE* file) {
    if (file != stdin) std::fclose(file);
  };
  const std::unique_ptr<std::FILE, decltype(close)> file(path == "-" ? stdin : std::fopen(path.c_str(), "rb"), close);
  const auto failed = [&] {
    const int why = errno;
    return Status{why == ENOENT ? Code::kNotFound : Code::kEnvironment,
                  path + ": cannot be read: " + std::strerror(why)};
  };
  if (!file) return failed();
  std::string out;
  char chunk[16 << 10];
  for (std::size_t size; (size = std::fread(chunk, 1, sizeof chunk, file.get())) > 0;) {
    out.append(chunk, size);
    if (out.size() > bytes_max) return invalid(path + ": over " + std::to_string(bytes_max) + " bytes");
  }
  if (std::ferror(file.get()) != 0) return failed();
  return out;
}

const Json& member(const Json& json, const std::string& key) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(key);
  return found == json.end() ? kNull : *found;
}

std::string text_of(const Json& json, const std::string& key) {
  const Json& value = member(json, key);
  return value.is_string() ? value.get<std::string>() : "";
}

double number_of(const Json& json, const std::string& key, double otherwise) {
  const Json& value = member(json, key);
  return value.is_number() ? value.get<double>() : otherwise;
}

std::uint64_t count_of(const Json& json, const std::string& key) {
  const Json& value = member(json, key);
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  return value.is_number_integer() && value.get<std::int64_t>() > 0 ? value.get<std::uint64_t>() : 0;
}

const Json& items_of(const Json& json) {
  static const Json kEmpty = Json::array();
  const Json& items = member(json, "items");
  return items.is_array() ? items : kEmpty;
}

}  // namespace modelhop::cli
