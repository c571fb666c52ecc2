#pragma once
// How far an experiment is, when it ends, and how far its schedule is from the best possible one.
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "scheduler/api/api.h"

namespace modelhop {

struct ExperimentProgress {
  std::array<std::uint64_t, kTrialStates> trials{};  // by TrialState
  std::uint64_t trials_planned{};                    // as the search plans; 0 = it does not say
  std::uint64_t visits_done{}, visits_planned{};     // planned: without what ended trials leave out
  double fraction{};                                 // 0 .. 1
  std::optional<double> eta_s;                       // while running, from the measured length of units
  double elapsed_s{};                                // since the first lease
  double bound_s{};                                  // max(most loaded worker, longest trial), of what is done
  std::optional<double> gap;                         // elapsed / bound - 1
  std::map<std::string, double> slot_seconds;        // by cause
  std::map<std::string, std::uint64_t> faults;       // leases that ended without a result, by fault
};

ExperimentProgress progress_of(const Core& core, const ApiContext& context, const ExperimentRow& experiment);
// The cheap part: trials, visits and fraction only.
ExperimentProgress counts_of(const ExperimentRow& experiment);

}  // namespace modelhop
