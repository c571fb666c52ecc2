#pragma once
#include <array>
#include <cstdint>

namespace modelhop {

// How often something took how long. One set of bounds serves a decision of microseconds and a unit of an hour, so that
// all of them are read alike. A plain value, of whoever measures.
struct Histogram {
  static constexpr std::array<std::uint64_t, 15> kBoundsNs = {  // upper, inclusive
      10'000,         50'000,         250'000,         1'000'000,       5'000'000,
      25'000'000,     100'000'000,    250'000'000,     1'000'000'000,   2'500'000'000,
      10'000'000'000, 30'000'000'000, 120'000'000'000, 600'000'000'000, 3'600'000'000'000};

  std::array<std::uint64_t, kBoundsNs.size() + 1> counts{};  // by bucket; the last: above every bound
  std::uint64_t sum_ns{};                                    // stays at its maximum rather than wrap

  void add(std::uint64_t ns) {
    std::size_t bucket = 0;
    while (bucket < kBoundsNs.size() && ns > kBoundsNs[bucket]) ++bucket;
    ++counts[bucket];
    sum_ns = sum_ns + ns < sum_ns ? UINT64_MAX : sum_ns + ns;
  }
  bool operator==(const Histogram&) const = default;
};

}  // namespace modelhop
