#pragma once
// One parameter of a search space: its distribution, and what it may draw.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/spec/params.h"
#include "common/spec/problems.h"
#include "common/spec/recipe_path.h"

namespace modelhop {

// Reads one object of "parameters" that the schema has passed, all but its `when`; writes values and bounds back as the
// key at its path takes them. Empty: something is wrong, and `problems` has it. `grid`: whether the algorithm is one,
// and so needs points; unknown: that is not asked.
std::optional<Parameter> read_parameter(const std::string& path, nlohmann::json& object, const PathTarget& target,
                                        std::optional<bool> grid, Problems& problems);

// Whether a draw can equal a value that people write down: not one of a range of fractions.
bool has_exact_values(const Parameter& parameter);

// Whether a parameter may have this value.
bool is_possible(const Parameter& parameter, const Value& value);

}  // namespace modelhop
