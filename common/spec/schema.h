#pragma once
// The JSON Schema of a spec (spec.schema.json), and an interpreter of the part of JSON Schema that it uses: every error
// at once, with what was meant, and defaults filled in. Standard validators read the same file; two words are ours:
// `discriminator` (as in OpenAPI) says which key picks the alternative of a oneOf, `x-shorthand` that a text stands for
// an object with that one key. The schema is ours and trusted; what it is held against is not.
// Threads: a Schema is immutable; any.
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/spec/problems.h"

namespace modelhop {

class Schema {
 public:
  using json = nlohmann::json;

  static const Schema& spec();  // spec.schema.json, read once

  const json& root() const { return root_; }
  const json& definition(const std::string& name) const;  // REQUIRES: $defs has it
  const json& resolve(const json& schema) const;          // follows $ref

  // What search parameters will put into the document, by JSON pointer: such keys need not be there, and where one is
  // the key that picks an alternative, the keys of all alternatives it may pick are legal and no defaults are filled
  // (which ones apply, depends on the trial).
  using Given = std::map<std::string, std::vector<std::string>>;  // pointer -> its possible texts

  // Reports every error of `instance`; fills in defaults, turns shorthands into objects and numbers into the type the
  // schema asks for (3 -> 3.0, 64.0 -> 64). `pointer` is that of `instance`.
  void check(json& instance, const json& schema, const std::string& pointer, const Given& given, Problems& out) const;

  // The schema of one key of an object, for each alternative its discriminator may pick; empty: no such key.
  std::vector<const json*> schemas_of_key(const json& schema, const json& instance, const std::string& key,
                                          const std::vector<std::string>* tags) const;

  // Every legal key of an object under any alternative.
  std::vector<std::string> keys_of(const json& schema) const;

  // The alternative of a oneOf or anyOf that `instance` is held against; null: none fits.
  const json* alternative(const json& schema, const json& instance) const;

 private:
  explicit Schema(json root) : root_(std::move(root)) {}
  void check_object(json& instance, const json& schema, const std::string& pointer, bool shorthand, const Given& given,
                    Problems& out) const;
  void check_tagged(json& instance, const json& schema, const std::string& pointer, bool shorthand, const Given& given,
                    Problems& out) const;
  void check_open(json& instance, const json& schema, const std::string& key, const std::vector<std::string>& tags,
                  const std::string& pointer, const Given& given, Problems& out) const;
  std::vector<const json*> tagged(const json& schema, const std::vector<std::string>* tags) const;

  json root_;
};

// A value as a message shows it: short, on one line.
std::string shown(const nlohmann::json& value);

inline constexpr double kWholeMax = 9007199254740992.0;  // 2^53: up to here a double counts exactly
// A whole number kept as a double, small enough to be exact.
inline bool is_whole(double value) { return std::nearbyint(value) == value && std::fabs(value) <= kWholeMax; }

// "/model/layers/3" -> "model.layers.3"; the whole document is "recipe".
std::string dotted(const std::string& pointer);

}  // namespace modelhop
