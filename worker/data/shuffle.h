#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/rng.h"

namespace modelhop {

// Fisher-Yates over 0..rows-1 with the draws of `rng`. REQUIRES: rows fit 32 bits.
std::vector<std::uint32_t> permutation(KeyedRng rng, std::uint64_t rows);

// The order in which rows of a partition are trained on in one epoch: a permutation of 0..rows-1, the same for all
// trials (so comparisons share their noise) unless `trial` is given. A pure function of its arguments.
std::vector<std::uint32_t> shuffled_rows(std::uint64_t seed, std::uint32_t epoch, PartitionIndex partition,
                                         std::uint64_t rows, std::optional<TrialId> trial);

}  // namespace modelhop
