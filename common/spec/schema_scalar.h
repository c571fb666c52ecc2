#pragma once
// What a single value must be: type, bounds, lengths, formats.
#include <nlohmann/json.hpp>
#include <string>

#include "common/spec/problems.h"

namespace modelhop {

// False: `instance` has none of the types of `schema` and that is reported. May turn 3 into 3.0 and 64.0 into 64.
bool check_type(nlohmann::json& instance, const nlohmann::json& schema, const std::string& pointer, Problems& out);

// Whether the value is of the JSON Schema type ("integer" holds for 64.0).
bool has_type(const nlohmann::json& instance, const std::string& type);

void check_number(const nlohmann::json& instance, const nlohmann::json& schema, const std::string& pointer,
                  Problems& out);
void check_text(const nlohmann::json& instance, const nlohmann::json& schema, const std::string& pointer,
                Problems& out);

// "90s", "1.5h" in milliseconds. False: it is no such text, or too long a time.
bool parse_duration(const std::string& text, std::uint64_t& milliseconds);

}  // namespace modelhop
