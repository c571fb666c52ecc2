#include "common/base/visit_order.h"

#include <algorithm>

#include "common/base/check.h"

namespace modelhop {

PartitionIndex partition_of_visit(std::uint32_t offset, std::uint64_t visit, std::uint32_t partitions) {
  CHECK(partitions > 0);
  return {static_cast<std::uint32_t>((offset + visit % partitions) % partitions)};
}

std::vector<std::uint32_t> offset_order(std::uint32_t partitions) {
  CHECK(partitions > 0);
  std::vector<std::uint32_t> order{0};
  std::vector<std::uint32_t> distance(partitions);  // to the nearest chosen point; 0 = chosen
  for (std::uint32_t i = 0; i < partitions; ++i) distance[i] = std::min(i, partitions - i);
  while (order.size() < partitions) {
    const auto farthest = std::max_element(distance.begin(), distance.end());  // the first of equals
    const auto chosen = static_cast<std::uint32_t>(farthest - distance.begin());
    order.push_back(chosen);
    for (std::uint32_t i = 0; i < partitions; ++i) {
      const std::uint32_t apart = i > chosen ? i - chosen : chosen - i;
      distance[i] = std::min(distance[i], std::min(apart, partitions - apart));
    }
  }
  return order;
}

std::uint32_t offset_of_trial(TrialId trial, std::uint32_t partitions) {
  CHECK(trial.value > 0);
  return offset_order(partitions)[(trial.value - 1) % partitions];
}

}  // namespace modelhop
