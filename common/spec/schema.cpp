#include "common/spec/schema.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/spec/json_reader.h"
#include "common/spec/json_text.h"
#include "common/spec/schema_scalar.h"
#include "common/spec/suggest.h"

namespace modelhop {

namespace embedded {
extern const unsigned char spec_schema_json[];
extern const std::size_t spec_schema_json_size;
}  // namespace embedded

namespace {

using nlohmann::json;

constexpr std::size_t kShownBytesMax = 60;

const std::string& text_of(const json& value) { return value.get_ref<const std::string&>(); }

std::string tag_key_of(const json& schema) { return text_of(schema.at("discriminator").at("propertyName")); }

}  // namespace

std::string_view spec_schema() {
  return {reinterpret_cast<const char*>(embedded::spec_schema_json), embedded::spec_schema_json_size};
}

std::string shown(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  std::string text = canonical_text(value);
  if (text.size() <= kShownBytesMax) return text;
  std::size_t cut = kShownBytesMax;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;  // not inside a character
  return text.substr(0, cut) + "...";
}

std::string dotted(const std::string& pointer) {
  std::string out = pointer.empty() ? "recipe" : pointer.substr(1);
  std::replace(out.begin(), out.end(), '/', '.');
  return out;
}

const Schema& Schema::spec() {
  static const Schema schema([] {
    Result<json> root = read_json(spec_schema(), {.depth_max = 64});
    CHECK(root.ok());
    return std::move(root).value();
  }());
  return schema;
}

const json& Schema::definition(const std::string& name) const { return root_.at("$defs").at(name); }

const json& Schema::resolve(const json& schema) const {
  const json* at = &schema;
  for (auto ref = at->find("$ref"); ref != at->end(); ref = at->find("$ref")) {
    at = &definition(text_of(*ref).substr(std::string("#/$defs/").size()));
  }
  return *at;
}

std::vector<const json*> Schema::tagged(const json& schema, const std::vector<std::string>* tags) const {
  std::vector<const json*> out;
  const std::string key = tag_key_of(schema);
  for (const json& one : schema.at("oneOf")) {
    const json& alternative = resolve(one);
    const std::string& tag = text_of(alternative.at("properties").at(key).at("const"));
    if (tags == nullptr || std::find(tags->begin(), tags->end(), tag) != tags->end()) out.push_back(&alternative);
  }
  return out;
}

const json* Schema::alternative(const json& unresolved, const json& instance) const {
  const json& schema = resolve(unresolved);
  if (schema.contains("oneOf")) {
    const std::string key = tag_key_of(schema);
    if (!instance.is_object() || !instance.contains(key) || !instance.at(key).is_string()) return nullptr;
    const std::vector<std::string> tags = {text_of(instance.at(key))};
    const auto found = tagged(schema, &tags);
    return found.empty() ? nullptr : found.front();
  }
  for (const json& one : schema.at("anyOf")) {
    const json& candidate = resolve(one);
    const std::string type = candidate.contains("oneOf") ? "object" : text_of(candidate.at("type"));
    if (has_type(instance, type)) return &candidate;
  }
  return nullptr;
}

void Schema::check(json& instance, const json& unresolved, const std::string& pointer, const Given& given,
                   Problems& out) const {
  const json* schema = &resolve(unresolved);
  if (out.full()) return;
  if (schema->contains("not")) {
    out.error(pointer, text_of(schema->at("description")));
    return;
  }
  bool shorthand = false;
  if (const auto key = schema->find("x-shorthand"); key != schema->end() && instance.is_string()) {
    json whole = json::object();
    whole[text_of(*key)] = std::move(instance);
    instance = std::move(whole);
    shorthand = true;
  }
  if (schema->contains("anyOf")) {
    const json* fitting = alternative(*schema, instance);
    if (fitting == nullptr) {
      json types = {{"type", json::array()}};
      for (const json& one : schema->at("anyOf")) {
        const json& candidate = resolve(one);
        types["type"].push_back(candidate.contains("oneOf") ? json("object") : candidate.at("type"));
      }
      check_type(instance, types, pointer, out);
      return;
    }
    schema = fitting;
  }
  if (schema->contains("oneOf")) return check_tagged(instance, *schema, pointer, shorthand, given, out);
  if (const auto constant = schema->find("const"); constant != schema->end()) {
    if (instance != *constant) out.error(pointer, "must be " + shown(*constant) + ", got " + shown(instance));
    return;
  }
  if (const auto names = schema->find("enum"); names != schema->end()) {
    if (std::find(names->begin(), names->end(), instance) != names->end()) return;
    const auto legal = names->get<std::vector<std::string>>();
    out.error(pointer, "must be one of " + listed(legal) + ", got " + shown(instance) +
                           (instance.is_string() && !nearest_name(text_of(instance), legal).empty()
                                ? suggestion(text_of(instance), legal)
                                : ""));
    return;
  }
  if (!check_type(instance, *schema, pointer, out)) return;
  if (instance.is_number()) check_number(instance, *schema, pointer, out);
  if (instance.is_string()) check_text(instance, *schema, pointer, out);
  if (instance.is_object()) check_object(instance, *schema, pointer, shorthand, given, out);
  if (instance.is_array()) {
    const std::size_t least = schema->value("minItems", std::size_t{0});
    const std::size_t most = schema->value("maxItems", instance.size());
    if (instance.size() < least || instance.size() > most) {
      out.error(pointer, "must have " +
                             (least == most ? std::to_string(least)
                                            : (instance.size() < least ? "at least " + std::to_string(least)
                                                                       : "at most " + std::to_string(most))) +
                             " entries, has " + std::to_string(instance.size()));
      return;
    }
    if (const auto items = schema->find("items"); items != schema->end()) {
      for (std::size_t i = 0; i < instance.size(); ++i) {
        check(instance[i], *items, pointer + pointer_step(i), given, out);
      }
    }
  }
}

void Schema::check_object(json& instance, const json& schema, const std::string& pointer, bool shorthand,
                          const Given& given, Problems& out) const {
  static const json kNone = json::object();
  const auto place = [&](const std::string& key) { return shorthand ? pointer : pointer + pointer_step(key); };
  const auto properties = schema.find("properties");
  const json& known = properties == schema.end() ? kNone : *properties;
  if (const auto most = schema.find("maxProperties");
      most != schema.end() && instance.size() > most->get<std::size_t>()) {
    out.error(pointer, "must have at most " + most->dump() + " entries, has " + std::to_string(instance.size()));
    return;
  }
  const auto extra = schema.find("additionalProperties");
  std::vector<std::string> unknown;
  for (auto& [key, value] : instance.items()) {
    if (const auto own = known.find(key); own != known.end()) {
      check(value, *own, place(key), given, out);
    } else if (extra != schema.end() && extra->is_object()) {
      check(value, *extra, place(key), given, out);
    } else {
      const std::string owner = schema.value("title", "this object");
      out.error(place(key), "is not a key of " + owner + suggestion(key, keys_of(schema)));
      unknown.push_back(key);
    }
  }
  for (const std::string& key : unknown) instance.erase(key);  // so that other checks can go on
  if (const auto required = schema.find("required"); required != schema.end()) {
    for (const json& key : *required) {
      const std::string& name = text_of(key);
      if (instance.contains(name) || given.contains(pointer + pointer_step(name))) continue;
      const json& missing = known.at(name);
      const std::string described = missing.value("description", resolve(missing).value("description", ""));
      out.error(place(name), "is missing" + (described.empty() ? "" : ": " + described));
    }
  }
  for (const auto& [key, own] : known.items()) {
    if (instance.contains(key)) continue;
    const json& resolved = resolve(own);
    const json* fallback = own.contains("default") ? &own.at("default") : nullptr;
    if (fallback == nullptr && resolved.contains("default")) fallback = &resolved.at("default");
    if (fallback == nullptr) continue;
    json& filled = instance[key] = *fallback;
    check(filled, own, place(key), given, out);
  }
}

void Schema::check_tagged(json& instance, const json& schema, const std::string& pointer, bool shorthand,
                          const Given& given, Problems& out) const {
  const std::string key = tag_key_of(schema);
  if (!instance.is_object()) {
    out.error(pointer, "must be an object with \"" + key + "\", got " + shown(instance));
    return;
  }
  const std::string place = shorthand ? pointer : pointer + pointer_step(key);
  if (const auto parameter = given.find(pointer + pointer_step(key)); parameter != given.end()) {
    return check_open(instance, schema, key, parameter->second, pointer, given, out);
  }
  std::vector<std::string> legal;
  for (const json* one : tagged(schema, nullptr)) legal.push_back(text_of(one->at("properties").at(key).at("const")));
  const auto tag = instance.find(key);
  if (tag == instance.end()) {
    out.error(place, "is missing; one of " + listed(legal));
    return;
  }
  const json* fitting = alternative(schema, instance);
  if (fitting == nullptr) {
    out.error(place, shown(*tag) + " is unknown" + suggestion(tag->is_string() ? text_of(*tag) : "", legal));
    return;
  }
  check_object(instance, *fitting, pointer, shorthand, given, out);
}

// The tag is a search parameter: a key is legal if one of its values makes it so.
void Schema::check_open(json& instance, const json& schema, const std::string& key,
                        const std::vector<std::string>& tags, const std::string& pointer, const Given& given,
                        Problems& out) const {
  const auto alternatives = tagged(schema, &tags);
  for (auto& [name, value] : instance.items()) {
    if (name == key) continue;
    const json* own = nullptr;
    std::vector<std::string> legal;
    for (const json* alternative : alternatives) {
      const json& known = alternative->at("properties");
      if (own == nullptr && known.contains(name)) own = &known.at(name);
      for (const auto& [other, ignored] : known.items()) legal.push_back(other);
    }
    if (own == nullptr) {
      out.error(pointer + pointer_step(name), "is not a key of " + listed(tags) + suggestion(name, legal));
    } else {
      check(value, *own, pointer + pointer_step(name), given, out);
    }
  }
}

std::vector<std::string> Schema::keys_of(const json& unresolved) const {
  const json& given = resolve(unresolved);
  const json& schema = given.contains("x-shorthand") ? resolve(given.at("anyOf").back()) : given;
  std::vector<std::string> out;
  const auto add = [&](const json& object) {
    const auto properties = object.find("properties");
    if (properties == object.end()) return;
    for (const auto& [key, own] : properties->items()) {
      if (!own.contains("not") && std::find(out.begin(), out.end(), key) == out.end()) out.push_back(key);
    }
  };
  if (schema.contains("oneOf")) {
    for (const json* one : tagged(schema, nullptr)) add(*one);
  } else {
    add(schema);
  }
  return out;
}

std::vector<const json*> Schema::schemas_of_key(const json& unresolved, const json& instance, const std::string& key,
                                                const std::vector<std::string>* tags) const {
  const json* schema = &resolve(unresolved);
  if (schema->contains("anyOf")) {
    schema = schema->contains("x-shorthand") ? &resolve(schema->at("anyOf").back()) : alternative(*schema, instance);
    if (schema == nullptr) return {};
  }
  std::vector<const json*> objects;
  if (schema->contains("oneOf")) {
    if (tags != nullptr) {
      objects = tagged(*schema, tags);
    } else if (const json* one = alternative(*schema, instance)) {
      objects = {one};
    }
  } else {
    objects = {schema};
  }
  std::vector<const json*> out;
  for (const json* object : objects) {
    const auto properties = object->find("properties");
    if (properties == object->end()) continue;
    if (const auto own = properties->find(key); own != properties->end()) out.push_back(&*own);
  }
  return out;
}

}  // namespace modelhop
