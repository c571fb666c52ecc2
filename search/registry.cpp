#include "search/registry.h"

#include "search/grid/grid_search.h"
#include "search/random/random_search.h"

namespace modelhop {

std::vector<const SearchFactory*> all_searches() {
  static const GridSearchFactory grid;
  static const RandomSearchFactory random;
  return {&grid, &random};
}

const SearchFactory* find_search(const std::string& name) {
  for (const SearchFactory* factory : all_searches()) {
    if (factory->name() == name) return factory;
  }
  return nullptr;
}

std::optional<Problem> search_problem(const Spec& spec) {
  const SearchFactory* factory = find_search(spec.algorithm);
  if (factory == nullptr)
    return Problem{"/algorithm/name", "there is no search algorithm \"" + spec.algorithm + "\"", false};
  const Result<SearchPlan> plan = factory->preview(spec, 1);
  if (plan.ok()) return std::nullopt;
  return Problem{"/parameters", plan.status().message(), false};
}

}  // namespace modelhop
