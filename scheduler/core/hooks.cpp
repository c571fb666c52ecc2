#include "scheduler/core/core.h"
#include "search/registry.h"

namespace modelhop {

CoreHooks default_hooks() {
  return {
      .load_spec = restore_spec,
      .make_search = [](std::shared_ptr<const Spec> spec, std::uint64_t partitions) -> Result<std::unique_ptr<Search>> {
        const SearchFactory* factory = find_search(spec->algorithm);
        if (factory == nullptr) return not_found("/algorithm/name: there is no search algorithm " + spec->algorithm);
        return factory->create(std::move(spec), partitions);
      },
      .recipe = recipe_json,
      .with_limits = with_limits,
      .horizon_schedule = horizon_schedule,
      .fork_params = fork_params,
      .trials_max = [](const Spec& spec, std::uint64_t partitions) -> Result<std::uint64_t> {
        const SearchFactory* factory = find_search(spec.algorithm);
        if (factory == nullptr) return not_found("/algorithm/name: there is no search algorithm " + spec.algorithm);
        ASSIGN_OR_RETURN(const SearchPlan plan, factory->preview(spec, partitions));
        return plan.trials_max;
      },
  };
}

Core::Core(CoreConfig config) : Core(config, default_hooks()) {}

}  // namespace modelhop
