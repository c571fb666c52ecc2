#include "scheduler/api/find.h"

#include "scheduler/api/json_text.h"

namespace modelhop {

const ExperimentRow* find_experiment(const State& state, std::string_view id_or_name) {
  ExperimentId id;
  if (parse(std::string(id_or_name), id) && id.value >= 1 && id.value <= state.experiments.size()) {
    const ExperimentRow& row = state.experiments[id.value - 1];
    if (row.state != ExperimentState::kDeleted) return &row;
  }
  for (auto row = state.experiments.rbegin(); row != state.experiments.rend(); ++row) {
    if (row->state != ExperimentState::kDeleted && row->name == id_or_name) return &*row;
  }
  return nullptr;
}

FoundTrial find_trial(const State& state, std::string_view id) {
  FoundTrial found;
  const std::size_t dot = id.rfind('.');
  if (dot == std::string_view::npos) return found;
  const auto number = parse_u64(id.substr(dot + 1));
  found.experiment = find_experiment(state, id.substr(0, dot));
  if (!number || found.experiment == nullptr) return found;
  if (*number >= 1 && *number <= found.experiment->trials.size()) found.trial = &found.experiment->trials[*number - 1];
  return found;
}

std::uint64_t visits_of(const Cursor& cursor, std::uint32_t partitions) {
  return static_cast<std::uint64_t>(cursor.epoch) * partitions + cursor.visit;
}

std::string checkpoint_id(const StateRef& ref, std::uint32_t partitions) {
  return to_string(ref.experiment, ref.trial) + "@" + std::to_string(ref.lineage) + "." +
         std::to_string(visits_of(ref.at, partitions));
}

std::vector<const StateRef*> states_of(const TrialRow& trial) {
  std::vector<const StateRef*> states;
  for (const SavedState& saved : trial.stored) states.push_back(&saved.ref);
  for (const HeldState& held : trial.held) states.push_back(&held.saved.ref);
  return states;
}

FoundCheckpoint find_checkpoint(const State& state, std::string_view id) {
  const std::size_t at = id.rfind('@');
  const FoundTrial owner = find_trial(state, id.substr(0, at));
  FoundCheckpoint found{owner.experiment, owner.trial, nullptr};
  if (owner.experiment == nullptr || owner.trial == nullptr) return found;
  const std::uint32_t partitions = owner.experiment->partitions;
  for (const StateRef* ref : states_of(*owner.trial)) {
    if (at != std::string_view::npos &&
        checkpoint_id(*ref, partitions).substr(to_string(ref->experiment, ref->trial).size()) != id.substr(at)) {
      continue;
    }
    // Of states at one visit, the one between visits is the checkpoint; one inside a visit is only on its way.
    const auto rank = [&](const StateRef& r) {
      return std::tuple(r.lineage, visits_of(r.at, partitions), r.at.batch == 0);
    };
    if (found.state == nullptr || rank(*ref) > rank(*found.state)) found.state = ref;
  }
  return found;
}

const WorkerRow* find_worker(const State& state, std::string_view name) {
  for (const WorkerRow& row : state.workers) {
    if (row.name == name && row.admission != Admission::kRemoved) return &row;
  }
  return nullptr;
}

std::string worker_name(const State& state, WorkerId id) {
  if (id.value >= 1 && id.value <= state.workers.size()) return state.workers[id.value - 1].name;
  return "#" + std::to_string(id.value);
}

const LeaseRow* open_lease(const ExperimentRow& experiment, const TrialRow& trial) {
  if (!trial.unit || trial.unit.value > experiment.units.size()) return nullptr;
  const UnitRow& unit = experiment.units[trial.unit.value - 1];
  if (unit.state != UnitState::kLeased || unit.lease >= experiment.leases.size()) return nullptr;
  const LeaseRow& lease = experiment.leases[unit.lease];
  return lease.outcome == LeaseOutcome::kOpen ? &lease : nullptr;
}

}  // namespace modelhop
