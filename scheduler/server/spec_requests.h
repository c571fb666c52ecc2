#pragma once
// Checks of a spec against the store's data, and their answers. Threads: the side thread's.
#include <optional>
#include <string>
#include <vector>

#include "common/spec/spec.h"
#include "common/store/blob_store.h"
#include "common/wire/records.h"
#include "scheduler/api/api.h"
#include "scheduler/api/json_text.h"

namespace modelhop {

struct CheckedSpec {
  std::optional<ApiResponse> refused;  // 422 with every problem; else what follows is set
  ParsedSpec parsed;
  DatasetRegistered dataset;
};
CheckedSpec check_spec(BlobStore& store, const std::string& text);

ApiResponse validate_spec(BlobStore& store, const std::string& text);  // 200 {"valid":true,"warnings":[..]}, or 422
ApiResponse preview_spec(BlobStore& store,
                         const std::string& text);  // 200 {"trials":..,"visits":..,"epochs":..,"brackets":[..]}

Json problems_json(const std::vector<Problem>& problems);  // [{"pointer":..,"detail":..,"warning":..}]
ApiResponse problem_of(const Status& status);              // its HTTP status and message

}  // namespace modelhop
