// A fork: a new trial that begins with a durable state of another, with some parameters changed. What it does later to
// that state is the business of apply(TrialForked): the same record makes an existing trial go on from another's state.
#include <algorithm>

#include "common/base/hash.h"
#include "common/base/limits.h"
#include "scheduler/core/impl.h"

namespace modelhop {
namespace {

std::string checkpoint(const StateRef& state, std::uint64_t visits) {
  return to_string(state.experiment, state.trial) + "@" + std::to_string(state.lineage) + "." + std::to_string(visits);
}

// Equal requests have equal hashes.
ContentHash hash_of(const ForkTrial& event) {
  Hasher hasher;
  hasher.add_u64(event.experiment.value);
  hasher.add_u64(event.trial.value);
  hasher.add_u64(event.at ? 1 : 0);
  hasher.add_u64(event.at ? event.at->lineage : 0);
  hasher.add_u64(event.at ? event.at->visits : 0);
  hasher.add_u64(event.epochs.value_or(0));
  hasher.add(to_json_text(event.set));
  return hasher.finish();
}

}  // namespace

void Core::Impl::handle(const ForkTrial& event) {
  const ContentHash request = hash_of(event);
  Result<TrialId> made = forked_before(event, request);
  if (made.ok() && !*made) made = fork(event, request);
  reply(event.request, made.status(), event.experiment, made.ok() ? *made : TrialId{});
}

Result<TrialId> Core::Impl::forked_before(const ForkTrial& event, const ContentHash& request) const {
  const auto use = index.keys.find(event.idempotency_key);
  if (event.idempotency_key.empty() || use == index.keys.end()) return TrialId{};
  if (use->second.experiment == event.experiment && use->second.trial &&
      find_experiment(event.experiment)->trials[use->second.trial.value - 1].request == request) {
    return use->second.trial;
  }
  return key_used(event.idempotency_key, use->second);
}

Result<TrialId> Core::Impl::fork(const ForkTrial& event, const ContentHash& request) {
  if (draining) return conflict("the service is stopping; fork when it runs");
  ExperimentRow* experiment = find_experiment(event.experiment);
  const TrialRow* trial = find_trial(experiment, event.trial);
  if (trial == nullptr) return not_found("there is no trial " + to_string(event.experiment, event.trial));
  const std::string name = to_string(event.experiment);
  if (experiment->state == ExperimentState::kStopping) return conflict(name + " is stopping; fork when it has stopped");
  if (experiment->trials.size() >= kTrialsMax) {
    return conflict(name + " has " + std::to_string(kTrialsMax) + " trials, and no experiment may have more");
  }
  RETURN_IF_ERROR(check_run_again(*experiment));
  ASSIGN_OR_RETURN(const SavedState source, fork_source(*experiment, *trial, event));
  ASSIGN_OR_RETURN(const Params params, hooks.fork_params(*experiment->spec, trial->params, event.set));
  ASSIGN_OR_RETURN(const std::uint64_t target, fork_target(*experiment, *trial, event, params, source.ref));
  if (params.size() > kParametersMax) {
    return invalid("a trial has at most " + std::to_string(kParametersMax) + " parameters; set fewer");
  }
  run_again(*experiment, "a trial is forked");
  const TrialId id{experiment->trials.size() + 1};
  emit(TrialCreated{experiment->id, id, params, trial->offset, target,
                    "fork of " + checkpoint(source.ref, visits_of(*experiment, source.ref)), true,
                    event.idempotency_key, request});
  emit(TrialForked{experiment->id, id, source.ref, params, 1, 1});
  return id;
}

Result<SavedState> Core::Impl::fork_source(const ExperimentRow& experiment, const TrialRow& trial,
                                           const ForkTrial& event) const {
  const std::string name = to_string(experiment.id, trial.id);
  for (auto saved = trial.stored.rbegin(); saved != trial.stored.rend(); ++saved) {
    const StateRef& ref = saved->ref;
    if (ref.at.batch != 0) continue;  // inside a visit: another batch size would change what is left of it
    if (!event.at || (event.at->lineage == ref.lineage && event.at->visits == visits_of(experiment, ref))) {
      return *saved;
    }
  }
  if (event.at) {
    StateRef wanted = trial.head;
    wanted.trial = trial.id;
    wanted.lineage = event.at->lineage;
    return conflict(checkpoint(wanted, event.at->visits) +
                    " is not in the store: it was never kept, or is deleted; `modelhop trial show " + name +
                    "` lists what there is");
  }
  if (live(trial.state)) {
    return conflict(name + " has no state between two visits in the store yet; fork it when its next visit is done" +
                    (is_fork(trial) ? ", or fork " + to_string(experiment.id, trial.begin.trial) : ""));
  }
  return conflict(name +
                  " has ended, and no state of it was kept; checkpoint.save_trial_latest of a spec keeps the last");
}

Result<std::uint64_t> Core::Impl::fork_target(const ExperimentRow& experiment, const TrialRow& trial,
                                              const ForkTrial& event, const Params& params,
                                              const StateRef& source) const {
  std::uint64_t target = trial.target_visits;
  if (event.epochs) {
    if (*event.epochs > kEpochsMax) return invalid("epochs: at most " + std::to_string(kEpochsMax));
    const std::uint64_t wanted = *event.epochs * experiment.partitions;
    if (wanted < target) {
      return invalid("epochs: a fork trains at least as far as its source, " +
                     std::to_string(target / experiment.partitions) + "; `modelhop trial stop` ends it earlier");
    }
    const std::string schedule = wanted > target ? hooks.horizon_schedule(*experiment.spec, &params) : "";
    if (!schedule.empty()) {
      return invalid("epochs: the rates of the schedule " + schedule + " are made for training.epochs, " +
                     std::to_string(experiment.spec->epochs) +
                     "; set training.lr_schedule.name to one without a horizon too, or submit a new experiment");
    }
    target = wanted;
  }
  const std::uint64_t visits = visits_of(experiment, source);
  if (visits >= target) {
    return conflict(checkpoint(source, visits) +
                    " has all its visits, so a fork of it has none to make; fork an "
                    "earlier checkpoint, or give more epochs");
  }
  return target;
}

}  // namespace modelhop
