#include "scheduler/web/target.h"

#include <algorithm>

#include "scheduler/api/json_text.h"

namespace modelhop {
namespace {

// "localhost:8080" -> "localhost"; "[::1]:8080" -> "[::1]".
std::string_view without_port(std::string_view host) {
  const std::size_t bracket = host.find(']');
  const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return host.substr(0, colon);
}

bool is_this_machine(std::string_view host) {
  const std::string_view name = without_port(host);
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]" || name.starts_with("127.");
}

}  // namespace

std::optional<Target> parse_target(std::string_view text) {
  if (!text.starts_with('/')) return std::nullopt;
  Target out;
  const std::size_t mark = text.find('?');
  out.path = text.substr(0, mark);
  if (mark == std::string_view::npos) return out;
  for (std::string_view rest = text.substr(mark + 1); !rest.empty();) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    std::string pair(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    std::replace(pair.begin(), pair.end(), '+', ' ');
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto key = percent_decode(std::string_view(pair).substr(0, equals));
    const auto value = percent_decode(std::string_view(pair).substr(std::min(equals + 1, pair.size())));
    if (!key || !value || out.query.size() == kQueryKeysMax || !out.query.emplace(*key, *value).second)
      return std::nullopt;
  }
  return out;
}

bool is_foreign(std::string_view host, std::string_view origin) {
  if (!is_this_machine(host)) return true;
  return !origin.empty() && origin != "http://" + std::string(host);
}

std::optional<std::string> events_path(const std::string& path) {
  constexpr std::string_view kAll = "/api/v1/events", kPrefix = "/api/v1/experiments/", kSuffix = "/events";
  if (path == kAll) return "";
  if (!path.starts_with(kPrefix) || !path.ends_with(kSuffix) || path.size() <= kPrefix.size() + kSuffix.size()) {
    return std::nullopt;
  }
  const std::string middle = path.substr(kPrefix.size(), path.size() - kPrefix.size() - kSuffix.size());
  if (middle.find('/') != std::string::npos) return std::nullopt;
  return middle;
}

bool is_json(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (type.ends_with(' ')) type.pop_back();
  std::transform(type.begin(), type.end(), type.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return type == "application/json" || type == "application/merge-patch+json";
}

}  // namespace modelhop
