#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "common/base/ids.h"

namespace modelhop {

// XXH3-128. Guards against damage and mix-ups, not against an adversary.
ContentHash hash_bytes(std::span<const std::uint8_t> bytes);
ContentHash hash_bytes(std::string_view text);

// The same over pieces. Not thread-safe.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void add(std::span<const std::uint8_t> bytes);
  void add(std::string_view text);
  void add_u64(std::uint64_t value);  // eight little-endian bytes
  ContentHash finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace modelhop
