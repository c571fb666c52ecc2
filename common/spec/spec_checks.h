#pragma once
// What a spec says beside its recipe and its space: metric, stop, algorithm, budgets.
#include <nlohmann/json.hpp>

#include "common/spec/problems.h"
#include "common/spec/spec.h"

namespace modelhop {

// Fills the fields of `spec` that no search parameter touches, completes defaults that depend on other keys
// (metric.goal, execution.reproducibility), and reports what does not go together. Reads only places where `problems`
// has no error, so it can go on after the schema found some; the fields mean something only if there is none at all.
void read_search_keys(nlohmann::json& document, const Manifest* data, Spec& spec, Problems& problems);

}  // namespace modelhop
