#include "common/spec/change.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/spec/json_reader.h"
#include "common/spec/json_text.h"
#include "common/spec/recipe_path.h"
#include "common/spec/recipe_reader.h"
#include "common/spec/spec_branches.h"

namespace modelhop {
namespace {

using nlohmann::json;

constexpr std::string_view kScheduleName = "training.lr_schedule.name";

json document_of(const Spec& spec) {
  Result<json> document = read_json(spec.expanded, kExpandedLimits);
  CHECK(document.ok());  // parse_spec and restore_spec wrote it
  return std::move(*document);
}

std::string duration_text(std::uint64_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + "s" : std::to_string(ms) + "ms";
}

std::string if_horizon(const json& recipe) {
  const json schedule = recipe.value(json::json_pointer("/training/lr_schedule"), json());
  if (schedule.is_string()) return schedule == "constant" ? "" : schedule.get<std::string>();
  if (!schedule.is_object()) return {};
  const json name = schedule.value("name", json());
  const json total = schedule.value("total_epochs", json());
  if (name == "linear" && total.is_number() && total > 0) return {};
  return name == "cosine" || name == "linear" || name == "one_cycle" ? name.get<std::string>() : "";
}

// What a fork may never set, and what can be done instead. Empty: it may be looked at.
std::string why_not(const std::string& path) {
  if (path == "training.epochs") return "is set by the fork's epochs (--epochs)";
  if (!path.starts_with("training.")) {
    return "belongs to the model or its data, and a fork goes on with its source's state: only parameters below "
           "training can change; submit a new experiment for others";
  }
  if (path == "training.optimizer.name" || path == "training.optimizer") {
    return "cannot change: the source's state holds what its optimizer remembers; submit a new experiment";
  }
  if (path == "training.loss" || path == "training.loss.name") {
    return "cannot change: the fork's values would not compare with its source's; submit a new experiment";
  }
  return {};
}

bool same_moments(const OptimizerSpec& a, const OptimizerSpec& b) {
  return a.name == b.name && (a.momentum != 0) == (b.momentum != 0) && a.amsgrad == b.amsgrad &&
         a.centered == b.centered;
}

Status first_error(const Problems& problems) {
  for (const Problem& problem : problems.list()) {
    if (!problem.warning) return invalid(dotted(problem.pointer) + " " + problem.message);
  }
  return {};
}

// Reads `recipe` and completes it.
Result<Recipe> read_whole(json& recipe) {
  Problems problems;
  Recipe out = read_recipe(recipe, nullptr, problems);
  RETURN_IF_ERROR(first_error(problems));
  return out;
}

// Puts one parameter into a whole recipe.
Status set_one(json& recipe, const std::string& path, const Value& value, Params& params) {
  Schema::Given given;  // a name picks the keys beside it
  const std::string* name = path == kScheduleName ? std::get_if<std::string>(&value) : nullptr;
  if (name != nullptr) given[pointer_of_path(path)] = {*name};
  const PathTarget target = find_path(recipe, path, given);
  if (target.schemas.empty() && name != nullptr) {
    return invalid(path + ": there is no schedule \"" + *name +
                   "\"; take constant, step, multistep, exponential, cosine, linear or one_cycle");
  }
  if (target.schemas.empty()) return invalid(path + " " + target.why_not);
  const json* old = nullptr;
  if (const json::json_pointer pointer(pointer_of_path(path)); recipe.contains(pointer)) old = &recipe.at(pointer);
  if (old != nullptr && old->is_structured()) {
    return invalid(path + " is more than one value; set the keys below it, as in " + path + ".name");
  }
  Problems problems;
  const std::optional<Value> taken = target.take(json_of(value), pointer_of_path(path), problems);
  RETURN_IF_ERROR(first_error(problems));
  if (!taken || !change(recipe, path, *taken)) return invalid(path + " takes no such value");
  if (path == kScheduleName && (old == nullptr || params[path] != *taken)) {
    std::erase_if(params, [](const auto& one) {
      return one.first.starts_with("training.lr_schedule.") && one.first != "training.lr_schedule.warmup";
    });
  }
  params[path] = *taken;
  return {};
}

}  // namespace

SpecLimits limits_of(const Spec& spec) {
  return {spec.max_trials.value_or(0), spec.time_budget_ms.value_or(0), spec.epochs};
}

Result<std::shared_ptr<const Spec>> with_limits(const Spec& spec, const SpecLimits& limits) {
  json document = document_of(spec);
  if (limits.max_trials != 0) document["max_trials"] = limits.max_trials;
  if (limits.time_budget_ms != spec.time_budget_ms.value_or(0)) {
    document["time_budget"] = duration_text(limits.time_budget_ms);
  }
  document["training"]["epochs"] = limits.epochs;
  return restore_spec(canonical_text(document));
}

std::string horizon_schedule(const Spec& spec, const Params* trial) {
  const json base = recipe_of(document_of(spec));
  if (trial != nullptr) return if_horizon(recipe_with(base, spec.space, *trial));
  std::string found = if_horizon(base);
  for (const Parameter& parameter : spec.space) {
    if (parameter.path == "training.lr_schedule" || parameter.path == kScheduleName) {
      found.clear();  // the base's name is never used
      for (const Value& value : parameter.values) {
        json one = base;
        change(one, parameter.path, value);
        if (found.empty()) found = if_horizon(one);
      }
    }
  }
  return found;
}

Result<Params> fork_params(const Spec& spec, const Params& source, const Params& set) {
  for (const auto& [path, value] : set) {
    if (const std::string why = why_not(path); !why.empty()) return invalid(std::string(path).append(" ").append(why));
  }
  json recipe = recipe_with(recipe_of(document_of(spec)), spec.space, source);
  ASSIGN_OR_RETURN(const Recipe before, read_whole(recipe));
  Params params = source;
  for (const bool names : {true, false}) {  // what stands deeper depends on the name beside it
    for (const auto& [path, value] : set) {
      if (path.ends_with(".name") == names) RETURN_IF_ERROR(set_one(recipe, path, value, params));
    }
  }
  // As its workers will get it.
  recipe = recipe_with(recipe_of(document_of(spec)), spec.space, params);
  ASSIGN_OR_RETURN(const Recipe after, read_whole(recipe));
  if (!same_moments(before.training.optimizer, after.training.optimizer)) {
    return invalid(
        "training.optimizer: momentum from or to 0, amsgrad and centered change what the source's state remembers; "
        "leave them, or submit a new experiment");
  }
  return params;
}

}  // namespace modelhop
