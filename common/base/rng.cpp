#include "common/base/rng.h"

#include <cmath>
#include <numbers>

#include "common/base/check.h"

namespace modelhop {
namespace {

// splitmix64's finalizer (Steele, Lea, Flood 2014): spreads (purpose, a, b) over the counter's upper half and the key.
std::uint64_t mix(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * c[0];
    const std::uint64_t p1 = 0xCD9E8D57ull * c[2];
    c = {high(p1) ^ c[1] ^ k[0], low(p1), high(p0) ^ c[3] ^ k[1], low(p0)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

KeyedRng::KeyedRng(std::uint64_t seed, Purpose purpose, std::uint64_t a, std::uint64_t b) {
  const std::uint64_t key = mix(mix(seed) ^ static_cast<std::uint64_t>(purpose));
  const std::uint64_t stream = mix(mix(key ^ a) ^ b);
  key_ = {low(key), high(key)};
  high_ = {low(stream), high(stream)};
}

std::array<std::uint32_t, 4> KeyedRng::block(std::uint64_t i) const {
  return philox4x32({low(i), high(i), high_[0], high_[1]}, key_);
}

std::uint32_t KeyedRng::next_u32() {
  if (used_ == 4) {
    words_ = block(next_block_++);
    used_ = 0;
  }
  return words_[used_++];
}

std::uint64_t KeyedRng::next_u64() {
  const std::uint64_t first = next_u32();
  return first | (static_cast<std::uint64_t>(next_u32()) << 32);
}

double KeyedRng::next_double() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

float KeyedRng::next_float() { return static_cast<float>(next_u32() >> 8) * 0x1.0p-24f; }

double KeyedRng::next_normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - next_double()));
  return radius * std::cos(2.0 * std::numbers::pi * next_double());
}

std::uint64_t KeyedRng::below(std::uint64_t bound) {
  CHECK(bound > 0);
  // Lemire 2019, "Fast random integer generation in an interval": multiply, reject the uneven rest.
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(next_u64()) * bound;
  if (static_cast<std::uint64_t>(product) < bound) {
    const std::uint64_t threshold = (0 - bound) % bound;
    while (static_cast<std::uint64_t>(product) < threshold) product = static_cast<Wide>(next_u64()) * bound;
  }
  return static_cast<std::uint64_t>(product >> 64);
}

}  // namespace modelhop
