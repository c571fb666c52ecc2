#pragma once
// What may change after a spec was accepted: an experiment's limits, and the parameters of a trial that is forked.
#include <cstdint>
#include <memory>
#include <string>

#include "common/spec/spec.h"

namespace modelhop {

struct SpecLimits {
  std::uint64_t max_trials{}, time_budget_ms{};  // 0: none
  std::uint64_t epochs{};
  bool operator==(const SpecLimits&) const = default;
};
SpecLimits limits_of(const Spec& spec);

// The spec with other limits, its expanded text too: what would have been accepted with these from the start.
Result<std::shared_ptr<const Spec>> with_limits(const Spec& spec, const SpecLimits& limits);

// The learning-rate schedule whose rates depend on training.epochs, under a trial's parameters; `trial` null: under any
// that the space gives. Empty: none does, so training on gives what more epochs from the start give.
std::string horizon_schedule(const Spec& spec, const Params* trial);

// `source` with `set` put in: parameters under training. that leave a state as it is. kInvalid names the one that may
// not be set and says what can be done.
Result<Params> fork_params(const Spec& spec, const Params& source, const Params& set);

}  // namespace modelhop
