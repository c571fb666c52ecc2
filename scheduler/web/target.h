#pragma once
// A request's target and headers, taken apart and judged. Pure.
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "scheduler/api/api.h"

namespace modelhop {

inline constexpr std::size_t kQueryKeysMax = 32;
inline constexpr std::size_t kIdempotencyKeyBytesMax = 128;

// "/a/b?x=1" -> path "/a/b" (still encoded) and the decoded query. Empty: not of that form.
struct Target {
  std::string path;
  std::map<std::string, std::string> query;
};
std::optional<Target> parse_target(std::string_view text);

// Whether a browser on another site could have sent this: a Host that is not this machine (DNS rebinding), or an
// Origin that is not this server. Only asked where the server listens on loopback.
bool is_foreign(std::string_view host, std::string_view origin);

// The experiment's part of an event stream's path: "" for all, "e7" for one. Empty optional: no event stream.
std::optional<std::string> events_path(const std::string& path);

// "application/json", with or without parameters.
bool is_json(std::string_view content_type);

}  // namespace modelhop
