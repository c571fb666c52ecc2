#include "worker/model/dropout_mask.h"

#include <cmath>

namespace modelhop {

void dropout_mask(const KeyedRng& stream, std::uint32_t place, double p, std::span<std::uint8_t> kept) {
  // A 32-bit word below p * 2^32 drops; p = 1 gives 2^32, above every word.
  const auto drop_below = static_cast<std::uint64_t>(std::floor(p * 0x1.0p32));
  const std::uint64_t first = static_cast<std::uint64_t>(place) << 40;
  for (std::size_t i = 0; i < kept.size(); i += 4) {
    const std::array<std::uint32_t, 4> words = stream.block(first + i / 4);
    for (std::size_t j = 0; j < 4 && i + j < kept.size(); ++j) kept[i + j] = words[j] >= drop_below;
  }
}

void apply_dropout(const float* from, const std::vector<std::uint8_t>& kept, double p, float* to) {
  const float scale = p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0f;
  // A select, not a product with 0: an infinite activation that is dropped must not become NaN.
  for (std::size_t i = 0; i < kept.size(); ++i) to[i] = kept[i] != 0 ? from[i] * scale : 0.0f;
}

}  // namespace modelhop
