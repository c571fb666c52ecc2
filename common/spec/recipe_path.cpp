#include "common/spec/recipe_path.h"

#include <algorithm>
#include <charconv>

#include "common/base/check.h"
#include "common/spec/json_reader.h"
#include "common/spec/suggest.h"

namespace modelhop {
namespace {

using nlohmann::json;

std::vector<std::string> steps_of(const std::string& path) {
  std::vector<std::string> out(1);
  for (char c : path) {
    if (c == '.') {
      out.emplace_back();
    } else {
      out.back().push_back(c);
    }
  }
  return out;
}

bool parse_index(const std::string& text, std::size_t& out) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

// A pointer as people write a path, quoted.
std::string place(const std::string& pointer) {
  std::string out = pointer.substr(1);
  std::replace(out.begin(), out.end(), '/', '.');
  return shown(out);
}

// Paths that lead somewhere, but not to what may differ from trial to trial.
std::string fixed(const std::string& path) {
  if (path == "training.epochs") return "is the same for all trials: it is the resource that the search spends";
  if (path == "dataset.name") return "is the same for all trials: the data set is placed on the workers once";
  if (path == "training.metrics" || path.starts_with("training.metrics.")) return "is the same for all trials";
  return {};
}

bool holds_type(const Schema& schema, const json& unresolved, const char* type) {
  const json& resolved = schema.resolve(unresolved);
  if (const auto any = resolved.find("anyOf"); any != resolved.end()) {
    return std::any_of(any->begin(), any->end(), [&](const json& one) { return holds_type(schema, one, type); });
  }
  return resolved.value("type", json()) == type;
}

const std::vector<std::string> kRoots = {"dataset", "model", "training"};

}  // namespace

bool is_below_recipe(const std::string& path) {
  const std::vector<std::string> steps = steps_of(path);
  return steps.size() > 1 && std::find(kRoots.begin(), kRoots.end(), steps[0]) != kRoots.end();
}

std::string pointer_of_path(const std::string& path) {
  std::string out;
  for (const std::string& step : steps_of(path)) out += pointer_step(step);
  return out;
}

PathTarget find_path(const json& document, const std::string& path, const Schema::Given& given) {
  const Schema& schema = Schema::spec();
  PathTarget out;
  if (out.why_not = fixed(path); !out.why_not.empty()) return out;
  const std::vector<std::string> steps = steps_of(path);
  if (std::find(kRoots.begin(), kRoots.end(), steps[0]) == kRoots.end()) {
    out.why_not = "is no path into the recipe: it must begin with dataset, model or training" +
                  (nearest_name(steps[0], kRoots).empty() ? "" : suggestion(steps[0], kRoots));
    return out;
  }
  std::vector<const json*> schemas = {&schema.definition("recipe")};
  const json* at = &document;
  std::string pointer;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    out.ends_at = {pointer};
    if (at == nullptr) {
      out.why_not = "leads into " + place(pointer) + ", which the recipe does not have; write it there first";
      return out;
    }
    std::vector<const json*> next;
    if (at->is_array()) {
      std::size_t index = 0;
      if (!parse_index(steps[i], index) || index >= at->size()) {
        out.why_not =
            "names no entry of " + place(pointer) + ", which has " + std::to_string(at->size()) + " (0 is the first)";
        return out;
      }
      for (const json* one : schemas) {
        const json* list = &schema.resolve(*one);
        if (list->contains("anyOf")) list = schema.alternative(*list, *at);
        if (list != nullptr && list->contains("items")) next.push_back(&list->at("items"));
      }
      at = &(*at)[index];
    } else if (at->is_object()) {
      std::vector<std::string> legal;
      for (const char* key : {"type", "name", "op"}) out.ends_at.push_back(pointer + pointer_step(key));
      for (const json* one : schemas) {
        // The alternatives that a parameter may pick here, if the key that picks is one.
        const std::vector<std::string>* tags = nullptr;
        for (const char* key : {"type", "name", "op"}) {
          const auto found = given.find(pointer + pointer_step(key));
          if (found != given.end()) tags = &found->second;
        }
        for (const json* found : schema.schemas_of_key(*one, *at, steps[i], tags)) next.push_back(found);
        for (const std::string& key : schema.keys_of(*one)) legal.push_back(key);
      }
      if (next.empty()) {
        const std::string owner = pointer.empty() ? "the recipe" : place(pointer);
        out.why_not = "is no key of the recipe: " + owner + " has no " + shown(steps[i]) + suggestion(steps[i], legal);
        return out;
      }
      const auto child = at->find(steps[i]);
      at = child == at->end() ? nullptr : &*child;
    } else {
      out.why_not = "leads into " + place(pointer) + ", which is a single value";
      return out;
    }
    schemas = std::move(next);
    pointer += pointer_step(steps[i]);
  }
  if (schemas.empty()) {
    out.why_not = "leads to nothing that a parameter can set";
    out.ends_at = {pointer};
  }
  out.schemas = std::move(schemas);
  return out;
}

