#pragma once
// Every branch of a space gives a recipe that trains, or the value that breaks it is named.
#include <nlohmann/json.hpp>

#include "common/spec/params.h"
#include "common/spec/problems.h"
#include "common/spec/recipe.h"

namespace modelhop {

// The recipe of one trial: `recipe` with the values of the active parameters put in.
nlohmann::json recipe_with(const nlohmann::json& recipe, const Space& space, const Params& params);

// Reads the recipe under every combination of values where they are few (a range counts as its two ends), else under
// each value alone, and under each of `points`. `recipe`: dataset, model, training, seed.
void check_branches(const nlohmann::json& recipe, const Space& space, const std::vector<Params>& points,
                    const Manifest* data, Problems& problems);

}  // namespace modelhop
