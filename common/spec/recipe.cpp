#include "common/spec/recipe.h"

#include "common/spec/json_reader.h"
#include "common/spec/layers.h"
#include "common/spec/recipe_reader.h"
#include "common/spec/schema.h"

namespace modelhop {

Recipe read_recipe(nlohmann::json& document, const Manifest* data, Problems& problems) {
  const Schema& schema = Schema::spec();
  schema.check(document, schema.definition("recipe"), "", {}, problems);
  const Problems found = problems;
  std::vector<Layer> layers = check_recipe(
      document, data, [&](const std::string& place) { return found.clean(place); }, problems);
  if (problems.errors() > 0) return {};
  Recipe recipe = typed_recipe(document);
  recipe.layers = std::move(layers);
  return recipe;
}

Result<Recipe> parse_recipe(std::string_view text, const Manifest& data) {
  Result<nlohmann::json> document = read_json(text, kExpandedLimits);
  if (!document.ok()) return invalid("recipe: " + document.status().message());
  Problems problems;
  Recipe recipe = read_recipe(*document, &data, problems);
  for (const Problem& problem : problems.list()) {
    if (!problem.warning) return invalid(dotted(problem.pointer) + " " + problem.message);
  }
  return recipe;
}

std::uint64_t rows_per_visit(const Training& training, std::uint64_t partition_rows) {
  return training.keep_partial_batch ? partition_rows : partition_rows - partition_rows % training.batch_size;
}

std::uint64_t batches_per_visit(const Training& training, std::uint64_t partition_rows) {
  const std::uint64_t whole = partition_rows / training.batch_size;
  return whole + (training.keep_partial_batch && partition_rows % training.batch_size != 0 ? 1 : 0);
}

}  // namespace modelhop
