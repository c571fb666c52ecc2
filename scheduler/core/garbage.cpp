// What may be deleted of what lies in the store. A unit's report may be on its way for states that the journal does not
// name, so "no row names it" is not enough.
#include <algorithm>
#include <tuple>

#include "common/base/marks.h"
#include "scheduler/core/impl.h"

namespace modelhop {
namespace {

// Whether the trial can still make the state, or has made it and not yet said so. The states of a trial that lives have
// names that only grow: lineage first, then visits. A state inside a visit has that visit's number, as its beginning
// has, so what is level with the head may be on its way too.
bool may_be_reported(const TrialRow& trial, const StateName& name) {
  // Tried again, it has the next lineage.
  if (!live(trial.state)) return name.lineage > trial.lineage;
  if (planted(Mistake::kGarbageAheadOfHead)) return name.lineage > trial.lineage;
  return std::tie(name.lineage, name.visits) >= std::tie(trial.lineage, trial.visits);
}

}  // namespace

// Why a `keep` of false is for good. Ids are never reused, so what is deleted stays so. A trial's lineage never falls,
// and grows when it goes back or is tried again; its visits fall only then. A row comes to name a state only by a
// report under the trial's lineage of what comes after its head, or, inside the visit, level with it: a pair
// (lineage, visits) that was passed is passed for ever. What is not yet known here (an older journal was restored) is
// kept until it is.
Judgement Core::Impl::judge(const StateName& name) const {
  const ExperimentRow* row = find_experiment(name.experiment);
  if (row == nullptr) return {true, "the journal does not know its experiment yet"};
  if (row->state == ExperimentState::kDeleted) return {false, "its experiment was deleted"};
  if (name.trial.value - 1 >= row->trials.size()) return {true, "the journal does not know its trial yet"};
  const TrialRow& trial = row->trials[name.trial.value - 1];
  for (const SavedState& saved : trial.stored) {
    if (name_of(saved.ref, row->partitions) != name) continue;
    const char* why = why_needed(*row, trial, saved.ref);
    return {true, why != nullptr ? why : "the journal keeps it"};
  }
  for (const HeldState& held : trial.held) {
    if (name_of(held.saved.ref, row->partitions) != name) continue;
    mark(Mark::kGarbageSaving);
    return {true, "accepted, and its worker saves it"};
  }
  if (may_be_reported(trial, name)) {
    mark(Mark::kGarbageOnItsWay);
    return {true, "its report may be on its way"};
  }
  if (!live(trial.state)) {
    mark(Mark::kGarbageOfEnded);
    return {false, "its trial has ended without it"};
  }
  if (name.lineage < trial.lineage) {
    mark(Mark::kGarbageOfOldLineage);
    return {false, "its trial went back and made others"};
  }
  mark(Mark::kGarbagePassed);
  return {false, "its trial has passed it"};
}

}  // namespace modelhop
