#include "common/base/time.h"

#include <chrono>
#include <cstdio>
#include <ctime>

namespace modelhop {

Instant monotonic_now() {
  return {std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
              .count()};
}

WallMs wall_now() {
  return {std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count()};
}

std::string to_iso8601(WallMs at) {
  const std::int64_t ms = ((at.value % 1000) + 1000) % 1000;
  const std::time_t seconds = static_cast<std::time_t>((at.value - ms) / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char out[48];
  std::snprintf(out, sizeof out, "%.*s.%03dZ", static_cast<int>(length), text, static_cast<int>(ms));
  return out;
}

}  // namespace modelhop