std::optional<Value> PathTarget::take(const json& value, const std::string& pointer, Problems& problems) const {
  Problems first;
  for (const json* one : schemas) {
    Problems own;
    json copy = value;
    Schema::spec().check(copy, *one, pointer, {}, own);
    if (own.errors() == 0) {
      // A shorthand's text became an object; what a trial is given is the text.
      return value_of(copy.is_structured() ? value : copy);
    }
    if (first.list().empty()) first = own;
  }
  for (const Problem& problem : first.list()) problems.error(problem.pointer, problem.message);
  return std::nullopt;
}

bool PathTarget::integer() const {
  return std::any_of(schemas.begin(), schemas.end(),
                     [](const json* one) { return holds_type(Schema::spec(), *one, "integer"); });
}

bool PathTarget::number() const {
  return integer() || std::any_of(schemas.begin(), schemas.end(),
                                  [](const json* one) { return holds_type(Schema::spec(), *one, "number"); });
}

void put(json& document, const std::string& path, const Value& value) {
  json* at = &document;
  for (const std::string& step : steps_of(path)) {
    if (at->is_array()) {
      std::size_t index = 0;
      CHECK(parse_index(step, index) && index < at->size());
      at = &(*at)[index];
    } else {
      CHECK(at->is_object());
      at = &(*at)[step];
    }
  }
  *at = json_of(value);
}

bool change(json& recipe, const std::string& path, const Value& value) {
  std::vector<std::string> steps = steps_of(path);
  const std::string last = std::move(steps.back());
  steps.pop_back();
  json* at = &recipe;
  for (const std::string& step : steps) {
    std::size_t index = 0;
    const auto child = at->is_object() ? at->find(step) : at->end();
    if (at->is_array() && parse_index(step, index) && index < at->size()) {
      at = &(*at)[index];
    } else if (at->is_object() && child != at->end()) {
      at = &*child;
    } else {
      return false;
    }
  }
  if (!at->is_object()) return false;
  if (path == "training.lr_schedule.name" && at->value(last, json()) != json_of(value)) {
    json fresh = json::object();
    if (const auto warmup = at->find("warmup"); warmup != at->end()) fresh["warmup"] = *warmup;
    *at = std::move(fresh);
  }
  (*at)[last] = json_of(value);
  return true;
}

json json_of(const Value& value) {
  if (const std::int64_t* number = std::get_if<std::int64_t>(&value); number != nullptr && *number >= 0) {
    return static_cast<std::uint64_t>(*number);
  }
  return std::visit([](const auto& held) { return json(held); }, value);
}

Value value_of(const json& scalar) {
  if (scalar.is_boolean()) return scalar.get<bool>();
  if (scalar.is_number_float()) return scalar.get<double>();
  if (scalar.is_number()) return scalar.get<std::int64_t>();
  CHECK(scalar.is_string());
  return scalar.get<std::string>();
}

}  // namespace modelhop
