#pragma once
// Did you mean? The nearest of the legal words, by edit distance with swaps.
#include <string>
#include <string_view>
#include <vector>

namespace modelhop::cli {

// Empty: none is near enough to be a slip of the hand.
std::string nearest(std::string_view word, const std::vector<std::string>& legal);
// "; did you mean \"store\"?" or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& legal);

}  // namespace modelhop::cli
