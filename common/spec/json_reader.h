#pragma once
// The one way untrusted JSON enters: sizes, depth and count are capped while it is read, and nothing ambiguous gets in
// (duplicate keys, invalid UTF-8, numbers beyond a double, bytes after the end). Pure; any thread.
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/limits.h"
#include "common/base/status.h"

namespace modelhop {

inline constexpr std::size_t kJsonValuesMax = 200'000;  // bounds memory: a value of one byte becomes 16 and more
inline constexpr std::size_t kJsonKeyBytesMax = 256;    // pointers repeat keys, one for each level

struct JsonLimits {
  std::size_t bytes_max{kSpecBytesMax};
  unsigned depth_max{kJsonDepthMax};  // of objects and arrays inside each other
  std::size_t values_max{kJsonValuesMax};
};

// A spec or recipe that we wrote ourselves, with every default: at most this follows from a spec within its limits.
inline constexpr JsonLimits kExpandedLimits{.bytes_max = 8 << 20, .values_max = 1'000'000};

struct JsonFault {
  std::string pointer;  // RFC 6901; of the value over a limit, of the second of two equal keys; empty for syntax
  std::string message;  // with line and column where it is about syntax
};

struct JsonDocument {
  nlohmann::json value;           // means something only if `whole`
  std::vector<JsonFault> faults;  // every duplicate key (up to a limit), and what ended the reading
  bool whole{};                   // the end was reached: of equal keys the first counts
};

JsonDocument read_json_document(std::string_view text, const JsonLimits& limits = {});

// The same where one message is enough. kInvalid: "line 3, column 7: ...", "/x/lr: ...".
Result<nlohmann::json> read_json(std::string_view text, const JsonLimits& limits = {});

// Where `pointers` stand in the text: the ordinal of each value in reading order; a pointer that is not there gets that
// of its nearest parent. REQUIRES: read_json_document(text) had no faults.
std::vector<std::size_t> reading_order(std::string_view text, const std::vector<std::string>& pointers);

// A key as one step of a JSON pointer: "a/b" -> "/a~1b".
std::string pointer_step(std::string_view key);
std::string pointer_step(std::size_t index);

}  // namespace modelhop
