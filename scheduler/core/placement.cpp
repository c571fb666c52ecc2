// Which worker holds which partition, as workers come and go.
#include <algorithm>
#include <set>

#include "scheduler/core/impl.h"
#include "scheduler/core/spread.h"

namespace modelhop {

bool Core::Impl::eligible(const WorkerRow& row) const {
  return row.admission == Admission::kActive && (row.present || slots[row.id.value - 1].replace_at != kNever);
}

bool Core::Impl::counts_as_slot(const WorkerRow& row) const {
  return eligible(row) || index.slots[row.id.value - 1].experiment.value != 0;
}

void Core::Impl::place() {
  if (!settled) {
    const auto here =
        std::count_if(state.workers.begin(), state.workers.end(), [](const WorkerRow& w) { return w.present; });
    if (here == 0 || static_cast<std::uint64_t>(here) < config.workers_expected) return;
    settled = true;
    settle_until = kNever;
  }
  bool complete = true;
  std::set<std::string> datasets;
  for (const ExperimentId id : index.live) datasets.insert(find_experiment(id)->dataset);
  for (const std::string& name : datasets) complete &= place_dataset(name);
  place_dirty = !complete;
}

bool Core::Impl::drop_would_hurt(const std::string& dataset, PartitionIndex partition,
                                 const std::vector<WorkerId>& held, const std::vector<WorkerId>& wanted) {
  return std::any_of(held.begin(), held.end(), [&](WorkerId id) {
    const LeaseRow* lease = open_lease(id);
    return lease != nullptr && lease->partition == partition && !std::binary_search(wanted.begin(), wanted.end(), id) &&
           find_experiment(index.slots[id.value - 1].experiment)->dataset == dataset;
  });
}

bool Core::Impl::place_dataset(const std::string& name) {
  const DatasetRow& dataset = state.datasets[name];
  std::vector<WorkerId> all;
  for (const WorkerRow& row : state.workers) {
    if (eligible(row)) all.push_back(row.id);
  }
  if (all.empty()) return true;  // keep what was held: who comes back has it on its disk
  // An experiment that is bound to a numeric profile needs every partition where that profile is.
  std::set<ContentHash> profiles;
  bool any_profile = false;
  for (const ExperimentId id : index.live) {
    const ExperimentRow& experiment = *find_experiment(id);
    if (experiment.dataset != name) continue;
    if (experiment.profile) profiles.insert(experiment.profile);
    any_profile |= !experiment.profile;
  }
  Holders wanted(dataset.holders.size());
  if (any_profile) wanted = spread(dataset.holders, all, config.replicas);
  for (const ContentHash& profile : profiles) {
    std::vector<WorkerId> fitting;
    for (const WorkerId id : all) {
      if (worker(id).profile == profile) fitting.push_back(id);
    }
    // Nobody has that profile at present: leave the partitions where they are.
    const Holders more =
        fitting.empty() ? dataset.holders : spread(any_profile ? wanted : dataset.holders, fitting, config.replicas);
    for (std::size_t p = 0; p < more.size(); ++p) {
      for (const WorkerId id : more[p]) {
        const auto at = std::lower_bound(wanted[p].begin(), wanted[p].end(), id);
        if (at == wanted[p].end() || *at != id) wanted[p].insert(at, id);
      }
    }
  }
  bool complete = true;
  std::set<WorkerId> changed;
  for (std::uint32_t p = 0; p < wanted.size(); ++p) {
    const std::vector<WorkerId> held = dataset.holders[p];
    if (held == wanted[p]) continue;
    if (!planted(Mistake::kDropUnderLease) && drop_would_hurt(name, {p}, held, wanted[p])) {
      mark(Mark::kMoveWaits);
      complete = false;  // moved as a whole when the lease there ends
      continue;
    }
    for (const WorkerId id : wanted[p]) {
      if (std::binary_search(held.begin(), held.end(), id)) continue;
      emit(PartitionPlaced{name, {p}, id});
      changed.insert(id);
    }
    for (const WorkerId id : held) {
      if (std::binary_search(wanted[p].begin(), wanted[p].end(), id)) continue;
      emit(PartitionDropped{name, {p}, id});
      changed.insert(id);
    }
  }
  for (const WorkerId id : changed) {
    if (worker(id).present) send_place(worker(id), name);
  }
  return complete;
}

}  // namespace modelhop
