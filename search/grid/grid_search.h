#pragma once
#include "search/seam/search.h"

namespace modelhop {

// Every point of the grid once, each trained for training.epochs. Order: search/space/space.h, Grid.
class GridSearchFactory final : public SearchFactory {
 public:
  std::string name() const override { return "grid"; }
  bool arrival_order_matters() const override { return false; }
  Result<SearchPlan> preview(const Spec& spec, std::uint64_t partitions) const override;
  Result<std::unique_ptr<Search>> create(std::shared_ptr<const Spec> spec, std::uint64_t partitions) const override;
};

}  // namespace modelhop
