// apply(): the cluster's records, and what all of apply*.cpp share.
#include <algorithm>

#include "common/base/limits.h"
#include "common/base/visit_order.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/misfit.h"

namespace modelhop {

Status Core::Impl::apply(const Record& record) {
  if (record.seq != state.seq + 1) {
    return corrupt("record " + std::to_string(record.seq) + " follows record " + std::to_string(state.seq));
  }
  Status status = std::visit([&](const auto& body) { return on(body, record.at); }, record.body);
  if (!status.ok()) {
    return corrupt("record " + std::to_string(record.seq) + " (" + type_name(record.body) +
                   ") does not fit: " + status.message());
  }
  ++index.totals.records[record.body.index()];
  state.seq = record.seq;
  state.at = record.at;
  return status;
}

ExperimentRow* Core::Impl::find_experiment(ExperimentId id) {
  return id.value - 1 < state.experiments.size() ? &state.experiments[id.value - 1] : nullptr;
}

const ExperimentRow* Core::Impl::find_experiment(ExperimentId id) const {
  return id.value - 1 < state.experiments.size() ? &state.experiments[id.value - 1] : nullptr;
}

TrialRow* find_trial(ExperimentRow* experiment, TrialId id) {
  return experiment != nullptr && id.value - 1 < experiment->trials.size() ? &experiment->trials[id.value - 1]
                                                                           : nullptr;
}

LeaseRow* Core::Impl::open_lease(WorkerId id) {
  const SlotIndex& slot = index.slots[id.value - 1];
  return slot.experiment ? &find_experiment(slot.experiment)->leases[slot.lease] : nullptr;
}

LeaseRow* Core::Impl::find_open(ExperimentId id, UnitId unit, Token token) {
  ExperimentRow* experiment = find_experiment(id);
  if (experiment == nullptr || unit.value - 1 >= experiment->units.size()) return nullptr;
  const UnitRow& row = experiment->units[unit.value - 1];
  LeaseRow& lease = experiment->leases[row.lease];
  if (row.state != UnitState::kLeased) return nullptr;
  return lease.token == token || planted(Mistake::kStaleTokenAccepted) ? &lease : nullptr;
}

PartitionIndex Core::Impl::next_partition(const ExperimentRow& experiment, const TrialRow& trial) const {
  return partition_of_visit(trial.offset, trial.visits, experiment.partitions);
}

Status Core::Impl::on(const Booted& record, WallMs at) {
  REFUSE_IF(record.boot <= state.boot,
            "boot " + std::to_string(record.boot) + " is not above " + std::to_string(state.boot));
  state.boot = record.boot;
  if (state.cluster == 0) state.cluster = record.boot;
  state.boots.push_back({record.boot, state.seq + 1, record.accept_lost_tail});
  if (state.at != WallMs{} && at > state.at) state.down.push_back({state.at, at});
  return {};
}

Status Core::Impl::on(const WorkerJoined& record, WallMs at) {
  const auto named = index.workers_by_name.find(record.name);
  const bool known = named != index.workers_by_name.end();
  const std::size_t place = record.worker.value - std::size_t{1};
  REFUSE_IF(record.name.empty() || !(known ? named->second == record.worker : place == state.workers.size()),
            "worker " + std::to_string(record.worker.value) + " is not the one of the name " + record.name);
  REFUSE_IF(place >= kWorkersMax, "too many workers");
  REFUSE_IF(known && state.workers[place].present, "worker " + record.name + " is present already");
  REFUSE_IF(index.incarnations.contains(record.incarnation), "incarnation is present already");
  if (!known) {
    state.workers.emplace_back();
    index.slots.emplace_back();
    index.workers_by_name.emplace(record.name, record.worker);
  }
  WorkerRow& row = state.workers[place];
  if (known && row.incarnation != record.incarnation) {
    if (row.former.size() == kFormerIncarnationsMax) row.former.erase(row.former.begin());
    row.former.push_back(row.incarnation);
  }
  row.id = record.worker;
  row.name = record.name;
  row.present = true;
  row.incarnation = record.incarnation;
  row.profile = record.profile;
  row.device = record.device;
  row.threads = record.threads;
  row.memory_bytes = record.memory_bytes;
  row.joined_at = at;
  if (row.admission == Admission::kRemoved) row.admission = Admission::kActive;
  index.incarnations.emplace(record.incarnation, record.worker);
  return {};
}

Status Core::Impl::on(const WorkerLeft& record, WallMs at) {
  const std::size_t place = record.worker.value - std::size_t{1};
  REFUSE_IF(place >= state.workers.size(), "there is no worker " + std::to_string(record.worker.value));
  WorkerRow& row = state.workers[place];
  REFUSE_IF(!row.present || row.incarnation != record.incarnation,
            "worker " + row.name + " is not here as this incarnation");
  REFUSE_IF(index.slots[place].experiment.value != 0, "worker " + row.name + " holds a lease");
  for (const auto& [experiment, id] : index.slots[place].holds) {
    const TrialRow& trial = find_experiment(experiment)->trials[id.value - 1];
    REFUSE_IF(
        live(trial.state) && head_held_by(trial, record.incarnation) && !planted(Mistake::kHeldTakenForDurable),
        "worker " + row.name + " holds the only copy of a state that " + to_string(experiment, id) + " goes on from");
  }
  for (const auto& [experiment, id] : index.slots[place].holds) {
    std::erase_if(find_experiment(experiment)->trials[id.value - 1].held,
                  [&](const HeldState& held) { return held.incarnation == record.incarnation; });
  }
  index.slots[place].holds.clear();
  row.present = false;
  row.left_at = at;
  row.left_reason = record.reason;
  index.incarnations.erase(record.incarnation);
  return {};
}

Status Core::Impl::on(const WorkerAdmissionChanged& record, WallMs) {
  const std::size_t place = record.worker.value - std::size_t{1};
  REFUSE_IF(place >= state.workers.size(), "there is no worker " + std::to_string(record.worker.value));
  WorkerRow& row = state.workers[place];
  REFUSE_IF(record.admission == Admission::kRemoved && row.present, "worker " + row.name + " is here");
  row.admission = record.admission;
  return {};
}

Status Core::Impl::on(const DatasetRegistered& record, WallMs) {
  const std::size_t partitions = record.partition_rows.size();
  REFUSE_IF(record.name.empty() || partitions == 0 || partitions > kPartitionsMax,
            "data set without name or partitions");
  for (const ExperimentId id : index.live) {
    const ExperimentRow& experiment = *find_experiment(id);
    REFUSE_IF(experiment.dataset == record.name, to_string(id) + " runs on the data set " + record.name);
  }
  DatasetRow& row = state.datasets[record.name];
  row.info = record;
  row.holders.assign(partitions, {});
  index.datasets[record.name].held.clear();
  return {};
}

Status Core::Impl::on(const PartitionPlaced& record, WallMs) {
  const auto dataset = state.datasets.find(record.dataset);
  const std::size_t place = record.worker.value - std::size_t{1};
  REFUSE_IF(dataset == state.datasets.end() || record.partition.value >= dataset->second.holders.size(),
            "there is no such partition");
  REFUSE_IF(place >= state.workers.size(), "there is no worker " + std::to_string(record.worker.value));
  auto& holders = dataset->second.holders[record.partition.value];
  const auto at = std::lower_bound(holders.begin(), holders.end(), record.worker);
  REFUSE_IF(at != holders.end() && *at == record.worker, "the worker holds it already");
  holders.insert(at, record.worker);
  auto& held = index.datasets[record.dataset].held;
  if (held.size() < state.workers.size()) held.resize(state.workers.size());
  held[place].insert(std::lower_bound(held[place].begin(), held[place].end(), record.partition), record.partition);
  return {};
}

Status Core::Impl::on(const PartitionDropped& record, WallMs) {
  const auto dataset = state.datasets.find(record.dataset);
  REFUSE_IF(dataset == state.datasets.end() || record.partition.value >= dataset->second.holders.size(),
            "there is no such partition");
  auto& holders = dataset->second.holders[record.partition.value];
  const auto at = std::lower_bound(holders.begin(), holders.end(), record.worker);
  REFUSE_IF(at == holders.end() || *at != record.worker, "the worker does not hold it");
  const LeaseRow* lease = open_lease(record.worker);
  REFUSE_IF(lease != nullptr && lease->partition == record.partition && !planted(Mistake::kDropUnderLease) &&
                find_experiment(index.slots[record.worker.value - 1].experiment)->dataset == record.dataset,
            "the worker trains on it");
  holders.erase(at);
  auto& held = index.datasets[record.dataset].held[record.worker.value - 1];
  held.erase(std::lower_bound(held.begin(), held.end(), record.partition));
  return {};
}

}  // namespace modelhop
