#include "common/base/hash.h"

#include <xxhash.h>

#include <algorithm>

#include "common/base/check.h"

namespace modelhop {
namespace {

ContentHash canonical(XXH128_hash_t hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  ContentHash out;
  std::copy(std::begin(bytes.digest), std::end(bytes.digest), out.bytes.begin());
  return out;
}

}  // namespace

ContentHash hash_bytes(std::span<const std::uint8_t> bytes) {
  return canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

ContentHash hash_bytes(std::string_view text) { return canonical(XXH3_128bits(text.data(), text.size())); }

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  CHECK(state_->xxh != nullptr);
  XXH3_128bits_reset(state_->xxh);
}

Hasher::~Hasher() = default;

void Hasher::add(std::span<const std::uint8_t> bytes) { XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size()); }

void Hasher::add(std::string_view text) { XXH3_128bits_update(state_->xxh, text.data(), text.size()); }

void Hasher::add_u64(std::uint64_t value) {
  std::uint8_t bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
  add(bytes);
}

ContentHash Hasher::finish() const { return canonical(XXH3_128bits_digest(state_->xxh)); }

}  // namespace modelhop
