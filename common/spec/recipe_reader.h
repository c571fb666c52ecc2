#pragma once
// From a recipe's JSON to the typed Recipe, and what of it cannot train.
#include <functional>
#include <nlohmann/json.hpp>

#include "common/spec/problems.h"
#include "common/spec/recipe.h"

namespace modelhop {

// The typed values of a recipe without shapes. REQUIRES: the schema's definition "recipe" was held against it, filled
// in its defaults and found no error.
Recipe typed_recipe(const nlohmann::json& recipe);
std::vector<Layer> read_layers(const nlohmann::json& layers, const std::string& prefix);
Training read_training(const nlohmann::json& training);
Loss read_loss(const nlohmann::json& loss);

// What torch or reason refuse whatever the data: nesterov without momentum, milestones out of order, ...
void check_without_data(const Recipe& recipe, const nlohmann::json& document, Problems& problems);

// Infers every shape and holds the model against the data set: loss against target, metrics, batches.
void check_with_data(Recipe& recipe, const Manifest& data, Problems& problems);

// All of it: {dataset, model, training, seed}, expanded in place. The result means something only if no error was
// added. `data` null: without check_with_data.
Recipe read_recipe(nlohmann::json& recipe, const Manifest* data, Problems& problems);

// What can be said of a recipe that the schema found errors in: whatever lies in `usable` places (pointers) only.
void check_parts(const nlohmann::json& document, const Manifest* data, const std::function<bool(const char*)>& usable,
                 Problems& problems);

}  // namespace modelhop
