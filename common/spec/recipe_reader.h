#pragma once
// From a recipe's JSON to the typed Recipe, and what of it cannot train.
#include <functional>
#include <nlohmann/json.hpp>

#include "common/spec/problems.h"
#include "common/spec/recipe.h"

namespace modelhop {

// The typed values of a recipe, or of a part of it, without shapes. REQUIRES: the schema was held against it, filled in
// its defaults and found no error.
Recipe typed_recipe(const nlohmann::json& recipe);
Layer read_layer(const nlohmann::json& layer, const std::string& name);
Training read_training(const nlohmann::json& training);
Loss read_loss(const nlohmann::json& loss);
OptimizerSpec read_optimizer(const nlohmann::json& optimizer);
LrSchedule read_schedule(const nlohmann::json& schedule);
Transform read_transform(const nlohmann::json& transform);

// Whether what stands at a place (a JSON pointer) is there, has passed the schema, and is what a trial will have.
using Usable = std::function<bool(const std::string& place)>;

// What torch or reason refuse beyond the schema: nesterov without momentum, milestones out of order; and, held against
// the data set where it is known, shapes, loss, metrics and batches. Each check needs only its own places to be usable,
// so an error of one section hides none of another. Gives the layers, up to the first that is not usable, with their
// shapes.
std::vector<Layer> check_recipe(const nlohmann::json& document, const Manifest* data, const Usable& usable,
                                Problems& problems);

// All of it: {dataset, model, training, seed}, expanded in place. The result means something only if no error was
// added. `data` null: without what needs it. REQUIRES: `problems` has no error.
Recipe read_recipe(nlohmann::json& recipe, const Manifest* data, Problems& problems);

}  // namespace modelhop
