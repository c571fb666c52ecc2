// Which states stay in the store. A state goes in two steps: its deletion is recorded, then done, then recorded as
// done.
#include <algorithm>

#include "scheduler/core/impl.h"
#include "scheduler/core/tables.h"

namespace modelhop {
namespace {

// Among a trial's `count` best milestones?
bool among_best(const Spec& spec, const TrialRow& trial, const StateRef& ref, std::uint64_t count) {
  if (count == 0) return false;
  const auto mine = std::find_if(trial.milestones.begin(), trial.milestones.end(),
                                 [&](const Milestone& m) { return m.state == ref; });
  if (mine == trial.milestones.end()) return false;
  std::uint64_t ahead = 0;
  for (auto other = trial.milestones.begin(); other != trial.milestones.end(); ++other) {
    ahead += better(spec, other->value, mine->value) || (other->value == mine->value && other < mine);
  }
  return ahead < count;
}

// Among a trial's `count` newest, the head and the milestones before it?
bool among_latest(const TrialRow& trial, const StateRef& ref, std::uint64_t count) {
  if (count == 0) return false;
  if (ref == trial.head) return true;
  std::uint64_t newer = !trial.milestones.empty() && trial.milestones.back().state == trial.head ? 0 : 1;
  for (auto it = trial.milestones.rbegin(); it != trial.milestones.rend() && newer < count; ++it, ++newer) {
    if (it->state == ref) return true;
  }
  return false;
}

}  // namespace

// Why the policy, or what may yet happen, needs a state in the store. Null: nothing does.
const char* Core::Impl::why_needed(const ExperimentRow& experiment, const TrialRow& trial, const StateRef& ref) const {
  const Spec& spec = *experiment.spec;
  const Milestone* counted = counted_milestone(spec, trial);
  if (index_of(experiment.id).begun.contains(ref) && !planted(Mistake::kForkSourceDeleted)) {
    return "a fork that lives began with it";
  }
  if (live(trial.state)) {
    if (ref == trial.head && !planted(Mistake::kDeleteNeededState)) return "its trial goes on from it";
    // Its value may be the best so far at any time, so the state behind it stays until the next milestone.
    if (counted != nullptr && counted->state == ref) return "its trial's value is of it";
    // While the head may still be lost with its holder, what it would go back to stays.
    if (ref == newest_before_head(trial) && !is_durable(trial, trial.head) &&
        !planted(Mistake::kRollbackTargetDeleted)) {
      return "its trial would go back to it";
    }
  } else if (counted != nullptr && counted->state == ref) {
    // Values of ended trials are final, so whoever is not among the best of these will not be among the best at the
    // end.
    const std::vector<TrialId>& ranked = index_of(experiment.id).ended_best_first;
    const std::size_t kept = std::min<std::size_t>(spec.save_experiment_best, ranked.size());
    const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(kept);
    if (std::find(ranked.begin(), end, trial.id) != end) return "save_experiment_best";
  }
  if (among_latest(trial, ref, spec.save_trial_latest)) return "save_trial_latest";
  return among_best(spec, trial, ref, spec.save_trial_best) ? "save_trial_best" : nullptr;
}

void Core::Impl::collect(ExperimentRow& experiment, TrialRow& trial) {
  for (std::size_t i = 0; i < trial.stored.size();) {
    if (why_needed(experiment, trial, trial.stored[i].ref) != nullptr) {
      ++i;
    } else {
      intend(experiment, StateRef(trial.stored[i].ref));
    }
  }
}

void Core::Impl::intend(ExperimentRow&, const StateRef& state_ref) {
  emit(StateDeleteIntended{state_ref});
  out->deletes.push_back({state_ref, 0});
}

}  // namespace modelhop
