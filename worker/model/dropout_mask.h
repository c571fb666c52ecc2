#pragma once
// Dropout's randomness: a mask is a pure function of (seed, trial, step, layer, element), so nothing travels with a
// state and a unit may stop anywhere.
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/rng.h"

namespace modelhop {

// kept[i] = 1 with probability 1 - p, else 0. Element i of the layer at `place` reads word i mod 4 of block
// place * 2^40 + i / 4 of `stream`.
void dropout_mask(const KeyedRng& stream, std::uint32_t place, double p, std::span<std::uint8_t> kept);

// to[i] = kept[i] ? from[i] / (1 - p) : 0; all zero where p is 1.
void apply_dropout(const float* from, const std::vector<std::uint8_t>& kept, double p, float* to);

}  // namespace modelhop
