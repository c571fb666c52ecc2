#include "common/spec/json_text.h"

#include <charconv>
#include <cmath>

#include "common/base/check.h"
#include "common/spec/spec.h"

namespace modelhop {
namespace {

using nlohmann::json;

constexpr std::size_t kLineBytesMax = 100;

void append_string(std::string& out, const std::string& text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out.push_back(kHex[(c >> 4) & 15]);
          out.push_back(kHex[c & 15]);
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

void append(std::string& out, const json& value) {
  switch (value.type()) {
    case json::value_t::object: {
      out.push_back('{');
      bool first = true;
      for (const auto& [key, child] : value.items()) {
        if (!first) out.push_back(',');
        first = false;
        append_string(out, key);
        out.push_back(':');
        append(out, child);
      }
      out.push_back('}');
      return;
    }
    case json::value_t::array: {
      out.push_back('[');
      bool first = true;
      for (const json& child : value) {
        if (!first) out.push_back(',');
        first = false;
        append(out, child);
      }
      out.push_back(']');
      return;
    }
    case json::value_t::string:
      append_string(out, value.get_ref<const std::string&>());
      return;
    case json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      return;
    case json::value_t::number_integer:
      out += std::to_string(value.get<std::int64_t>());
      return;
    case json::value_t::number_unsigned:
      out += std::to_string(value.get<std::uint64_t>());
      return;
    case json::value_t::number_float:
      out += double_text(value.get<double>());
      return;
    default:
      out += "null";
      return;
  }
}

void append_pretty(std::string& out, const json& value, std::size_t indent) {
  std::string line;
  append(line, value);
  if (!value.is_structured() || indent + line.size() <= kLineBytesMax) {
    out += line;
    return;
  }
  const bool object = value.is_object();
  out += object ? "{" : "[";
  bool first = true;
  for (const auto& [key, child] : value.items()) {
    out += first ? "\n" : ",\n";
    first = false;
    out.append(indent + 2, ' ');
    if (object) {
      append_string(out, key);
      out += ": ";
    }
    append_pretty(out, child, indent + 2);
  }
  out.push_back('\n');
  out.append(indent, ' ');
  out += object ? "}" : "]";
}

}  // namespace

std::string double_text(double value) {
  CHECK(std::isfinite(value));
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  CHECK(error == std::errc{});
  std::string out(buffer, end);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

std::string canonical_text(const json& value) {
  std::string out;
  append(out, value);
  return out;
}

std::string pretty_text(const json& value) {
  std::string out;
  append_pretty(out, value, 0);
  out.push_back('\n');
  return out;
}

std::string to_json_text(const Value& value) {
  std::string out;
  if (const bool* b = std::get_if<bool>(&value)) {
    out = *b ? "true" : "false";
  } else if (const std::int64_t* i = std::get_if<std::int64_t>(&value)) {
    out = std::to_string(*i);
  } else if (const double* d = std::get_if<double>(&value)) {
    out = double_text(*d);
  } else {
    append_string(out, std::get<std::string>(value));
  }
  return out;
}

std::string to_json_text(const Params& params) {
  std::string out = "{";
  for (const auto& [path, value] : params) {
    if (out.size() > 1) out.push_back(',');
    append_string(out, path);
    out.push_back(':');
    out += to_json_text(value);
  }
  return out + "}";
}

}  // namespace modelhop
