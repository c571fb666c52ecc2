#include "scheduler/api/progress.h"

#include <algorithm>

#include "common/base/time.h"
#include "scheduler/api/find.h"
#include "search/registry.h"

namespace modelhop {
namespace {

constexpr std::size_t kEtaUnits = 64;  // recent units say more than the first, which also loaded the data

bool trial_ended(TrialState state) { return state >= TrialState::kCompleted; }

// Mean length of the newest finished units, in seconds. Empty: none is finished.
std::optional<double> unit_seconds(const State& state, const ExperimentRow& experiment) {
  double sum = 0;
  std::size_t count = 0;
  for (auto lease = experiment.leases.rbegin(); lease != experiment.leases.rend() && count < kEtaUnits; ++lease) {
    if (lease->outcome != LeaseOutcome::kFinished) continue;
    sum += seconds_of_ms(served_ms(state, lease->from, lease->to));
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

std::optional<double> eta_s(const Core& core, const ApiContext& context, const ExperimentRow& experiment,
                            const ExperimentProgress& progress) {
  const auto unit_s = unit_seconds(core.state(), experiment);
  if (!context.live || experiment.ended() || !unit_s) return std::nullopt;
  std::uint64_t slots = 0, longest = 0;
  for (const auto& slot : core.slots(context.now)) slots += slot.connected ? 1 : 0;
  if (slots == 0) return std::nullopt;
  for (const TrialRow& trial : experiment.trials) {
    if (!trial_ended(trial.state) && trial.target_visits > trial.visits) {
      longest = std::max(longest, trial.target_visits - trial.visits);
    }
  }
  const double left = static_cast<double>(progress.visits_planned - progress.visits_done);
  return std::max(left / static_cast<double>(slots), static_cast<double>(longest)) * *unit_s;
}

// From the leases alone: what a journal says without the clock of a live scheduler.
void account_leases(const State& state, const ExperimentRow& experiment, ExperimentProgress& out) {
  std::map<WorkerId, std::uint64_t> load;
  std::map<TrialId, std::uint64_t> trial;
  UnitTimes sum;
  double failed = 0;
  for (const LeaseRow& lease : experiment.leases) {
    const bool open = lease.outcome == LeaseOutcome::kOpen;
    const std::uint64_t ms = open ? 0 : served_ms(state, lease.from, lease.to);
    if (lease.outcome == LeaseOutcome::kReleased) {
      failed += seconds_of_ms(ms);
      continue;
    }
    load[lease.worker] += ms;
    trial[lease.trial] += ms;
    sum.load_ns += lease.times.load_ns;
    sum.hop_ns += lease.times.hop_ns;
    sum.train_ns += lease.times.train_ns;
    sum.evaluate_ns += lease.times.evaluate_ns;
    sum.save_ns += lease.times.save_ns;
  }
  std::uint64_t bound = 0;
  for (const auto& [id, ms] : load) bound = std::max(bound, ms);
  for (const auto& [id, ms] : trial) bound = std::max(bound, ms);
  if (experiment.started_at != WallMs{}) {
    out.elapsed_s =
        seconds_of_ms(served_ms(state, experiment.started_at, experiment.ended() ? experiment.ended_at : state.at));
  }
  out.bound_s = seconds_of_ms(bound);
  out.slot_seconds = {{"train", seconds_of_ns(sum.train_ns)}, {"evaluate", seconds_of_ns(sum.evaluate_ns)},
                      {"hop", seconds_of_ns(sum.hop_ns)},     {"load", seconds_of_ns(sum.load_ns)},
                      {"save", seconds_of_ns(sum.save_ns)},   {"failure", failed}};
}

void account(const Core& core, const ApiContext& context, const ExperimentRow& experiment, ExperimentProgress& out) {
  account_leases(core.state(), experiment, out);
  if (experiment.ended()) {
    if (experiment.bound_ms > 0) out.bound_s = static_cast<double>(experiment.bound_ms) / 1e3;
    if (!experiment.slot_ms.empty()) {
      out.slot_seconds.clear();
      for (const auto& [cause, ms] : experiment.slot_ms) out.slot_seconds[cause] = static_cast<double>(ms) / 1e3;
    }
  } else if (context.live) {
    const LiveAccounting live = core.accounting(experiment.id, context.now);
    out.elapsed_s = seconds_of_ns(live.elapsed_ns);
    out.bound_s = seconds_of_ns(live.bound_ns);
    out.slot_seconds.clear();
    for (std::size_t cause = 0; cause < kCauses; ++cause) {
      out.slot_seconds[to_string(static_cast<Cause>(cause))] = seconds_of_ns(live.slot_ns[cause]);
    }
  }
  if (out.bound_s > 0) out.gap = std::max(0.0, out.elapsed_s / out.bound_s - 1);
}

}  // namespace

ExperimentProgress counts_of(const ExperimentRow& experiment) {
  ExperimentProgress out;
  std::uint64_t targets = 0, left_out = 0;
  for (const TrialRow& trial : experiment.trials) {
    ++out.trials[static_cast<std::size_t>(trial.state)];
    out.visits_done += trial.visits;
    targets += std::max(trial.target_visits, trial.visits);
    if (trial_ended(trial.state) && trial.target_visits > trial.visits) left_out += trial.target_visits - trial.visits;
  }
  std::uint64_t planned = targets;
  if (experiment.spec && !experiment.search_done && !experiment.ended()) {
    const SearchFactory* search = find_search(experiment.spec->algorithm);
    if (search != nullptr && experiment.partitions > 0) {
      if (const auto plan = search->preview(*experiment.spec, experiment.partitions); plan.ok() && !plan->open_ended) {
        out.trials_planned = plan->trials_max;
        planned = std::max(planned, plan->visits_max);
      }
    }
  }
  out.trials_planned = std::max<std::uint64_t>(out.trials_planned, experiment.trials.size());
  out.visits_planned = std::max(planned - left_out, out.visits_done);
  if (out.visits_planned > 0) {
    out.fraction = static_cast<double>(out.visits_done) / static_cast<double>(out.visits_planned);
  }
  return out;
}

ExperimentProgress progress_of(const Core& core, const ApiContext& context, const ExperimentRow& experiment) {
  ExperimentProgress out = counts_of(experiment);
  for (const LeaseRow& lease : experiment.leases) {
    if (lease.outcome == LeaseOutcome::kReleased) ++out.faults[to_string(lease.fault)];
  }
  account(core, context, experiment, out);
  out.eta_s = eta_s(core, context, experiment, out);
  return out;
}

}  // namespace modelhop
