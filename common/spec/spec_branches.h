#pragma once
// Every branch of a space gives a recipe that trains, or the value that breaks it is named.
#include <nlohmann/json.hpp>

#include "common/spec/params.h"
#include "common/spec/problems.h"
#include "common/spec/recipe.h"
#include "common/spec/schema.h"

namespace modelhop {

// The recipe's part of a spec, as far as it is there.
nlohmann::json recipe_of(const nlohmann::json& document);

// The recipe of one trial: `recipe` with the values of the active parameters put in, and then those that a fork changed
// beside them. What leads nowhere is left out.
nlohmann::json recipe_with(const nlohmann::json& recipe, const Space& space, const Params& params);

// Reads the recipe under every combination of values where they are few (a range counts as its two ends), else under
// each value alone, and under each of `points`; reports what is wrong with all of them, or the values that break some.
// `recipe`: dataset, model, training, seed, as far as they are there and whatever the schema found: where `problems`
// has an error, or a parameter of `unread` decides, nothing is looked at.
void check_branches(const nlohmann::json& recipe, const Space& space, const Schema::Given& unread,
                    const std::vector<Params>& points, const Manifest* data, Problems& problems);

}  // namespace modelhop
