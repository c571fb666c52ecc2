#include "worker/data/shuffle.h"

#include <limits>
#include <numeric>
#include <utility>

#include "common/base/check.h"

namespace modelhop {

std::vector<std::uint32_t> permutation(KeyedRng rng, std::uint64_t rows) {
  CHECK(rows <= std::numeric_limits<std::uint32_t>::max());
  std::vector<std::uint32_t> order(rows);
  std::iota(order.begin(), order.end(), 0u);
  for (std::uint64_t i = rows; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

std::vector<std::uint32_t> shuffled_rows(std::uint64_t seed, std::uint32_t epoch, PartitionIndex partition,
                                         std::uint64_t rows, std::optional<TrialId> trial) {
  // Trials count from 1, so the shared order (0) is no trial's own.
  const std::uint64_t who = trial ? trial->value : 0;
  CHECK(who <= std::numeric_limits<std::uint32_t>::max());
  return permutation(KeyedRng(seed, Purpose::kShuffle, who << 32 | epoch, partition.value), rows);
}

}  // namespace modelhop
