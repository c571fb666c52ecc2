#include "scheduler/api/find.h"
#include "scheduler/api/progress.h"
#include "scheduler/api/views.h"

namespace modelhop {
namespace {

Json trial_counts(const ExperimentProgress& progress) {
  Json out = Json::object();
  for (std::size_t state = 0; state < kTrialStates; ++state) {
    out[to_string(static_cast<TrialState>(state))] = progress.trials[state];
  }
  return out;
}

Json best_json(const ExperimentRow& experiment) {
  const TrialRow* trial = experiment.spec ? best_trial(experiment) : nullptr;
  const Milestone* milestone = trial == nullptr ? nullptr : counted_milestone(*experiment.spec, *trial);
  if (milestone == nullptr) return nullptr;
  return {{"trial", to_string(experiment.id, trial->id)},
          {"value", number_json(milestone->value)},
          {"visits", milestone->visits},
          {"epochs", epochs_of(milestone->visits, experiment.partitions)},
          {"metrics", metrics_json(*milestone)},
          {"params", params_json(trial->params)},
          {"state_hash", hash_json(milestone->state.hash)},
          {"checkpoint", checkpoint_id(milestone->state, experiment.partitions)}};
}

Json summary(const ViewContext& context, const ExperimentRow& experiment, const ExperimentProgress& progress) {
  Json out = {{"id", to_string(experiment.id)},
              {"name", experiment.name},
              {"labels", experiment.labels},
              {"priority", experiment.priority},
              {"state", to_string(experiment.state)},
              {"reason", experiment.reason},
              {"served", context.api.served},
              {"dataset", experiment.dataset},
              {"created_at", time_json(experiment.created_at)},
              {"started_at", time_json(experiment.started_at)},
              {"ended_at", time_json(experiment.ended_at)},
              {"trials", trial_counts(progress)},
              {"trials_planned", progress.trials_planned},
              {"visits_done", progress.visits_done},
              {"visits_planned", progress.visits_planned},
              {"progress", progress.fraction},
              {"best", best_json(experiment)}};
  if (experiment.spec) {
    out["project"] = experiment.spec->project;
    out["algorithm"] = experiment.spec->algorithm;
    out["metric"] = experiment.spec->metric;
    out["goal"] = experiment.spec->maximize ? "maximize" : "minimize";
  }
  return out;
}

// Why nothing new begins; null while there is room.
Json disk_full_json(const ViewContext& context) {
  const std::string& why = context.core.disk_full();
  return why.empty() ? Json(nullptr) : Json(why);
}

Json gap_json(const ExperimentProgress& progress) { return progress.gap ? Json(*progress.gap) : Json(nullptr); }

}  // namespace

double epochs_of(std::uint64_t visits, std::uint32_t partitions) {
  return partitions == 0 ? 0 : static_cast<double>(visits) / static_cast<double>(partitions);
}

Json status_view(const ViewContext& context) {
  const State& state = context.state();
  Json experiments = Json::object();
  for (const ExperimentRow& row : state.experiments) {
    if (row.state == ExperimentState::kDeleted) continue;
    Json& count = experiments[to_string(row.state)];
    count = count.is_null() ? 1 : count.get<int>() + 1;
  }
  std::uint64_t connected = 0, busy = 0, known = 0;
  for (const WorkerRow& row : state.workers) known += row.admission == Admission::kRemoved ? 0 : 1;
  for (const auto& slot : context.core.slots(context.api.now)) {
    connected += slot.connected ? 1 : 0;
    busy += slot.connected && slot.unit ? 1 : 0;
  }
  return {{"version", context.api.version},
          {"live", context.api.live},
          {"time", time_json(context.api.wall)},
          {"seq", state.seq},
          {"boot", state.boot},
          {"experiments", experiments},
          {"workers", {{"connected", connected}, {"known", known}}},
          {"slots", {{"busy", busy}, {"idle", connected - busy}}},
          {"datasets", state.datasets.size()},
          {"disk_full", disk_full_json(context)}};
}

Json experiment_summary(const ViewContext& context, const ExperimentRow& experiment) {
  return summary(context, experiment, counts_of(experiment));
}

Json experiment_view(const ViewContext& context, const ExperimentRow& experiment) {
  const ExperimentProgress progress = progress_of(context.core, context.api, experiment);
  Json out = summary(context, experiment, progress);
  out["seq"] = context.state().seq;
  out["live"] = context.api.live;
  out["notes"] = experiment.notes;
  out["partitions"] = experiment.partitions;
  out["dataset_identity"] = hash_json(experiment.dataset_identity);
  out["profile"] = hash_json(experiment.profile);
  out["elapsed_s"] = progress.elapsed_s;
  out["eta_s"] = progress.eta_s ? Json(*progress.eta_s) : Json(nullptr);
  out["bound_s"] = progress.bound_s;
  out["gap"] = gap_json(progress);
  out["disk_full"] = experiment.ended() ? Json(nullptr) : disk_full_json(context);
  out["slot_seconds"] = progress.slot_seconds;
  out["faults"] = progress.faults;
  std::uint64_t slots = 0;
  for (const auto& slot : context.core.slots(context.api.now)) slots += slot.connected ? 1 : 0;
  out["slots"] = slots;
  if (experiment.spec) {
    out["epochs"] = experiment.spec->epochs;
    out["seed"] = experiment.spec->seed;
    const auto level = experiment.spec->reproducibility;
    out["reproducibility"] = level == Reproducibility::kRerun    ? "rerun"
                             : level == Reproducibility::kReplay ? "replay"
                                                                 : "verify";
  }
  return out;
}

Json best_view(const ViewContext& context, const ExperimentRow& experiment) {
  Json out = {{"experiment", to_string(experiment.id)}, {"best", best_json(experiment)}};
  if (experiment.spec) {
    out["metric"] = experiment.spec->metric;
    out["goal"] = experiment.spec->maximize ? "maximize" : "minimize";
    if (const TrialRow* trial = best_trial(experiment)) {
      out["trial"] = trial_view(context, experiment, *trial);
      out["recipe"] = Json::parse(recipe_json(*experiment.spec, trial->params), nullptr, false);
    }
  }
  return out;
}

Json idle_view(const ViewContext& context, const ExperimentRow& experiment) {
  const ExperimentProgress progress = progress_of(context.core, context.api, experiment);
  double total = 0;
  for (const auto& [cause, s] : progress.slot_seconds) total += s;
  Json causes = Json::array();
  for (const auto& [cause, s] : progress.slot_seconds) {
    causes.push_back({{"cause", cause}, {"seconds", s}, {"share", total > 0 ? s / total : 0.0}});
  }
  Json now = Json::array();
  for (const auto& slot : context.core.slots(context.api.now)) {
    if (!slot.connected) continue;
    now.push_back({{"worker", worker_name(context.state(), slot.worker)},
                   {"cause", to_string(slot.cause)},
                   {"busy", static_cast<bool>(slot.unit)},
                   {"seconds", static_cast<double>(context.api.now - slot.since) / 1e9}});
  }
  return {{"experiment", to_string(experiment.id)},
          {"elapsed_s", progress.elapsed_s},
          {"bound_s", progress.bound_s},
          {"gap", gap_json(progress)},
          {"causes", causes},
          {"now", now}};
}

}  // namespace modelhop
