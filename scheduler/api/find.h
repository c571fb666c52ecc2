#pragma once
// Finds what a client names. Ids first (e7, e7.12, e7.12@0.20), then names; of several experiments the newest.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "scheduler/core/state.h"

namespace modelhop {

// Null: none. A deleted experiment is not found.
const ExperimentRow* find_experiment(const State& state, std::string_view id_or_name);

struct FoundTrial {
  const ExperimentRow* experiment{};
  const TrialRow* trial{};
};
// "e7.12", or "fmnist.12" by the experiment's name. trial is null: none.
FoundTrial find_trial(const State& state, std::string_view id);

// A checkpoint's id: "e7.12@<lineage>.<visits>".
std::string checkpoint_id(const StateRef& ref, std::uint32_t partitions);
std::uint64_t visits_of(const Cursor& cursor, std::uint32_t partitions);

// The accepted states of a trial that are somewhere: in the store, then those that only a worker holds.
std::vector<const StateRef*> states_of(const TrialRow& trial);

struct FoundCheckpoint {
  const ExperimentRow* experiment{};
  const TrialRow* trial{};
  const StateRef* state{};
};
// "e7.12@0.20", or "e7.12": the newest state of the trial. state is null: none.
FoundCheckpoint find_checkpoint(const State& state, std::string_view id);

const WorkerRow* find_worker(const State& state, std::string_view name);
// The worker's name, or "#3" where the state does not know it.
std::string worker_name(const State& state, WorkerId id);

// The newest attempt of the trial that is still open. Null: none runs.
const LeaseRow* open_lease(const ExperimentRow& experiment, const TrialRow& trial);

}  // namespace modelhop
