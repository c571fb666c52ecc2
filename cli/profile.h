#pragma once
// With how many threads an experiment can be trained again to the same bits.
#include <set>
#include <string>
#include <vector>

#include "cli/json_input.h"

namespace modelhop::cli {

// `experiment` and `workers` as the API shows them; `ran`: names of the workers that trained it. A worker that joined
// again with other threads or on another machine has another profile since; kConflict where the experiment's own is not
// known any more, or its workers had several.
Result<std::uint64_t> threads_of_profile(const Json& experiment, const std::set<std::string>& ran,
                                         const std::vector<Json>& workers);

}  // namespace modelhop::cli
