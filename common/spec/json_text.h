#pragma once
// Canonical JSON text: keys sorted, no spaces, shortest exact doubles. Equal values give equal bytes.
#include <nlohmann/json.hpp>
#include <string>

namespace modelhop {

// A double that reads back to the same bits and stays a double ("1.0", never "1"). REQUIRES: finite.
std::string double_text(double value);

// One line. REQUIRES: valid UTF-8, finite numbers, bounded depth (as read_json gives).
std::string canonical_text(const nlohmann::json& value);

// For people: two spaces a level, and what is short stays on one line. Keys sorted.
std::string pretty_text(const nlohmann::json& value);

}  // namespace modelhop
