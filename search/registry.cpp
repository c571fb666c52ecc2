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

}  // namespace modelhop
