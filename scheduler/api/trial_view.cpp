#include "common/base/time.h"
#include "scheduler/api/find.h"
#include "scheduler/api/views.h"

namespace modelhop {
namespace {

Json milestone_json(const ExperimentRow& experiment, const Milestone& milestone) {
  return {{"visits", milestone.visits},
          {"epochs", epochs_of(milestone.visits, experiment.partitions)},
          {"value", number_json(milestone.value)},
          {"metrics", metrics_json(milestone)},
          {"state_hash", hash_json(milestone.state.hash)},
          {"at", time_json(milestone.at)}};
}

void add_means(const char* prefix, const std::vector<Sum>& sums, Json& out) {
  for (const Sum& sum : sums) {
    if (sum.weight > 0) out[prefix + sum.name] = number_json(sum.total / static_cast<double>(sum.weight));
  }
}

}  // namespace

const char* to_string(LeaseOutcome outcome) {
  switch (outcome) {
    case LeaseOutcome::kOpen:
      return "open";
    case LeaseOutcome::kFinished:
      return "finished";
    case LeaseOutcome::kYielded:
      return "yielded";
    case LeaseOutcome::kReleased:
      return "released";
    case LeaseOutcome::kLost:
      return "lost";
  }
  return "unknown";
}

Json metrics_json(const Milestone& milestone) {
  Json out = Json::object();
  add_means("val_", milestone.validation, out);
  add_means("train_", milestone.train, out);
  return out;
}

Json bar_json(const State& state, const ExperimentRow& experiment, const LeaseRow& lease) {
  return {{"unit", to_string(experiment.id, lease.unit)},
          {"trial", to_string(experiment.id, lease.trial)},
          {"token", to_string(lease.token)},
          {"worker", worker_name(state, lease.worker)},
          {"visit", lease.visit},
          {"epoch", experiment.partitions == 0 ? 0 : lease.visit / experiment.partitions},
          {"partition", lease.partition.value},
          {"kind", lease.then_evaluate ? "train+evaluate" : "train"},
          {"outcome", to_string(lease.outcome)},
          {"fault", lease.fault == Fault::kNone ? Json(nullptr) : Json(to_string(lease.fault))},
          {"path", lease.outcome == LeaseOutcome::kFinished || lease.outcome == LeaseOutcome::kYielded
                       ? Json(to_string(lease.path))
                       : Json(nullptr)},
          {"from", time_json(lease.from)},
          {"to", time_json(lease.to)},
          {"load_s", seconds_of_ns(lease.times.load_ns)},
          {"hop_s", seconds_of_ns(lease.times.hop_ns)},
          {"train_s", seconds_of_ns(lease.times.train_ns)},
          {"evaluate_s", seconds_of_ns(lease.times.evaluate_ns)},
          {"save_s", seconds_of_ns(lease.times.save_ns)}};
}

Json trial_summary(const State& state, const ExperimentRow& experiment, const TrialRow& trial) {
  const Milestone* counted = experiment.spec ? counted_milestone(*experiment.spec, trial) : nullptr;
  const LeaseRow* running = open_lease(experiment, trial);
  return {{"id", to_string(experiment.id, trial.id)},
          {"experiment", to_string(experiment.id)},
          {"state", to_string(trial.state)},
          {"reason", trial.reason},
          {"origin", trial.origin},
          {"params", params_json(trial.params)},
          {"visits", trial.visits},
          {"target_visits", trial.target_visits},
          {"epochs", epochs_of(trial.visits, experiment.partitions)},
          {"target_epochs", epochs_of(trial.target_visits, experiment.partitions)},
          {"offset", trial.offset},
          {"number", trial.id.value},
          {"batch", trial.head.at.batch},
          {"value", counted == nullptr ? Json(nullptr) : number_json(counted->value)},
          {"metrics", trial.milestones.empty() ? Json::object() : metrics_json(trial.milestones.back())},
          {"state_hash", hash_json(trial.head.hash)},
          {"lineage", trial.lineage},
          {"source", is_fork(trial) ? Json(checkpoint_id(trial.begin, experiment.partitions)) : Json(nullptr)},
          {"first_visit", trial.first_visit},
          {"restarts", trial.restarts},
          {"worker", running == nullptr ? Json(nullptr) : Json(worker_name(state, running->worker))},
          {"created_at", time_json(trial.created_at)},
          {"started_at", time_json(trial.started_at)},
          {"ended_at", time_json(trial.ended_at)}};
}

Json trial_view(const ViewContext& context, const ExperimentRow& experiment, const TrialRow& trial) {
  const State& state = context.state();
  Json out = trial_summary(state, experiment, trial);
  out["served"] = context.api.served;
  Json milestones = Json::array(), units = Json::array(), hops = Json::array(), checkpoints = Json::array();
  for (const Milestone& milestone : trial.milestones) milestones.push_back(milestone_json(experiment, milestone));
  const LeaseRow* before = nullptr;
  for (const LeaseRow& lease : experiment.leases) {
    if (lease.trial != trial.id) continue;
    units.push_back(bar_json(state, experiment, lease));
    if (lease.outcome != LeaseOutcome::kFinished && lease.outcome != LeaseOutcome::kYielded) continue;
    if (before != nullptr) {
      hops.push_back({{"visit", lease.visit},
                      {"path", to_string(lease.path)},
                      {"from", worker_name(state, before->worker)},
                      {"to", worker_name(state, lease.worker)},
                      {"seconds", seconds_of_ns(lease.times.hop_ns)}});
    }
    before = &lease;
  }
  for (const StateRef* ref : states_of(trial)) checkpoints.push_back(checkpoint_json(state, experiment, trial, *ref));
  if (experiment.spec) out["recipe"] = Json::parse(recipe_json(*experiment.spec, trial.params), nullptr, false);
  out["milestones"] = std::move(milestones);
  out["units"] = std::move(units);
  out["hops"] = std::move(hops);
  out["checkpoints"] = std::move(checkpoints);
  return out;
}

}  // namespace modelhop
