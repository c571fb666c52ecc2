#pragma once
#include <compare>
#include <cstdint>
#include <string>

namespace modelhop {

// The driver's monotonic clock. Never recorded.
struct Instant {
  std::int64_t ns{};
  auto operator<=>(const Instant&) const = default;
};
inline Instant operator+(Instant at, std::int64_t ns) { return {at.ns + ns}; }
inline std::int64_t operator-(Instant a, Instant b) { return a.ns - b.ns; }
inline constexpr std::int64_t kMillisecond = 1'000'000;
inline constexpr std::int64_t kSecond = 1'000'000'000;
inline double seconds_of_ns(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }
inline double seconds_of_ms(std::uint64_t ms) { return static_cast<double>(ms) / 1e3; }

// Milliseconds since 1970 UTC. Recorded and shown, never compared in a decision.
struct WallMs {
  std::int64_t value{};
  auto operator<=>(const WallMs&) const = default;
};

Instant monotonic_now();
WallMs wall_now();
std::string to_iso8601(WallMs at);  // 2026-11-21T08:41:00.123Z

}  // namespace modelhop
