#pragma once
// One trial's values, and the space they come from.
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace modelhop {

using Value = std::variant<bool, std::int64_t, double, std::string>;
using Params = std::map<std::string, Value>;  // dotted recipe path -> value; inactive conditionals are absent

enum class Distribution : std::uint8_t {
  kChoice,
  kUniform,
  kLogUniform,
  kQUniform,
  kQLogUniform,
  kRandInt,
  kLogRandInt,
  kQRandInt,
  kNormal,
  kLogNormal,
};

struct Parameter {
  std::string path;
  Distribution distribution{};
  std::vector<Value> values;                       // kChoice, in the spec's order
  double low{}, high{}, step{};                    // inclusive bounds, as values; step > 0 where quantized
  double mu{}, sigma{};                            // normal, lognormal
  std::uint64_t count{};                           // grid: points of a range; 0 = not given
  bool integer{};                                  // the recipe's key takes integers; draws are then std::int64_t
  std::map<std::string, std::vector<Value>> when;  // AND over keys of IN lists; empty = always active
};

// Ordered so that a parameter stands after every key of its `when`; among those, by path.
using Space = std::vector<Parameter>;

}  // namespace modelhop
