#pragma once
// A trainer whose model is a hash: each batch mixes in the trial, its recipe, visit, partition and batch, so that a
// wrong order, a skipped or a doubled batch shows in every state after it. Sums are small integers, exact in double in
// any order of addition.
#include "common/base/unit.h"
#include "scheduler/sim/plan.h"

namespace modelhop::sim {

inline std::uint64_t mix(std::uint64_t z) {  // splitmix64's finalizer
  z += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::uint64_t low_lane(const ContentHash& hash);
// A state's name in the store.
std::uint64_t store_key(const StateRef& state);

// Trains `state` from its cursor to batch `until` of the visit (the visit's last: to the next visit), adding to `loss`.
void train(StateRef& state, PartitionIndex partition, const Plan& plan, std::uint32_t until, Sum& loss,
           const std::string& recipe = "{}");
// The validation sums of a state.
std::vector<Sum> validate(const StateRef& state);

}  // namespace modelhop::sim
