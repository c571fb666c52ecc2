#pragma once
// The search space of a spec: from the checked JSON of "parameters" to a Space, and back in canonical form.
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "common/spec/params.h"
#include "common/spec/problems.h"
#include "common/spec/schema.h"

namespace modelhop {

// What the parameters of a document that nobody has checked yet may put where: paths as pointers, values that are
// texts.
Schema::Given given_by_parameters(const nlohmann::json& document);

// Reads "parameters", reports what is wrong, and writes values and bounds back as the recipe's keys take them. Gives
// those without an error, which depend on none that has one: all of them, if there is no error. `grid`: whether every
// parameter needs points; unknown: that is not asked.
Space read_space(nlohmann::json& document, const Schema::Given& given, std::optional<bool> grid, Problems& problems);

// Reads "points_to_evaluate" the same way: the values of `space`'s parameters, of the points without an error.
std::vector<Params> read_points(nlohmann::json& document, const Schema::Given& given, const Space& space,
                                Problems& problems);

// Whether a parameter's `when` holds.
bool holds(const Parameter& parameter, const Params& params);

}  // namespace modelhop
