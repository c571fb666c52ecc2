// Checkpoints, workers and data sets.
#include <algorithm>

#include "common/state/state_file.h"
#include "scheduler/api/find.h"
#include "scheduler/api/views.h"

namespace modelhop {

Json checkpoint_json(const State& state, const ExperimentRow& experiment, const TrialRow& trial, const StateRef& ref) {
  const TrialRow* best = experiment.spec ? best_trial(experiment) : nullptr;
  const Milestone* counted = best == nullptr ? nullptr : counted_milestone(*experiment.spec, *best);
  const Milestone* own = nullptr;
  for (const Milestone& milestone : trial.milestones) {
    if (milestone.state.hash == ref.hash && milestone.state.lineage == ref.lineage) own = &milestone;
  }
  const auto held =
      std::find_if(trial.held.begin(), trial.held.end(), [&](const HeldState& h) { return h.saved.ref == ref; });
  return {{"id", checkpoint_id(ref, experiment.partitions)},
          {"trial", to_string(experiment.id, trial.id)},
          {"lineage", ref.lineage},
          {"visits", visits_of(ref.at, experiment.partitions)},
          {"batch", ref.at.batch},
          {"epochs", epochs_of(visits_of(ref.at, experiment.partitions), experiment.partitions)},
          {"step", ref.at.step},
          {"samples", ref.at.samples},
          {"hash", hash_json(ref.hash)},
          {"size_bytes", ref.size_bytes},
          {"blob", state_blob_name(ref, {state.cluster, experiment.partitions})},
          {"durable", held == trial.held.end()},
          {"held_by", held == trial.held.end() ? Json(nullptr) : Json(worker_name(state, held->worker))},
          {"latest", ref.hash == trial.head.hash && ref.lineage == trial.head.lineage},
          {"best", counted != nullptr && best->id == trial.id && counted->state.hash == ref.hash},
          {"value", own == nullptr ? Json(nullptr) : number_json(own->value)}};
}

Json worker_json(const ViewContext& context, const WorkerRow& worker) {
  const State& state = context.state();
  Json out = {{"name", worker.name},
              {"device", worker.device},
              {"threads", worker.threads},
              {"memory_bytes", worker.memory_bytes},
              {"profile", hash_json(worker.profile)},
              {"incarnation", to_string(worker.incarnation)},
              {"joined_at", time_json(worker.joined_at)},
              {"left_at", worker.present ? Json(nullptr) : time_json(worker.left_at)},
              {"left_reason", worker.present ? "" : worker.left_reason},
              {"cause", nullptr},
              {"unit", nullptr},
              {"trial", nullptr}};
  bool connected = false;
  for (const auto& slot : context.core.slots(context.api.now)) {
    if (slot.worker != worker.id) continue;
    connected = slot.connected;
    if (!slot.connected) continue;
    out["cause"] = to_string(slot.cause);
    out["seconds"] = static_cast<double>(context.api.now - slot.since) / 1e9;
    if (slot.unit && slot.experiment.value >= 1 && slot.experiment.value <= state.experiments.size()) {
      const ExperimentRow& experiment = state.experiments[slot.experiment.value - 1];
      out["unit"] = to_string(slot.experiment, slot.unit);
      if (slot.unit.value <= experiment.units.size()) {
        out["trial"] = to_string(slot.experiment, experiment.units[slot.unit.value - 1].trial);
      }
    }
  }
  out["state"] = connected ? "connected" : worker.present ? "silent" : "left";
  out["admission"] = to_string(worker.admission);
  Json partitions = Json::object();
  for (const auto& [name, dataset] : state.datasets) {
    Json held = Json::array();
    for (std::size_t p = 0; p < dataset.holders.size(); ++p) {
      for (const WorkerId holder : dataset.holders[p]) {
        if (holder == worker.id) held.push_back(p);
      }
    }
    if (!held.empty()) partitions[name] = std::move(held);
  }
  out["partitions"] = std::move(partitions);
  std::uint64_t units = 0;
  for (const ExperimentRow& experiment : state.experiments) {
    for (const LeaseRow& lease : experiment.leases) {
      units += lease.worker == worker.id && lease.outcome == LeaseOutcome::kFinished ? 1 : 0;
    }
  }
  out["units_finished"] = units;
  return out;
}

Json dataset_json(const State& state, const DatasetRow& dataset) {
  std::uint64_t rows = 0;
  for (const std::uint64_t count : dataset.info.partition_rows) rows += count;
  Json holders = Json::array();
  for (const auto& of_partition : dataset.holders) {
    Json names = Json::array();
    for (const WorkerId id : of_partition) names.push_back(worker_name(state, id));
    holders.push_back(std::move(names));
  }
  return {{"name", dataset.info.name},
          {"identity", hash_json(dataset.info.identity)},
          {"partitions", dataset.info.partition_rows.size()},
          {"partition_rows", dataset.info.partition_rows},
          {"partition_bytes", dataset.info.partition_bytes},
          {"rows", rows},
          {"holders", holders}};
}

}  // namespace modelhop
