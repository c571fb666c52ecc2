#include "search/grid/grid_search.h"

#include <algorithm>

#include "search/space/space.h"

namespace modelhop {
namespace {

// A grid that is too large is counted so far, for its message. Conditional values are walked over, others multiplied.
std::uint64_t counted_max(const Space& space) {
  const bool walked = std::any_of(space.begin(), space.end(), [](const Parameter& one) { return !one.when.empty(); });
  return walked ? 10 * kTrialsMax : std::uint64_t{1} << 62;
}

// Points that will be trained: the whole grid, or its first max_trials.
Result<std::uint64_t> trials_of(const Spec& spec, const Grid& grid) {
  const std::optional<std::uint64_t> size = grid.size();
  if (spec.max_trials) return std::min(*spec.max_trials, size.value_or(*spec.max_trials));
  if (!size) {
    const std::uint64_t most = counted_max(spec.space);
    const std::optional<std::uint64_t> counted = grid.size(most);
    return invalid("the grid has " + (counted ? std::to_string(*counted) : "more than " + std::to_string(most)) +
                   " points, and an experiment at most " + std::to_string(kTrialsMax) +
                   " trials; take fewer values, give max_trials, or use random");
  }
  return *size;
}

class GridSearch final : public Search {
 public:
  GridSearch(Grid grid, std::uint64_t trials, std::uint64_t target_visits)
      : grid_(std::move(grid)), trials_(trials), target_visits_(target_visits), next_(grid_.first()) {}

  void apply(const SearchRecord& record) override {
    if (!std::holds_alternative<SearchTrialCreated>(record)) return;
    ++created_;
    grid_.next(next_);
  }

  std::vector<Decision> decide(const SearchView& view) const override {
    std::vector<Decision> out;
    Grid::Point point = next_;
    std::uint64_t number = created_;
    for (std::uint64_t room = view.room; room > 0 && number < trials_; --room) {
      ++number;
      out.emplace_back(std::in_place_type<CreateTrial>,
                       CreateTrial{grid_.params(point), target_visits_,
                                   "grid " + std::to_string(number) + "/" + std::to_string(trials_)});
      grid_.next(point);
    }
    if (number >= trials_) out.emplace_back(std::in_place_type<SearchDone>);
    return out;
  }

 private:
  const Grid grid_;
  const std::uint64_t trials_, target_visits_;
  Grid::Point next_;  // of the first point without a trial
  std::uint64_t created_ = 0;
};

}  // namespace

Result<SearchPlan> GridSearchFactory::preview(const Spec& spec, std::uint64_t partitions) const {
  ASSIGN_OR_RETURN(const Grid grid, Grid::of(spec.space));
  ASSIGN_OR_RETURN(const std::uint64_t trials, trials_of(spec, grid));
  const std::uint64_t visits = spec.epochs * partitions;
  return SearchPlan{{{{trials, visits}}}, trials, trials * visits};
}

Result<std::unique_ptr<Search>> GridSearchFactory::create(std::shared_ptr<const Spec> spec,
                                                          std::uint64_t partitions) const {
  ASSIGN_OR_RETURN(Grid grid, Grid::of(spec->space));
  ASSIGN_OR_RETURN(const std::uint64_t trials, trials_of(*spec, grid));
  return std::unique_ptr<Search>(std::make_unique<GridSearch>(std::move(grid), trials, spec->epochs * partitions));
}

}  // namespace modelhop
