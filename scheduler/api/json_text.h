#pragma once
// How the API writes numbers, times and ids, so that every view and every export writes them alike.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.h"
#include "common/base/unit.h"
#include "common/spec/params.h"

namespace modelhop {

using Json = nlohmann::json;  // keys sorted: equal values give equal bytes

// Shortest text that reads back as the same double; "NaN", "Infinity", "-Infinity".
std::string number_text(double value);
// A number, or one of those three as a string, since JSON has no such numbers.
Json number_json(double value);
Json time_json(WallMs at);  // ISO 8601; null where it never happened
Json value_json(const Value& value);
Json params_json(const Params& params);
// 32 hex digits; null: none.
Json hash_json(const ContentHash& hash);
// Compact; a byte that is not UTF-8 becomes U+FFFD, so no name can make a view throw.
std::string dump(const Json& json);

// %41 -> A. Empty: a bad escape.
std::optional<std::string> percent_decode(std::string_view text);
// Whole text as a decimal number. Empty: it is none, or it does not fit.
std::optional<std::uint64_t> parse_u64(std::string_view text);
// Milliseconds since 1970, or ISO 8601 in UTC as the API writes it. Empty: neither.
std::optional<WallMs> parse_time(std::string_view text);

}  // namespace modelhop
