#pragma once
// Which workers shall hold which partition: P/W each, moved as little as possible, neighbours together, so that a trial
// stays for several visits before it hops. Pure.
#include <cstdint>
#include <vector>

#include "common/base/ids.h"

namespace modelhop {

using Holders = std::vector<std::vector<WorkerId>>;  // by partition, ascending

// Spreads the partitions over `workers` (ascending), `replicas` of each at most one a worker. Keeps what `now` has
// where it can. No workers: nothing is held.
Holders spread(const Holders& now, const std::vector<WorkerId>& workers, std::uint32_t replicas);

}  // namespace modelhop
