#include "search/random/random_search.h"

#include "common/base/limits.h"
#include "search/space/space.h"

namespace modelhop {
namespace {

// Without max_trials it is time_budget that ends the search.
std::uint64_t trials_of(const Spec& spec) { return spec.max_trials.value_or(kTrialsMax); }

class RandomSearch final : public Search {
 public:
  RandomSearch(std::shared_ptr<const Spec> spec, std::uint64_t partitions)
      : spec_(std::move(spec)), trials_(trials_of(*spec_)), target_visits_(spec_->epochs * partitions) {}

  void apply(const SearchRecord& record) override {
    if (std::holds_alternative<SearchTrialCreated>(record)) ++created_;
  }

  std::vector<Decision> decide(const SearchView& view) const override {
    std::vector<Decision> out;
    std::uint64_t number = created_;
    const auto& points = spec_->points_to_evaluate;
    for (std::uint64_t room = view.room; room > 0 && number < trials_; --room) {
      const bool given = number < points.size();
      ++number;
      out.emplace_back(std::in_place_type<CreateTrial>,
                       CreateTrial{given ? points[number - 1] : sample(spec_->space, spec_->seed, TrialId{number}),
                                   target_visits_, given ? "points_to_evaluate" : "random"});
    }
    if (number >= trials_) out.emplace_back(std::in_place_type<SearchDone>);
    return out;
  }

 private:
  const std::shared_ptr<const Spec> spec_;
  const std::uint64_t trials_, target_visits_;
  std::uint64_t created_ = 0;
};

}  // namespace

Result<SearchPlan> RandomSearchFactory::preview(const Spec& spec, std::uint64_t partitions) const {
  const std::uint64_t visits = spec.epochs * partitions;
  return SearchPlan{{{{trials_of(spec), visits}}}, trials_of(spec), trials_of(spec) * visits, !spec.max_trials};
}

Result<std::unique_ptr<Search>> RandomSearchFactory::create(std::shared_ptr<const Spec> spec,
                                                            std::uint64_t partitions) const {
  if (!spec->max_trials && !spec->time_budget_ms) return invalid("random needs max_trials or time_budget");
  return std::unique_ptr<Search>(std::make_unique<RandomSearch>(std::move(spec), partitions));
}

}  // namespace modelhop
