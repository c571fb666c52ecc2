#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace modelhop {

bool is_utf8(std::string_view text);

// `text` as valid UTF-8 of at most `bytes_max` bytes: bad bytes become '?', the end is cut between characters.
std::string cut_text(std::string_view text, std::size_t bytes_max);

}  // namespace modelhop
