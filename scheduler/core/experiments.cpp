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

Status Core::Impl::key_used(const std::string& key, const KeyUse& use) const {
  const std::string used = use.trial ? "the fork " + to_string(use.experiment, use.trial) + ", " +
                                           find_experiment(use.experiment)->trials[use.trial.value - 1].origin
                                     : to_string(use.experiment) + " of another spec";
  return conflict("the Idempotency-Key \"" + key + "\" made " + used + "; take another key for another request");
}

void Core::Impl::handle(const CreateExperiment& event) {
  if (const auto made = index.keys.find(event.idempotency_key);
      !event.idempotency_key.empty() && made != index.keys.end()) {
    const KeyUse& use = made->second;
    const ExperimentRow& row = *find_experiment(use.experiment);
    if (!use.trial && row.spec_sent == event.spec_sent) return reply(event.request, {}, use.experiment);
    return reply(event.request, key_used(event.idempotency_key, use), {});
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
  set_time_budget(*find_experiment(id));
  place_dirty = true;
  reply(event.request, {}, id);
}

void Core::Impl::handle(const ControlExperiment& event) {
  ExperimentRow* experiment = find_experiment(event.experiment);
  const std::string name = to_string(event.experiment);
  if (experiment == nullptr || experiment->state == ExperimentState::kDeleted) {
    return reply(event.request, not_found("there is no experiment " + name), {});
  }
  reply(event.request, control(*experiment, event.control), event.experiment);
}

// Asked for what is so already, it says yes: a client that lost the answer asks again.
Status Core::Impl::control(ExperimentRow& experiment, Control wanted) {
  const std::string name = to_string(experiment.id);
  const ExperimentState now_is = experiment.state;
  const auto refused = [&](const char* why) { return conflict(name + " is " + to_string(now_is) + ": " + why); };
  switch (wanted) {
    case Control::kPause:
      if (now_is == ExperimentState::kPaused) return {};
      if (now_is != ExperimentState::kRunning) return refused("only what runs can be paused");
      emit(ExperimentStateChanged{experiment.id, ExperimentState::kPaused, "pause was asked", {}, 0});
      set_time_budget(experiment);
      yield_leases(experiment);
      return {};
    case Control::kResume:
      if (now_is == ExperimentState::kRunning) return {};
      if (now_is != ExperimentState::kPaused) return refused("only what is paused can be resumed");
      emit(ExperimentStateChanged{experiment.id, ExperimentState::kRunning, "", {}, 0});
      set_time_budget(experiment);
      live_of(experiment.id).ask_search = true;
      return {};
    case Control::kStop:
      if (now_is == ExperimentState::kStopping || now_is == ExperimentState::kStopped) return {};
      if (experiment.ended()) return refused("it has ended");
      stop(experiment, "stop was asked");
      return {};
    case Control::kCancel:
      if (now_is == ExperimentState::kCanceled) return {};
      if (experiment.ended()) return refused("it has ended");
      end_experiment(experiment, ExperimentState::kCanceled, TrialState::kCanceled, "cancel was asked");
      return {};
    case Control::kDelete:
      if (!experiment.ended()) return refused("cancel it first");
      for (TrialRow& trial : experiment.trials) {
        while (!trial.stored.empty()) intend(experiment, StateRef(trial.stored.back().ref));
      }
      emit(ExperimentStateChanged{experiment.id, ExperimentState::kDeleted, "delete was asked", {}, 0});
      return {};
  }
  return {};
}

void Core::Impl::handle(const ChangeExperiment& event) {
  const ExperimentRow* row = find_experiment(event.experiment);
  if (row == nullptr || row->state == ExperimentState::kDeleted) {
    return reply(event.request, not_found("there is no experiment " + to_string(event.experiment)), {});
  }
  emit(ExperimentChanged{row->id, event.name.value_or(row->name), event.notes.value_or(row->notes),
                         event.labels.value_or(row->labels), event.priority.value_or(row->priority)});
  reply(event.request, {}, event.experiment);
}

void Core::Impl::handle(const ControlTrial& event) {
  ExperimentRow* experiment = find_experiment(event.experiment);
  TrialRow* trial = find_trial(experiment, event.trial);
  if (trial == nullptr) {
    return reply(event.request, not_found("there is no trial " + to_string(event.experiment, event.trial)), {});
  }
  reply(event.request, control(*experiment, *trial, event.control), event.experiment);
}

Status Core::Impl::control(ExperimentRow& experiment, TrialRow& trial, TrialControl wanted) {
  const std::string name = to_string(experiment.id, trial.id);
  const auto refused = [&](const char* why) { return conflict(name + " is " + to_string(trial.state) + ": " + why); };
  switch (wanted) {
    case TrialControl::kPause:
      if (trial.state == TrialState::kPaused) return {};
      if (!live(trial.state)) return refused("it has ended");
      emit(TrialPaused{experiment.id, trial.id, "pause was asked"});
      yield_leases(experiment);
      return {};
    case TrialControl::kResume:
      if (trial.state == TrialState::kPending || trial.state == TrialState::kRunning) return {};
      if (trial.state != TrialState::kPaused) return refused("it has ended; retry makes it go on");
      emit(TrialResumed{experiment.id, trial.id, trial.lineage, "resume was asked"});
      return {};
    case TrialControl::kStop:
      if (trial.state == TrialState::kStopped) return {};
      if (!live(trial.state)) return refused("it has ended");
      end_trial(experiment, trial, TrialState::kStopped, "stop was asked");
      return {};
    case TrialControl::kRetry:
      if (live(trial.state)) return refused("it has not ended");
      if (trial.state == TrialState::kCompleted) return refused("all its visits are done");
      if (experiment.state == ExperimentState::kStopping) return conflict(to_string(experiment.id) + " is stopping");
      if (trial.visits >= trial.target_visits) return refused("all its visits are done");
      return retry(experiment, trial);
  }
  return {};
}

Status Core::Impl::retry(ExperimentRow& experiment, TrialRow& trial) {
  RETURN_IF_ERROR(check_run_again(experiment));
  if (!can_go_on(experiment, trial)) {
    return conflict(to_string(experiment.id, trial.id) + " is a " + trial.origin +
                    ", and neither that state nor one of its own is in the store any more: fork again");
  }
  mark(Mark::kRetried);
  run_again(experiment, "a trial is tried again");
  // Of an ended trial gc deletes what nothing needs: it must never make one of those names again.
  emit(TrialResumed{experiment.id, trial.id, trial.lineage + 1, "retry was asked"});
  go_on(experiment, trial);
  return {};
}

Status Core::Impl::check_run_again(const ExperimentRow& experiment) const {
  if (!experiment.ended()) return {};
  if (index.live.size() >= kExperimentsLiveMax) {
    return conflict(std::to_string(kExperimentsLiveMax) + " experiments run already; stop one, or wait for one to end");
  }
  if (state.datasets.find(experiment.dataset)->second.info.identity != experiment.dataset_identity) {
    return conflict("the data set " + experiment.dataset + " was replaced since " + to_string(experiment.id) +
                    " ended: it cannot go on with other data; submit a new experiment");
  }
  return {};
}

void Core::Impl::run_again(ExperimentRow& experiment, const std::string& reason) {
  if (!experiment.ended()) return;
  emit(ExperimentStateChanged{experiment.id, ExperimentState::kRunning, reason, {}, 0});
  live_of(experiment.id) = ExperimentLive{};
  recover_account(experiment);
  place_dirty = true;
}

bool Core::Impl::can_go_on(const ExperimentRow& experiment, const TrialRow& trial) const {
  const bool own = trial.head != trial.begin && head_is_kept(trial);
  return own || newest_before_head(trial) != trial.begin || begin_is_kept(experiment, trial);
}

void Core::Impl::go_on(ExperimentRow& experiment, TrialRow& trial) {
  if (head_is_kept(trial)) return;
  roll_back(experiment, trial, "its state was not kept when it ended");
}

void Core::Impl::yield_leases(const ExperimentRow& experiment) {
  for (std::size_t i = 0; i < index.slots.size(); ++i) {
    if (index.slots[i].experiment != experiment.id) continue;
    const LeaseRow& lease = *open_lease(state.workers[i].id);
    if (!wants_yield(experiment, lease)) continue;
    send(lease.incarnation, YieldUnit{state.boot, experiment.id, lease.unit, lease.token, true});
  }
}

void Core::Impl::stop(ExperimentRow& experiment, const std::string& reason) {
  if (experiment.state != ExperimentState::kRunning && experiment.state != ExperimentState::kPaused) return;
  emit(ExperimentStateChanged{experiment.id, ExperimentState::kStopping, reason, {}, 0});
  yield_leases(experiment);
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
    if (most <= live_trials) mark(Mark::kSearchBounded);
    std::uint64_t room = std::min({left, kTrialsMax - experiment.trials.size(), most - std::min(most, live_trials)});
    for (Decision& decision : experiment.search->decide({experiment.trials.size(), room, experiment.partitions})) {
      if (auto* create = std::get_if<CreateTrial>(&decision); create != nullptr && room > 0) {
        const TrialId id{experiment.trials.size() + 1};
        const std::uint64_t target =
            std::clamp<std::uint64_t>(create->target_visits, 1, kEpochsMax * experiment.partitions);
        std::vector<std::uint32_t>& offsets = live_of(experiment.id).offsets;
        if (offsets.empty()) offsets = offset_order(experiment.partitions);
        emit(TrialCreated{experiment.id,
                          id,
                          std::move(create->params),
                          offsets[(id.value - 1) % experiment.partitions],
                          target,
                          std::move(create->origin),
                          false,
                          "",
                          {}});
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
  } else if ((experiment.search_done || experiment.trials.size() >= kTrialsMax) && ix.live == 0) {
    const bool all_failed = ix.failed > 0 && ix.failed == experiment.trials.size();
    end_experiment(experiment, all_failed ? ExperimentState::kFailed : ExperimentState::kCompleted,
                   TrialState::kCanceled, all_failed ? "every trial failed" : "all trials have ended");
  }
}

void Core::Impl::end_trial(ExperimentRow& experiment, TrialRow& trial, TrialState how, const std::string& reason,
                           bool with_experiment) {
  if (trial.unit && experiment.units[trial.unit.value - 1].state == UnitState::kLeased) {
    const LeaseRow& lease = experiment.leases[experiment.units[trial.unit.value - 1].lease];
    send(lease.incarnation, YieldUnit{state.boot, experiment.id, lease.unit, lease.token, false});
    mark(Mark::kReleasedByStop);
    emit(UnitReleased{experiment.id, lease.unit, lease.token, Fault::kNone, reason});
    account_lease(experiment, lease);
  }
  emit(TrialEnded{experiment.id, trial.id, how, reason, with_experiment});
  live_of(experiment.id).ask_search = true;
  collect(experiment, trial);
  if (is_fork(trial)) collect(experiment, experiment.trials[trial.begin.trial.value - 1]);
  // One that was among the best ended ones may be it no more.
  const auto& ranked = index_of(experiment.id).ended_best_first;
  const std::uint64_t kept = experiment.spec->save_experiment_best;
  if (kept < ranked.size()) collect(experiment, experiment.trials[ranked[kept].value - 1]);
}

void Core::Impl::end_experiment(ExperimentRow& experiment, ExperimentState how, TrialState trials,
                                std::string reason) {  // a copy, for it may be the experiment's own
  for (TrialRow& trial : experiment.trials) {
    if (live(trial.state)) end_trial(experiment, trial, trials, reason, true);
  }
  const LiveAccounting sums = accounting(experiment.id, now);
  ExperimentStateChanged record{experiment.id, how, std::move(reason), {}, sums.bound_ns / kMillisecond};
  for (std::size_t i = 0; i < kCauses; ++i) {
    record.slot_ms[to_string(static_cast<Cause>(i))] = sums.slot_ns[i] / kMillisecond;
  }
  emit(std::move(record));
}

}  // namespace modelhop
