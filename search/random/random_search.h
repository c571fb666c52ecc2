#pragma once
#include "search/seam/search.h"

namespace modelhop {

// points_to_evaluate, then independent draws, up to max_trials; each trained for training.epochs. Trial n's values
// depend on the seed and n alone.
class RandomSearchFactory final : public SearchFactory {
 public:
  std::string name() const override { return "random"; }
  bool arrival_order_matters() const override { return false; }
  Result<SearchPlan> preview(const Spec& spec, std::uint64_t partitions) const override;
  Result<std::unique_ptr<Search>> create(std::shared_ptr<const Spec> spec, std::uint64_t partitions) const override;
};

}  // namespace modelhop
