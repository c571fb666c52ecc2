#pragma once
// What apply() keeps beside the state so that decisions need no walk. But for the totals, which add up what deleted
// experiments took with them, it is a pure function of the state: build_index() is that function, and the simulator
// compares the two.
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/totals.h"

namespace modelhop {

// A trial without a lease, in the order free workers take them: those whose unit was interrupted first, since a trial
// that is ahead of the others would else wait for them too; then the longest remaining work; ties by id.
struct WaitingTrial {
  bool interrupted{};
  std::uint64_t remaining{};
  TrialId trial;
  bool operator<(const WaitingTrial& other) const {
    if (interrupted != other.interrupted) return interrupted;
    return remaining != other.remaining ? remaining > other.remaining : trial < other.trial;
  }
  bool operator==(const WaitingTrial&) const = default;
};
inline WaitingTrial waiting_trial(const TrialRow& trial) {
  return {static_cast<bool>(trial.unit), trial.target_visits - trial.visits, trial.id};
}

struct SlotIndex {                                   // one a worker
  ExperimentId experiment;                           // of its open lease; 0: free
  std::size_t lease{};                               // index in ExperimentRow::leases
  std::set<std::pair<ExperimentId, TrialId>> holds;  // trials with states that only this worker's memory has
  bool operator==(const SlotIndex&) const = default;
};

struct DatasetIndex {
  std::vector<std::vector<PartitionIndex>> held;  // by worker [id - 1], ascending
};

struct ExperimentIndex {
  std::vector<std::set<WaitingTrial>> waiting;  // by next partition; any holder may take these
  std::uint64_t waiting_count{}, leased{}, live{}, failed{};
  std::uint64_t paused{};  // trials
  std::uint64_t saving{};  // live trials without a lease whose head is not yet durable: only its holder may take them
  std::vector<std::uint64_t> partition_busy_ns, trial_busy_ns;  // of results that count
  std::map<StateRef, std::uint64_t> begun;  // states of others that live trials began with, and how many did
  std::vector<TrialId> ended_best_first;    // ended trials with a counted milestone, by its value, then id
  DatasetIndex* dataset{};                  // owned by Index::datasets, whose nodes stay
};

inline void add_begun(ExperimentIndex& index, const TrialRow& trial) {
  if (is_fork(trial)) ++index.begun[trial.begin];
}
inline void remove_begun(ExperimentIndex& index, const TrialRow& trial) {
  if (is_fork(trial) && --index.begun[trial.begin] == 0) index.begun.erase(trial.begin);
}

struct KeyUse {  // what a request with an idempotency key made
  ExperimentId experiment;
  TrialId trial;  // none: the experiment
  bool operator==(const KeyUse&) const = default;
};

struct Index {
  Totals totals;
  std::vector<SlotIndex> slots;              // [worker - 1]
  std::vector<ExperimentIndex> experiments;  // [id - 1]
  std::vector<ExperimentId> live;            // not ended; by priority, then ascending
  std::map<std::string, DatasetIndex> datasets;
  std::map<std::string, KeyUse> keys;  // idempotency
  std::map<std::string, WorkerId> workers_by_name;
  std::map<Incarnation, WorkerId> incarnations;  // of present workers
};

// Without totals. REQUIRES: check_rows(state) is ok.
void build_index(const State& state, Index& index);
// What differs, but for the totals; empty: nothing.
std::vector<std::string> differences(const Index& a, const Index& b);

}  // namespace modelhop
