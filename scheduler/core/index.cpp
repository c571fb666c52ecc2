#include "scheduler/core/index.h"

#include <algorithm>

#include "scheduler/core/mistakes.h"
#include "scheduler/core/state.h"
#include "scheduler/core/tables.h"

namespace modelhop {
namespace {

void add_leases(const ExperimentRow& row, ExperimentIndex& ix, Index& index) {
  for (std::size_t i = 0; i < row.leases.size(); ++i) {
    const LeaseRow& lease = row.leases[i];
    if (lease.outcome == LeaseOutcome::kOpen) {
      ++ix.leased;
      index.slots[lease.worker.value - 1].experiment = row.id;
      index.slots[lease.worker.value - 1].lease = i;
    }
    if (lease.outcome == LeaseOutcome::kFinished || lease.outcome == LeaseOutcome::kYielded) {
      ix.partition_busy_ns[lease.partition.value] += busy_ns(lease.times);
      ix.trial_busy_ns[lease.trial.value - 1] += busy_ns(lease.times);
    }
  }
}

void add_trials(const ExperimentRow& row, ExperimentIndex& ix, Index& index) {
  for (const TrialRow& trial : row.trials) {
    for (const HeldState& held : trial.held) index.slots[held.worker.value - 1].holds.insert({row.id, trial.id});
    if (may_wait(row, trial) && trial.head.hash && !is_durable(trial, trial.head)) {
      ++ix.saving;
    } else if (may_wait(row, trial)) {
      const std::uint64_t next = (trial.offset + trial.visits) % row.partitions;
      ix.waiting[next].insert(waiting_trial(trial));
      ++ix.waiting_count;
    }
    ix.live += live(trial.state) ? 1 : 0;
    if (live(trial.state)) add_begun(ix, trial);
    if (!trial.idempotency_key.empty()) index.keys.emplace(trial.idempotency_key, KeyUse{row.id, trial.id});
    ix.paused += trial.state == TrialState::kPaused;
    ix.failed += trial.state == TrialState::kFailed || trial.state == TrialState::kInvalid;
    if (!live(trial.state) && !trial.milestones.empty()) ix.ended_best_first.push_back(trial.id);
  }
  const auto value = [&](TrialId id) { return counted_milestone(*row.spec, row.trials[id.value - 1])->value; };
  std::stable_sort(ix.ended_best_first.begin(), ix.ended_best_first.end(),
                   [&](TrialId a, TrialId b) { return better(*row.spec, value(a), value(b)); });
  if (planted(Mistake::kRanksForgottenAtLoad)) ix.ended_best_first.clear();
}

// How many of a list's rows are there but for empty ones at its end.
template <class T>
std::size_t filled(const std::vector<std::vector<T>>& lists) {
  std::size_t size = lists.size();
  while (size > 0 && lists[size - 1].empty()) --size;
  return size;
}

}  // namespace

void build_index(const State& state, Index& index) {
  index.slots.assign(state.workers.size(), {});
  for (const WorkerRow& worker : state.workers) {
    index.workers_by_name.emplace(worker.name, worker.id);
    if (worker.present) index.incarnations.emplace(worker.incarnation, worker.id);
  }
  for (const auto& [name, row] : state.datasets) {
    auto& held = index.datasets[name].held;
    held.resize(state.workers.size());
    for (std::uint32_t p = 0; p < row.holders.size(); ++p) {
      for (const WorkerId holder : row.holders[p]) held[holder.value - 1].push_back({p});
    }
  }
  for (const ExperimentRow& row : state.experiments) {
    ExperimentIndex& ix = index.experiments.emplace_back();
    ix.waiting.resize(row.partitions);
    ix.partition_busy_ns.resize(row.partitions);
    ix.trial_busy_ns.resize(row.trials.size());
    ix.dataset = &index.datasets[row.dataset];
    if (!row.idempotency_key.empty()) index.keys.emplace(row.idempotency_key, KeyUse{row.id, {}});
    if (!row.ended()) index.live.push_back(row.id);
    add_leases(row, ix, index);
    add_trials(row, ix, index);
  }
  std::stable_sort(index.live.begin(), index.live.end(), [&](ExperimentId a, ExperimentId b) {
    return state.experiments[a.value - 1].priority > state.experiments[b.value - 1].priority;
  });
  if (planted(Mistake::kPriorityForgottenAtLoad)) std::sort(index.live.begin(), index.live.end());
}

std::vector<std::string> differences(const Index& a, const Index& b) {
  std::vector<std::string> found;
  const auto expect = [&](bool equal, const std::string& what) {
    if (!equal) found.push_back("the index built of the state differs in " + what);
  };
  expect(a.slots == b.slots, "the slots");
  expect(a.live == b.live, "the live experiments");
  expect(a.keys == b.keys, "the idempotency keys");
  expect(a.workers_by_name == b.workers_by_name, "the workers' names");
  expect(a.incarnations == b.incarnations, "the incarnations");
  expect(a.datasets.size() == b.datasets.size(), "the data sets");
  for (const auto& [name, dataset] : a.datasets) {
    const auto other = b.datasets.find(name);
    const std::size_t size = filled(dataset.held);
    expect(other != b.datasets.end() && size == filled(other->second.held) &&
               std::equal(dataset.held.begin(), dataset.held.begin() + static_cast<std::ptrdiff_t>(size),
                          other->second.held.begin()),
           "the holders of " + name);
  }
  expect(a.experiments.size() == b.experiments.size(), "the experiments");
  for (std::size_t i = 0; i < std::min(a.experiments.size(), b.experiments.size()); ++i) {
    const ExperimentIndex &x = a.experiments[i], &y = b.experiments[i];
    const std::string of = " of " + to_string(ExperimentId{i + 1});
    expect(x.waiting == y.waiting && x.waiting_count == y.waiting_count && x.saving == y.saving,
           "the waiting trials" + of);
    expect(x.leased == y.leased && x.live == y.live && x.failed == y.failed && x.paused == y.paused, "the counts" + of);
    expect(x.partition_busy_ns == y.partition_busy_ns && x.trial_busy_ns == y.trial_busy_ns, "the busy times" + of);
    expect(x.begun == y.begun, "the states that forks began with" + of);
    expect(x.ended_best_first == y.ended_best_first, "the ranking" + of);
  }
  return found;
}

}  // namespace modelhop
