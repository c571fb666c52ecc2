// Experiments: made, asked for trials, stopped, ended, deleted.
#include <algorithm>

#include "common/base/limits.h"
#include "common/base/visit_order.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/tables.h"

namespace modelhop {

Status Core::Impl::check_create(const CreateExperiment& event) const {
  if (draining) return conflict("the service is stopping; submit again when it runs");
  if (event.spec == nullptr) return invalid("an experiment needs a spec");
  if (index.live.size() >= kExperimentsLiveMax) {
    return conflict(std::to_string(kExperimentsLiveMax) + " experiments run already; stop one, or wait for one to end");
  }
  const std::size_t partitions = event.dataset.partition_rows.size();
  if (event.dataset.name.empty() || event.dataset.name != event.spec->dataset) {
    return invalid("the spec's data set is " + event.spec->dataset + ", not " + event.dataset.name);
  }
  if (partitions == 0 || partitions > kPartitionsMax) {
    return invalid("the data set " + event.dataset.name + " has " + std::to_string(partitions) + " partitions; 1 to " +
                   std::to_string(kPartitionsMax) + " are possible");
  }
  for (const ExperimentId id : index.live) {
    const ExperimentRow& other = *find_experiment(id);
    if (other.dataset == event.dataset.name && other.dataset_identity != event.dataset.identity) {
      return conflict("the data set " + event.dataset.name + " was replaced while " + to_string(id) +
                      " runs on the old one; wait for it or stop it");
    }
  }
  return hooks.make_search(event.spec, partitions).status();
}

void Core::Impl::handle(const CreateExperiment& event) {
  if (const auto made = index.keys.find(event.idempotency_key);
      !event.idempotency_key.empty() && made != index.keys.end()) {
    return reply(event.request, {}, made->second);
  }
  if (Status status = check_create(event); !status.ok()) return reply(event.request, std::move(status), {});
  const auto known = state.datasets.find(event.dataset.name);
  if (known == state.datasets.end() || known->second.info.identity != event.dataset.identity) emit(event.dataset);
  const ExperimentId id{state.experiments.size() + 1};
  fresh_spec = event.spec;
  emit(ExperimentCreated{id, event.spec_sent, event.spec->expanded, event.dataset.name, event.dataset.identity,
                         event.idempotency_key});
  fresh_spec = nullptr;
  grow_live();
  if (event.spec->time_budget_ms)
    live_of(id).stop_at = now + static_cast<std::int64_t>(*event.spec->time_budget_ms) * kMillisecond;
  place_dirty = true;
  reply(event.request, {}, id);
}

void Core::Impl::handle(const ControlExperiment& event) {
  ExperimentRow* experiment = find_experiment(event.experiment);
  const std::string name = to_string(event.experiment);
  if (experiment == nullptr || experiment->state == ExperimentState::kDeleted) {
    return reply(event.request, not_found("there is no experiment " + name), {});
  }
  const bool delete_it = event.control == Control::kDelete;
  if (delete_it != experiment->ended()) {
    return reply(event.request,
                 conflict(delete_it ? name + " still runs; cancel it first"
                                    : name + " has ended: " + to_string(experiment->state)),
                 event.experiment);
  }
  if (event.control == Control::kStop) stop(*experiment, "stop was asked");
  if (event.control == Control::kCancel)
    end_experiment(*experiment, ExperimentState::kCanceled, TrialState::kCanceled, "cancel was asked");
  if (delete_it) {
    for (TrialRow& trial : experiment->trials) {
      while (!trial.stored.empty()) intend(*experiment, StateRef(trial.stored.back().ref));
    }
    emit(ExperimentStateChanged{event.experiment, ExperimentState::kDeleted, "delete was asked", {}, 0});
  }
  reply(event.request, {}, event.experiment);
}

void Core::Impl::stop(ExperimentRow& experiment, const std::string& reason) {
  if (experiment.state != ExperimentState::kRunning) return;
  emit(ExperimentStateChanged{experiment.id, ExperimentState::kStopping, reason, {}, 0});
  for (std::size_t i = 0; i < index.slots.size(); ++i) {
    if (index.slots[i].experiment != experiment.id) continue;
    const LeaseRow& lease = *open_lease(state.workers[i].id);
    send(lease.incarnation, YieldUnit{state.boot, experiment.id, lease.unit, lease.token, true});
  }
}

std::uint64_t Core::Impl::unfinished_max(const Spec& spec) const {
  if (spec.max_concurrent_trials) return *spec.max_concurrent_trials;
  if (!spec.time_budget_ms) return kTrialsMax;
  // Against the clock: with all trials under way at once, none would be complete when it ends.
  const auto slots_here =
      std::count_if(state.workers.begin(), state.workers.end(), [](const WorkerRow& row) { return row.present; });
  return 2 * std::max<std::uint64_t>(1, static_cast<std::uint64_t>(slots_here));
}

void Core::Impl::ask_search(ExperimentRow& experiment) {
  const std::uint64_t most = unfinished_max(*experiment.spec);
  std::uint64_t left = kTrialsCreatedPerStepMax;
  bool ask = live_of(experiment.id).ask_search;
  while (ask && left > 0 && experiment.state == ExperimentState::kRunning) {
    live_of(experiment.id).ask_search = ask = false;
    const std::uint64_t live_trials = index_of(experiment.id).live;
    std::uint64_t room = std::min({left, kTrialsMax - experiment.trials.size(), most - std::min(most, live_trials)});
    for (Decision& decision : experiment.search->decide({experiment.trials.size(), room, experiment.partitions})) {
      if (auto* create = std::get_if<CreateTrial>(&decision); create != nullptr && room > 0) {
        const TrialId id{experiment.trials.size() + 1};
        const std::uint64_t target =
            std::clamp<std::uint64_t>(create->target_visits, 1, kEpochsMax * experiment.partitions);
        std::vector<std::uint32_t>& offsets = live_of(experiment.id).offsets;
        if (offsets.empty()) offsets = offset_order(experiment.partitions);
        emit(TrialCreated{experiment.id, id, std::move(create->params), offsets[(id.value - 1) % experiment.partitions],
                          target, std::move(create->origin)});
        --room;
        --left;
        ask = true;
      } else if (const auto* stop_trial = std::get_if<StopTrial>(&decision)) {
        if (stop_trial->trial.value - 1 >= experiment.trials.size()) continue;
        TrialRow& trial = experiment.trials[stop_trial->trial.value - 1];
        if (!live(trial.state)) continue;
        end_trial(experiment, trial, TrialState::kStopped, stop_trial->reason);
        ask = true;
      } else if (std::holds_alternative<SearchDone>(decision)) {
        experiment.search_done = true;
      }
    }
  }
  live_of(experiment.id).ask_search = ask;  // the rest in the next step, so that a large search blocks nobody
}

void Core::Impl::finish_if_done(ExperimentRow& experiment) {
  if (experiment.ended()) return;
  const ExperimentIndex& ix = index_of(experiment.id);
  const Spec& spec = *experiment.spec;
  if (spec.max_failed_trials && ix.failed > *spec.max_failed_trials) {
    end_experiment(
        experiment, ExperimentState::kFailed, TrialState::kCanceled,
        std::to_string(ix.failed) + " trials failed; max_failed_trials is " + std::to_string(*spec.max_failed_trials));
  } else if (experiment.state == ExperimentState::kStopping && ix.leased == 0) {
    end_experiment(experiment, ExperimentState::kStopped, TrialState::kStopped, experiment.reason);
  } else if (experiment.state == ExperimentState::kRunning && experiment.search_done && ix.live == 0) {
    const bool all_failed = ix.failed > 0 && ix.failed == experiment.trials.size();
    end_experiment(experiment, all_failed ? ExperimentState::kFailed : ExperimentState::kCompleted,
                   TrialState::kCanceled, all_failed ? "every trial failed" : "all trials have ended");
  }
}

void Core::Impl::end_trial(ExperimentRow& experiment, TrialRow& trial, TrialState how, const std::string& reason) {
  if (trial.unit && experiment.units[trial.unit.value - 1].state == UnitState::kLeased) {
    const LeaseRow& lease = experiment.leases[experiment.units[trial.unit.value - 1].lease];
    send(lease.incarnation, YieldUnit{state.boot, experiment.id, lease.unit, lease.token, false});
    emit(UnitReleased{experiment.id, lease.unit, lease.token, Fault::kNone, reason});
    account_lease(experiment, lease);
  }
  emit(TrialEnded{experiment.id, trial.id, how, reason});
  live_of(experiment.id).ask_search = true;
  collect(experiment, trial);
  // One that was among the best ended ones may be it no more.
  const auto& ranked = index_of(experiment.id).ended_best_first;
  const std::uint64_t kept = experiment.spec->save_experiment_best;
  if (kept < ranked.size()) collect(experiment, experiment.trials[ranked[kept].value - 1]);
}

void Core::Impl::end_experiment(ExperimentRow& experiment, ExperimentState how, TrialState trials,
                                const std::string& reason) {
  const std::string why = reason;  // may be the experiment's own
  for (TrialRow& trial : experiment.trials) {
    if (live(trial.state)) end_trial(experiment, trial, trials, why);
  }
  const LiveAccounting sums = accounting(experiment.id, now);
  ExperimentStateChanged record{experiment.id, how, why, {}, sums.bound_ns / kMillisecond};
  for (std::size_t i = 0; i < kCauses; ++i) {
    record.slot_ms[to_string(static_cast<Cause>(i))] = sums.slot_ns[i] / kMillisecond;
  }
  emit(std::move(record));
}

}  // namespace modelhop
