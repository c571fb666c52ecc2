#pragma once
// Which partition a trial visits when: a pure function, so that timing, faults and cluster size change when a visit
// runs, never which. docs/architecture.md, "Visit order".
#include <cstdint>
#include <vector>

#include "common/base/ids.h"

namespace modelhop {

// Visit k (0-based, over all epochs) of a trial with this offset goes to partition (offset + k mod P) mod P.
PartitionIndex partition_of_visit(std::uint32_t offset, std::uint64_t visit, std::uint32_t partitions);

// 0..P-1 in farthest-point order on the circle (ties to the smaller): trials created one after another start far apart.
std::vector<std::uint32_t> offset_order(std::uint32_t partitions);

// The offset of trial 1, 2, ...: offset_order()[(trial - 1) mod P].
std::uint32_t offset_of_trial(TrialId trial, std::uint32_t partitions);

}  // namespace modelhop
