#pragma once
// The state machines as data: a row an edge, with its reason; an edge that is not listed is an error. apply() refuses a
// record that would take one.
#include <algorithm>
#include <iterator>

#include "scheduler/core/state.h"
#include "search/seam/search.h"

namespace modelhop {

template <class S>
struct Edge {
  S from, to;
  const char* reason;
};

inline constexpr Edge<ExperimentState> kExperimentEdges[] = {
    {ExperimentState::kRunning, ExperimentState::kStopping, "stop was asked or the time budget is spent: units yield"},
    {ExperimentState::kRunning, ExperimentState::kCompleted, "the search is done and every trial has ended"},
    {ExperimentState::kRunning, ExperimentState::kFailed, "too many trials failed"},
    {ExperimentState::kRunning, ExperimentState::kCanceled, "cancel was asked"},
    {ExperimentState::kRunning, ExperimentState::kPaused, "pause was asked: units yield, nothing new starts"},
    {ExperimentState::kPaused, ExperimentState::kRunning, "resume was asked"},
    {ExperimentState::kPaused, ExperimentState::kStopping, "stop was asked, or the time budget is spent"},
    {ExperimentState::kPaused, ExperimentState::kCompleted, "the last trial ended as it was paused"},
    {ExperimentState::kPaused, ExperimentState::kFailed, "too many trials failed"},
    {ExperimentState::kPaused, ExperimentState::kCanceled, "cancel was asked"},
    {ExperimentState::kCompleted, ExperimentState::kRunning, "a trial is tried again or forked, or it was extended"},
    {ExperimentState::kStopped, ExperimentState::kRunning, "a trial is tried again or forked, or it was extended"},
    {ExperimentState::kCanceled, ExperimentState::kRunning, "a trial is tried again or forked"},
    {ExperimentState::kFailed, ExperimentState::kRunning, "a trial is tried again or forked"},
    {ExperimentState::kStopping, ExperimentState::kStopped, "no lease is open any more"},
    {ExperimentState::kStopping, ExperimentState::kFailed, "too many trials failed while it stopped"},
    {ExperimentState::kStopping, ExperimentState::kCanceled, "cancel was asked while it stopped"},
    {ExperimentState::kCompleted, ExperimentState::kDeleted, "delete was asked"},
    {ExperimentState::kStopped, ExperimentState::kDeleted, "delete was asked"},
    {ExperimentState::kCanceled, ExperimentState::kDeleted, "delete was asked"},
    {ExperimentState::kFailed, ExperimentState::kDeleted, "delete was asked"},
};

inline constexpr Edge<TrialState> kTrialEdges[] = {
    {TrialState::kPending, TrialState::kRunning, "its first unit is leased"},
    {TrialState::kPending, TrialState::kStopped, "the experiment or its search stopped it before it began"},
    {TrialState::kPending, TrialState::kCanceled, "the experiment was canceled or failed"},
    {TrialState::kRunning, TrialState::kCompleted, "all its visits are counted"},
    {TrialState::kRunning, TrialState::kStopped, "a stop rule, its search or the experiment's stop ended it"},
    {TrialState::kRunning, TrialState::kFailed, "its restarts are used up, or its unit was parked"},
    {TrialState::kRunning, TrialState::kCanceled, "the experiment was canceled or failed"},
    {TrialState::kRunning, TrialState::kInvalid, "its parameters cannot train"},
    {TrialState::kPending, TrialState::kPaused, "pause was asked"},
    {TrialState::kRunning, TrialState::kPaused, "pause was asked: its unit yields"},
    {TrialState::kPaused, TrialState::kPending, "resume was asked"},
    {TrialState::kPaused, TrialState::kRunning, "resume was asked"},
    {TrialState::kPaused, TrialState::kCompleted, "its last unit was done before it could yield"},
    {TrialState::kPaused, TrialState::kStopped, "stop was asked, or a rule ended it as its unit was done"},
    {TrialState::kPaused, TrialState::kFailed, "its unit failed before it could yield"},
    {TrialState::kPaused, TrialState::kInvalid, "its unit failed before it could yield"},
    {TrialState::kPaused, TrialState::kCanceled, "the experiment was canceled or failed"},
    {TrialState::kStopped, TrialState::kRunning, "retry was asked, or its experiment runs again"},
    {TrialState::kCompleted, TrialState::kRunning, "its target was raised"},
    {TrialState::kFailed, TrialState::kRunning, "retry was asked"},
    {TrialState::kCanceled, TrialState::kRunning, "retry was asked"},
    {TrialState::kInvalid, TrialState::kRunning, "retry was asked"},
    {TrialState::kStopped, TrialState::kPending, "retry was asked or its experiment runs again, and it had not begun"},
    {TrialState::kCanceled, TrialState::kPending, "retry was asked, and it had not begun"},
};

inline constexpr Edge<UnitState> kUnitEdges[] = {
    {UnitState::kWaiting, UnitState::kLeased, "its trial is idle and a holder of its partition is free"},
    {UnitState::kLeased, UnitState::kDone, "finished under the current token: the visit is counted"},
    {UnitState::kLeased, UnitState::kWaiting, "yielded, or released: the parent state is intact, so run it elsewhere"},
    {UnitState::kWaiting, UnitState::kParked, "it cost too many workers: park it, the experiment goes on"},
    {UnitState::kParked, UnitState::kWaiting, "its trial is tried again"},
    {UnitState::kWaiting, UnitState::kLost, "its parent state was lost: an earlier visit is made again first"},
    {UnitState::kDone, UnitState::kLost, "its state was lost before it was durable: the visit is made again"},
};

template <class S, std::size_t N>
constexpr bool has_edge(const Edge<S> (&edges)[N], S from, S to) {
  return std::any_of(std::begin(edges), std::end(edges),
                     [&](const Edge<S>& e) { return e.from == from && e.to == to; });
}

// As searches are told. REQUIRES: !live(state).
inline TrialEnd end_of(TrialState state) {
  switch (state) {
    case TrialState::kCompleted:
      return TrialEnd::kCompleted;
    case TrialState::kStopped:
      return TrialEnd::kStopped;
    case TrialState::kFailed:
      return TrialEnd::kFailed;
    case TrialState::kInvalid:
      return TrialEnd::kInvalid;
    default:
      return TrialEnd::kCanceled;
  }
}

}  // namespace modelhop
