#include "worker/data/import_plan.h"

#include <algorithm>

#include "common/base/limits.h"
#include "worker/data/shuffle.h"

namespace modelhop {

Result<ImportPlan> plan_import(const ImportRequest& request, std::uint64_t rows) {
  if (request.partitions < 1 || request.partitions > kPartitionsMax) {
    return invalid("--partitions " + std::to_string(request.partitions) + ": from 1 to " +
                   std::to_string(kPartitionsMax));
  }
  if (rows > kDatasetRowsMax) {
    return invalid(std::to_string(rows) + " training rows: at most " + std::to_string(kDatasetRowsMax));
  }
  ImportPlan plan;
  plan.validation_rows = request.validation_rows.value_or(rows / 10);
  const std::uint64_t round = std::max<std::uint64_t>(request.round_to, 1);
  const std::uint64_t train = plan.validation_rows < rows ? rows - plan.validation_rows : 0;
  const std::uint64_t blocks = train / round;
  if (blocks < request.partitions) {
    return invalid(std::to_string(rows) + " training rows less " + std::to_string(plan.validation_rows) +
                   " for validation leave " + std::to_string(train) + ", too few for --partitions " +
                   std::to_string(request.partitions) +
                   (round > 1 ? " of at least --round-to " + std::to_string(round) : ""));
  }
  for (std::uint32_t i = 0; i < request.partitions; ++i) {
    plan.partition_rows.push_back((blocks / request.partitions + (i < blocks % request.partitions ? 1 : 0)) * round);
  }
  plan.partition_rows.back() += train % round;
  plan.order = permutation(KeyedRng(request.seed, Purpose::kImport), rows);
  return plan;
}

}  // namespace modelhop
