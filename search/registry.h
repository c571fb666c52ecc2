#pragma once
#include <string>
#include <vector>

#include "search/seam/search.h"

namespace modelhop {

// Null: no such algorithm.
const SearchFactory* find_search(const std::string& name);
std::vector<const SearchFactory*> all_searches();  // by name

}  // namespace modelhop
