#pragma once
// JSON from a file, a scheduler or a worker, with its depth bounded before it is parsed: deep nesting would recurse.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace modelhop::cli {

using Json = nlohmann::json;

inline constexpr unsigned kAnswerDepthMax = 64;  // a recipe of depth 32 inside a trial inside an answer

// kInvalid names `what` and where it stops being JSON.
Result<Json> parse_json(std::string_view text, const std::string& what, unsigned depth_max = kAnswerDepthMax);
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);  // "-": standard input

// Lenient readers of an answer's keys: another version's answer may lack some.
std::string text_of(const Json& json, const std::string& key);
double number_of(const Json& json, const std::string& key, double otherwise = 0);
std::uint64_t count_of(const Json& json, const std::string& key);
const Json& member(const Json& json, const std::string& key);  // null where it is absent
const Json& items_of(const Json& json);                        // of a page; an empty array where there are none

}  // namespace modelhop::cli
