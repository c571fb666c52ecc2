#include "scheduler/server/late_results.h"

#include <algorithm>

namespace modelhop {
namespace {

const WorkerRow* find_worker(const State& state, const Incarnation& incarnation) {
  for (const WorkerRow& row : state.workers) {
    const bool former = std::find(row.former.begin(), row.former.end(), incarnation) != row.former.end();
    if (row.incarnation == incarnation || former) return &row;
  }
  return nullptr;
}

const LeaseRow* find_lease(const State& state, const UnitReport& report) {
  if (report.experiment.value == 0 || report.experiment.value > state.experiments.size()) return nullptr;
  const auto& leases = state.experiments[report.experiment.value - 1].leases;
  const auto found = std::lower_bound(leases.begin(), leases.end(), report.token,
                                      [](const LeaseRow& lease, const Token& token) { return lease.token < token; });
  return found != leases.end() && found->token == report.token && found->unit == report.unit ? &*found : nullptr;
}

std::string why_late(const LeaseRow* lease) {
  if (lease == nullptr) return "this journal has no such lease";
  if (lease->outcome == LeaseOutcome::kOpen) return "the lease is another process's";
  return lease->detail.empty() ? "the lease had ended" : lease->detail;
}

}  // namespace

std::optional<std::string> LateResults::note(const State& state, const UnitDone& event) {
  const UnitReport& report = event.report;
  if (!seen_.insert({report.token, event.incarnation}).second) return {};
  if (seen_.size() > kReportsSeenMax) seen_.erase(seen_.begin());
  const LeaseRow* lease = find_lease(state, report);
  if (lease != nullptr && lease->incarnation == event.incarnation && lease->outcome != LeaseOutcome::kReleased) {
    return {};  // it is awaited, or it was counted and is a copy
  }
  const WorkerRow* worker = find_worker(state, event.incarnation);
  return "late result of " + to_string(report.experiment, report.unit) + " under token " + to_string(report.token) +
         " from worker " + (worker != nullptr ? worker->name : to_string(event.incarnation)) +
         ": dismissed, not counted (" + why_late(lease) + ")";
}

}  // namespace modelhop
