#pragma once
// Did you mean? What stands in a message about a name that is not known: of a spec, a command line, a settings file.
#include <string>
#include <string_view>
#include <vector>

namespace modelhop {

// "; did you mean \"padding\"?" where a name is near, else "; one of a, b, c" where they are few, else "".
std::string suggestion(std::string_view given, const std::vector<std::string>& legal);

// "; did you mean \"padding\"?" where a name is near, else "": where a list of all would not help.
std::string did_you_mean(std::string_view given, const std::vector<std::string>& legal);

// The nearest name by edit distance, or one that begins so, if it is near enough to be meant; else empty.
std::string nearest_name(std::string_view given, const std::vector<std::string>& legal);

// "a, b, c".
std::string listed(const std::vector<std::string>& names);

}  // namespace modelhop
