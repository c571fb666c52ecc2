// apply(): leases and what comes of them.
#include <algorithm>

#include "scheduler/core/impl.h"
#include "scheduler/core/misfit.h"
#include "scheduler/core/tables.h"

namespace modelhop {
namespace {

void add_sums(std::vector<Sum>& to, const std::vector<Sum>& from) {
  for (const Sum& sum : from) {
    const auto same = std::find_if(to.begin(), to.end(), [&](const Sum& s) { return s.name == sum.name; });
    if (same == to.end()) {
      to.push_back(sum);
    } else {
      same->total += sum.total;
      same->weight += sum.weight;
    }
  }
}

bool follows(const ExperimentRow& experiment, const TrialRow& trial, const StateRef& state) {
  const StateRef& head = trial.head;
  return state.experiment == experiment.id && state.trial == trial.id && state.lineage == trial.lineage && state.hash &&
         state.at.visit < experiment.partitions && state.at.step >= head.at.step && state.at.samples >= head.at.samples;
}

}  // namespace

bool fits_finish(const ExperimentRow& experiment, const TrialRow& trial, const StateRef& state) {
  return follows(experiment, trial, state) && state.at.batch == 0 && visits_of(experiment, state) == trial.visits + 1;
}

void add_stored(TrialRow& trial, SavedState saved) {
  const auto place = std::upper_bound(trial.stored.begin(), trial.stored.end(), saved.ref.at,
                                      [](const Cursor& at, const SavedState& s) { return at < s.ref.at; });
  trial.stored.insert(place, std::move(saved));
}

bool of_the_machine(Fault fault) {
  return fault == Fault::kData || fault == Fault::kEnvironment || fault == Fault::kHashMismatch;
}

bool fits_yield(const ExperimentRow& experiment, const TrialRow& trial, const StateRef& state) {
  if (state == trial.head) return true;  // it stopped before its first batch
  return follows(experiment, trial, state) && visits_of(experiment, state) == trial.visits &&
         state.at.batch > trial.head.at.batch;
}

void Core::Impl::unlist(ExperimentRow& experiment, const TrialRow& trial) {
  if (!may_wait(experiment, trial)) return;
  ExperimentIndex& ix = index_of(experiment.id);
  const WaitingTrial key = waiting_trial(trial);
  if (ix.waiting[next_partition(experiment, trial).value].erase(key) == 1) {
    --ix.waiting_count;
  } else {
    --ix.saving;
  }
}

void Core::Impl::list(ExperimentRow& experiment, const TrialRow& trial) {
  if (!may_wait(experiment, trial)) return;
  ExperimentIndex& ix = index_of(experiment.id);
  if (trial.head.hash && !is_durable(trial, trial.head) && !planted(Mistake::kHeldTakenForDurable)) {
    ++ix.saving;
    return;
  }
  ix.waiting[next_partition(experiment, trial).value].insert(waiting_trial(trial));
  ++ix.waiting_count;
}

void Core::Impl::close(ExperimentRow& experiment, LeaseRow& lease, LeaseOutcome outcome, WallMs at) {
  lease.outcome = outcome;
  lease.to = at;
  SlotIndex& slot = index.slots[lease.worker.value - 1];
  slot.experiment = {};
  slot.lease = 0;
  --index_of(experiment.id).leased;
}

void Core::Impl::set_state(TrialRow& trial, TrialState to) {
  --index.totals.trials[static_cast<std::size_t>(trial.state)];
  ++index.totals.trials[static_cast<std::size_t>(to)];
  trial.state = to;
}

void Core::Impl::count_result(ExperimentRow& experiment, const TrialRow& trial, LeaseRow& lease, const UnitTimes& t,
                              HopPath path) {
  lease.times = t;
  lease.path = path;
  index_of(experiment.id).partition_busy_ns[lease.partition.value] += busy_ns(t);
  index_of(experiment.id).trial_busy_ns[lease.trial.value - 1] += busy_ns(t);
  Totals& totals = index.totals;
  Totals::Hops& hops = totals.hops[static_cast<std::size_t>(path)];
  ++hops.done;
  if (path == HopPath::kStore) hops.bytes += trial.head.size_bytes;
  hops.duration.add(t.hop_ns);
}

void Core::Impl::count_stored(const StateRef& stored, std::uint64_t save_ns) {
  index.totals.checkpoint_bytes += stored.size_bytes;
  index.totals.store_bytes += stored.size_bytes;
  index.totals.checkpoint.add(save_ns);
}

std::optional<Core::Impl::OpenUnit> Core::Impl::open_unit(ExperimentId id, UnitId unit, Token token) {
  LeaseRow* lease = find_open(id, unit, token);
  if (lease == nullptr) return std::nullopt;
  ExperimentRow& row = *find_experiment(id);
  return OpenUnit{row, row.trials[lease->trial.value - 1], row.units[unit.value - 1], *lease};
}

Status Core::Impl::on(const UnitLeased& record, WallMs at) {
  ExperimentRow* row = find_experiment(record.experiment);
  REFUSE_IF(row == nullptr || row->ended(), to_string(record.experiment) + " does not run");
  REFUSE_IF(record.trial.value - 1 >= row->trials.size(), "there is no " + to_string(record.experiment, record.trial));
  TrialRow& trial = row->trials[record.trial.value - 1];
  REFUSE_IF(!live(trial.state) || trial.state == TrialState::kPaused || record.visit != trial.visits ||
                trial.visits >= trial.target_visits,
            to_string(record.experiment, record.trial) + " has no such visit to make");
  REFUSE_IF(!(record.partition == next_partition(*row, trial)) && !planted(Mistake::kWrongPartition),
            "visit " + std::to_string(record.visit) + " goes to another partition");
  REFUSE_IF(
      (record.token.boot != state.boot || record.token <= state.token) && !planted(Mistake::kTokenReusedAfterBoot),
      "the token " + to_string(record.token) + " is not new");
  const std::size_t place = record.worker.value - std::size_t{1};
  REFUSE_IF(place >= state.workers.size() || !state.workers[place].present ||
                state.workers[place].incarnation != record.incarnation,
            "the worker is not here as this incarnation");
  REFUSE_IF(index.slots[place].experiment.value != 0, "the worker has a lease");
  REFUSE_IF(state.workers[place].admission != Admission::kActive && !planted(Mistake::kDrainIgnored),
            "the worker gets no units");
  const WorkerRow& holder = state.workers[place];
  const auto& holders = state.datasets.find(row->dataset)->second.holders[record.partition.value % row->partitions];
  REFUSE_IF(
      record.partition.value >= row->partitions || !std::binary_search(holders.begin(), holders.end(), record.worker),
      "the worker does not hold the partition");
  const bool bound = row->spec->reproducibility == Reproducibility::kRerun;
  REFUSE_IF(bound && row->profile && row->profile != holder.profile && !planted(Mistake::kProfileIgnored),
            "the worker has another numeric profile");
  const bool first = !trial.unit;
  REFUSE_IF(first ? record.unit.value != row->units.size() + 1 : record.unit != trial.unit,
            to_string(record.experiment, record.unit) + " is not this visit's unit");
  REFUSE_IF(!first && !has_edge(kUnitEdges, row->units[trial.unit.value - 1].state, UnitState::kLeased),
            to_string(record.experiment, record.unit) + " does not wait");
  REFUSE_IF(trial.head.hash && !is_durable(trial, trial.head) && !head_held_by(trial, record.incarnation) &&
                !planted(Mistake::kHeldTakenForDurable),
            "another worker holds the state that it goes on from");
  unlist(*row, trial);
  if (first) {
    UnitRow unit;
    unit.id = record.unit;
    unit.trial = record.trial;
    unit.visit = record.visit;
    row->units.push_back(unit);
    trial.unit = record.unit;
  }
  UnitRow& unit = row->units[record.unit.value - 1];
  unit.state = UnitState::kLeased;
  unit.lease = row->leases.size();
  LeaseRow lease;
  lease.unit = record.unit;
  lease.trial = record.trial;
  lease.token = record.token;
  lease.worker = record.worker;
  lease.incarnation = record.incarnation;
  lease.visit = record.visit;
  lease.partition = record.partition;
  lease.then_evaluate = record.then_evaluate;
  lease.from = at;
  row->leases.push_back(std::move(lease));
  if (trial.state == TrialState::kPending) {
    set_state(trial, TrialState::kRunning);
    trial.started_at = at;
  }
  if (row->started_at == WallMs{}) row->started_at = at;
  if (bound && !row->profile) row->profile = holder.profile;
  state.token = record.token;
  index.slots[place].experiment = record.experiment;
  index.slots[place].lease = unit.lease;
  state.workers[place].last_experiment = record.experiment;
  state.workers[place].last_trial = record.trial;
  ++index_of(record.experiment).leased;
  return {};
}

Status Core::Impl::on(const UnitFinished& record, WallMs at) {
  const std::optional<OpenUnit> open = open_unit(record.experiment, record.unit, record.token);
  REFUSE_IF(!open, to_string(record.experiment, record.unit) + " has no lease " + to_string(record.token));
  const auto& [row, trial, unit, lease] = *open;
  REFUSE_IF(!fits_finish(row, trial, record.state), "the state is not this visit's result");
  close(row, lease, LeaseOutcome::kFinished, at);
  count_result(row, trial, lease, record.times, record.path);
  Totals::Units& units = index.totals.units[lease.then_evaluate];
  ++units.finished;
  units.duration.add(served_ms(state, lease.from, at) * kMillisecond);
  unit.state = UnitState::kDone;
  trial.unit = {};
  trial.head = record.state;
  trial.unreadable = 0;
  trial.visits += !serving && planted(Mistake::kCountedAgainAfterReplay) && record.state.at.visit == 0 ? 2 : 1;
  trial.visit_sums.clear();
  add_sums(trial.train_since_milestone, record.train);
  std::erase_if(trial.lost, [&](const StateRef& lost) { return lost.at == record.state.at; });
  for (Milestone& milestone : trial.milestones) {
    if (milestone.visits != trial.visits) continue;  // counted before its state was lost
    trial.train_since_milestone.clear();
    milestone.state = record.state;
  }
  SavedState saved{record.state, trial.train_since_milestone, {}};
  if (record.durable) {
    add_stored(trial, std::move(saved));
    count_stored(record.state, record.times.save_ns);
  } else {
    trial.held.push_back({std::move(saved), lease.worker, lease.incarnation, record.times.train_ns});
    index.slots[lease.worker.value - 1].holds.insert({row.id, trial.id});
  }
  list(row, trial);
  return {};
}

Status Core::Impl::on(const UnitYielded& record, WallMs at) {
  const std::optional<OpenUnit> open = open_unit(record.experiment, record.unit, record.token);
  REFUSE_IF(!open, to_string(record.experiment, record.unit) + " has no lease " + to_string(record.token));
  const auto& [row, trial, unit, lease] = *open;
  REFUSE_IF(!fits_yield(row, trial, record.state), "the state is none that this visit can reach");
  close(row, lease, LeaseOutcome::kYielded, at);
  count_result(row, trial, lease, record.times, record.path);
  ++index.totals.units[lease.then_evaluate].yielded;
  unit.state = UnitState::kWaiting;
  if (record.state != trial.head) {
    add_stored(trial, {record.state, trial.train_since_milestone, record.train});
    count_stored(record.state, record.times.save_ns);
    trial.unreadable = 0;
    if (!planted(Mistake::kYieldLosesProgress)) trial.head = record.state;
  }
  if (!record.train.empty()) trial.visit_sums = record.train;  // empty: not one batch was run
  list(row, trial);
  return {};
}

Status Core::Impl::on(const UnitReleased& record, WallMs at) {
  const std::optional<OpenUnit> open = open_unit(record.experiment, record.unit, record.token);
  REFUSE_IF(!open, to_string(record.experiment, record.unit) + " has no lease " + to_string(record.token));
  const auto& [row, trial, unit, lease] = *open;
  close(row, lease, LeaseOutcome::kReleased, at);
  lease.fault = record.fault;
  lease.detail = record.detail;
  ++index.totals.units[lease.then_evaluate].released;
  ++index.totals.released[static_cast<std::size_t>(record.fault)];
  // Only what is fetched can be lost or spoiled on its way, and what lies in memory is not fetched.
  if (record.fault == Fault::kHashMismatch && trial.head.hash) {
    ++index.totals.hops[static_cast<std::size_t>(HopPath::kStore)].failed;
  }
  unit.state = UnitState::kWaiting;
  if (record.fault == Fault::kWorkerLost) {
    ++unit.worker_deaths;
  } else if (of_the_machine(record.fault)) {
    ++unit.machine_faults;
    trial.unreadable += record.fault == Fault::kHashMismatch;
  } else if (record.fault != Fault::kNone) {
    ++unit.faults;
    ++trial.restarts;
  }
  if (planted(Mistake::kWrongParent) && !trial.milestones.empty()) trial.head = trial.milestones.back().state;
  list(row, trial);
  return {};
}

Status Core::Impl::on(const UnitParked& record, WallMs) {
  ExperimentRow* row = find_experiment(record.experiment);
  REFUSE_IF(row == nullptr || record.unit.value - 1 >= row->units.size(),
            "there is no " + to_string(record.experiment, record.unit));
  UnitRow& unit = row->units[record.unit.value - 1];
  TrialRow& trial = row->trials[unit.trial.value - 1];
  REFUSE_IF(!has_edge(kUnitEdges, unit.state, UnitState::kParked) || !live(trial.state) || trial.unit != record.unit,
            to_string(record.experiment, record.unit) + " does not wait");
  unlist(*row, trial);
  unit.state = UnitState::kParked;
  return {};
}

}  // namespace modelhop
