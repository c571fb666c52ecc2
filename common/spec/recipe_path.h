#pragma once
// Dotted paths into a recipe: training.optimizer.lr, model.layers.3.out_channels.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/spec/params.h"
#include "common/spec/problems.h"
#include "common/spec/schema.h"

namespace modelhop {

// "training.optimizer.lr" -> "/training/optimizer/lr".
std::string pointer_of_path(const std::string& path);

// Whether a path leads into dataset, model or training: nothing else takes its value from a parameter.
bool is_below_recipe(const std::string& path);

// What a path leads to.
struct PathTarget {
  std::vector<const nlohmann::json*> schemas;  // of the key, one for each alternative that has it; empty: no such key
  std::string why_not;                         // then: what is wrong with the path
  std::vector<std::string> ends_at;            // and the recipe's places that this follows from, as pointers

  // The value as the key takes it (3 -> 3.0), or nullopt after reporting at `pointer` why it does not.
  std::optional<Value> take(const nlohmann::json& value, const std::string& pointer, Problems& problems) const;
  bool integer() const;  // the key takes whole numbers
  bool number() const;   // the key takes numbers, whole ones included
};

// `document`: holds dataset, model, training, expanded by the schema.
PathTarget find_path(const nlohmann::json& document, const std::string& path, const Schema::Given& given);

// Puts a value at a path. REQUIRES: find_path found it.
void put(nlohmann::json& document, const std::string& path, const Value& value);

// Puts a value at a path of one trial's recipe. A schedule of another name keeps its warm-up and nothing else. False:
// the path leads nowhere, and nothing is changed.
bool change(nlohmann::json& recipe, const std::string& path, const Value& value);

nlohmann::json json_of(const Value& value);
Value value_of(const nlohmann::json& scalar);  // REQUIRES: a bool, number or text

}  // namespace modelhop
