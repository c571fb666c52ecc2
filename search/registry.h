#pragma once
#include <optional>
#include <string>
#include <vector>

#include "search/seam/search.h"

namespace modelhop {

// Null: no such algorithm.
const SearchFactory* find_search(const std::string& name);
std::vector<const SearchFactory*> all_searches();  // by name

// Why no search can be made of a spec that passed its own checks: a grid over more points than an experiment may have
// trials. Every place that accepts a spec asks this too.
std::optional<Problem> search_problem(const Spec& spec);

}  // namespace modelhop
