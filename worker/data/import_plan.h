#pragma once
// Which rows of the training source go where: a pure function of the request and the number of rows.
#include <cstdint>
#include <vector>

#include "common/base/status.h"
#include "worker/data/dataset.h"

namespace modelhop {

struct ImportPlan {
  std::vector<std::uint32_t> order;           // all training rows, shuffled by the seed
  std::uint64_t validation_rows{};            // the first of them
  std::vector<std::uint64_t> partition_rows;  // then these, one partition after another
};

// kInvalid, naming the flag, where the rows do not suffice.
Result<ImportPlan> plan_import(const ImportRequest& request, std::uint64_t rows);

}  // namespace modelhop
