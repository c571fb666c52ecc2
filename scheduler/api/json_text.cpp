#include "scheduler/api/json_text.h"

#include <charconv>
#include <chrono>
#include <cmath>

namespace modelhop {

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  // As JavaScript and Python's json write them: 0.0001, not 1e-04.
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-6 && size < 1e21);
  char text[32];
  const auto end =
      std::to_chars(text, text + sizeof text, value, plain ? std::chars_format::fixed : std::chars_format::scientific);
  return {text, end.ptr};
}

Json number_json(double value) {
  if (!std::isfinite(value)) return number_text(value);
  return value;
}

Json time_json(WallMs at) {
  if (at.value == 0) return nullptr;
  return to_iso8601(at);
}

Json value_json(const Value& value) {
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, double>) {
          return number_json(v);
        } else {
          return v;
        }
      },
      value);
}

Json params_json(const Params& params) {
  Json out = Json::object();
  for (const auto& [path, value] : params) out[path] = value_json(value);
  return out;
}

Json hash_json(const ContentHash& hash) {
  if (!hash) return nullptr;
  return to_string(hash);
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto end = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (end.ptr != text.data() + i + 3) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::optional<std::uint64_t> parse_u64(std::string_view text) {
  std::uint64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<WallMs> parse_time(std::string_view text) {
  if (const auto ms = parse_u64(text)) {
    if (*ms > (1ull << 53)) return std::nullopt;
    return WallMs{static_cast<std::int64_t>(*ms)};
  }
  // 2026-11-21T08:41:00Z or 2026-11-21T08:41:00.123Z
  if (text.size() != 20 && text.size() != 24) return std::nullopt;
  const std::string_view shape = text.size() == 20 ? "dddd-dd-ddTdd:dd:ddZ" : "dddd-dd-ddTdd:dd:dd.dddZ";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (shape[i] == 'd' ? !digit : text[i] != shape[i]) return std::nullopt;
  }
  const auto field = [&](std::size_t at, std::size_t count) {
    return static_cast<int>(parse_u64(text.substr(at, count)).value_or(0));
  };
  const std::chrono::year_month_day date{std::chrono::year{field(0, 4)},
                                         std::chrono::month{static_cast<unsigned>(field(5, 2))},
                                         std::chrono::day{static_cast<unsigned>(field(8, 2))}};
  if (!date.ok() || field(11, 2) > 23 || field(14, 2) > 59 || field(17, 2) > 59) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  const std::int64_t seconds = ((days * 24 + field(11, 2)) * 60 + field(14, 2)) * 60 + field(17, 2);
  return WallMs{seconds * 1000 + (text.size() == 24 ? field(20, 3) : 0)};
}

}  // namespace modelhop
