#pragma once
// StateName: what a state's name in the store says of it. Format: docs/formats.md, "State".
#include "common/base/unit.h"

namespace modelhop {

struct StateName {
  ExperimentId experiment;
  TrialId trial;
  std::uint32_t lineage{};
  std::uint64_t visits{};  // completed
  ContentHash hash;
  auto operator<=>(const StateName&) const = default;
};

inline StateName name_of(const StateRef& state, std::uint32_t partitions) {
  return {state.experiment, state.trial, state.lineage, std::uint64_t{state.at.epoch} * partitions + state.at.visit,
          state.hash};
}

}  // namespace modelhop
