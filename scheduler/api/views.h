#pragma once
// One function per thing the API shows: state in, JSON out. Keys: docs/api.md.
#include "scheduler/api/api.h"
#include "scheduler/api/json_text.h"

namespace modelhop {

struct ViewContext {
  const Core& core;
  const ApiContext& api;
  const State& state() const { return core.state(); }
};

Json status_view(const ViewContext& context);
Json experiment_summary(const ViewContext& context, const ExperimentRow& experiment);
Json experiment_view(const ViewContext& context, const ExperimentRow& experiment);
Json best_view(const ViewContext& context, const ExperimentRow& experiment);
Json idle_view(const ViewContext& context, const ExperimentRow& experiment);
Json why_view(const ViewContext& context, const ExperimentRow& experiment);

Json trial_summary(const State& state, const ExperimentRow& experiment, const TrialRow& trial);
Json trial_view(const ViewContext& context, const ExperimentRow& experiment, const TrialRow& trial);
// {"val_loss":0.31,...}: sums divided by their weights. Weight 0: left out.
Json metrics_json(const Milestone& milestone);
Json bar_json(const State& state, const ExperimentRow& experiment, const LeaseRow& lease);

Json checkpoint_json(const State& state, const ExperimentRow& experiment, const TrialRow& trial, const StateRef& ref);
// As POST /specs:preview answers it.
Json plan_json(const SearchPlan& plan, std::uint32_t partitions);
Json worker_json(const ViewContext& context, const WorkerRow& worker);
Json dataset_json(const State& state, const DatasetRow& dataset);

// Completed epochs of a trial, exact: visits / P.
double epochs_of(std::uint64_t visits, std::uint32_t partitions);
const char* to_string(LeaseOutcome outcome);

}  // namespace modelhop
