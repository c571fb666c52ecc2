// Walks the whole state after each step of every test and simulation. Cheap: it is most of what a simulator does.
#include <algorithm>
#include <set>

#include "scheduler/core/impl.h"
#include "scheduler/core/tables.h"

namespace modelhop {
namespace {

class Checker {
 public:
  explicit Checker(const Core::Impl& impl) : impl_(impl) {}
  std::vector<std::string> run();

 private:
  // Says what is wrong only when it is: the message is a function.
  template <class Message>
  void expect(bool holds, Message message) {
    if (!holds) broken_.push_back(message());
  }
  void workers();
  void holders();
  void experiment(const ExperimentRow& row);
  void leases(const ExperimentRow& row);
  void trial(const ExperimentRow& row, const TrialRow& trial);
  void waiting(const ExperimentRow& row);
  void accounts();

  const Core::Impl& impl_;
  const State& state_ = impl_.state;
  const Index& index_ = impl_.index;
  std::vector<std::string> broken_;
  std::size_t open_leases_{};
  std::vector<std::uint64_t> finished_;  // visits finished, by trial
  std::uint64_t store_bytes_{};
  std::size_t holds_{};  // pairs of a trial and a worker that holds states of it
  std::array<std::uint64_t, kTrialStates> trials_{};
};

std::vector<std::string> Checker::run() {
  workers();
  holders();
  std::size_t live_experiments = 0;
  for (const ExperimentRow& row : state_.experiments) {
    experiment(row);
    live_experiments += row.ended() ? 0 : 1;
  }
  expect(live_experiments == index_.live.size(), [] { return "the list of live experiments is wrong"; });
  const auto leased = static_cast<std::size_t>(std::count_if(
      index_.slots.begin(), index_.slots.end(), [](const SlotIndex& s) { return s.experiment.value != 0; }));
  expect(leased == open_leases_,
         [&] { return std::to_string(open_leases_) + " open leases on " + std::to_string(leased) + " slots"; });
  std::size_t holds = 0;
  for (const SlotIndex& slot : index_.slots) holds += slot.holds.size();
  expect(holds == holds_, [] { return "a worker is said to hold what it does not"; });
  expect(store_bytes_ == index_.totals.store_bytes, [&] {
    return "the store's states are " + std::to_string(store_bytes_) + " bytes, counted " +
           std::to_string(index_.totals.store_bytes);
  });
  expect(trials_ == index_.totals.trials, [] { return "the totals count trials wrong"; });
  accounts();
  return std::move(broken_);
}

void Checker::workers() {
  expect(index_.slots.size() == state_.workers.size(), [] { return "a worker has no slot"; });
  std::size_t present = 0;
  for (const WorkerRow& row : state_.workers) {
    if (!row.present) continue;
    ++present;
    const auto found = index_.incarnations.find(row.incarnation);
    expect(found != index_.incarnations.end() && found->second == row.id,
           [&] { return row.name + " is not found by its incarnation"; });
  }
  expect(present == index_.incarnations.size(), [] { return "an absent worker is found by its incarnation"; });
}

void Checker::holders() {
  for (const auto& entry : state_.datasets) {
    const std::string& name = entry.first;
    const DatasetRow& row = entry.second;
    const auto& held = index_.datasets.find(name)->second.held;
    std::size_t holds = 0, listed = 0;
    for (std::uint32_t p = 0; p < row.holders.size(); ++p) {
      const auto& here = row.holders[p];
      holds += here.size();
      expect(std::is_sorted(here.begin(), here.end()), [&] { return "the holders in " + name + " are out of order"; });
      for (const WorkerId id : here) {
        expect(id.value - 1 < held.size() &&
                   std::binary_search(held[id.value - 1].begin(), held[id.value - 1].end(), PartitionIndex{p}),
               [&] { return "partition " + std::to_string(p) + " of " + name + " is not in its holder's list"; });
      }
    }
    for (const auto& list : held) listed += list.size();
    expect(holds == listed, [&] { return "a worker's list in " + name + " has what it does not hold"; });
  }
}

void Checker::experiment(const ExperimentRow& row) {
  const ExperimentIndex& ix = impl_.index_of(row.id);
  std::uint64_t live_trials = 0, failed = 0;
  leases(row);
  for (const StateRef& state : row.deleting) store_bytes_ += state.size_bytes;
  for (const TrialRow& one : row.trials) {
    ++trials_[static_cast<std::size_t>(one.state)];
    for (const SavedState& saved : one.stored) store_bytes_ += saved.ref.size_bytes;
    std::set<WorkerId> holders;
    for (const HeldState& held : one.held) holders.insert(held.worker);
    holds_ += holders.size();
    live_trials += live(one.state) ? 1 : 0;
    failed += one.state == TrialState::kFailed || one.state == TrialState::kInvalid;
    trial(row, one);
  }
  expect(row.state == ExperimentState::kDeleted || live_trials == ix.live,
         [&] { return to_string(row.id) + " counts its live trials wrong"; });
  expect(row.state == ExperimentState::kDeleted || failed == ix.failed,
         [&] { return to_string(row.id) + " counts its failed trials wrong"; });
  expect(!row.ended() || (live_trials == 0 && ix.leased == 0),
         [&] { return to_string(row.id) + " has ended with live trials or leases"; });
  if (!row.ended()) waiting(row);
}

// Every lease: one open a unit, tokens growing; finished ones counted once and in order.
void Checker::leases(const ExperimentRow& row) {
  finished_.clear();
  for (const TrialRow& trial : row.trials) finished_.push_back(trial.first_visit);
  Token last;
  std::uint64_t open = 0;
  for (std::size_t i = 0; i < row.leases.size(); ++i) {
    const LeaseRow& lease = row.leases[i];
    const auto name = [&] { return to_string(row.id, lease.unit) + " token " + to_string(lease.token); };
    expect(last < lease.token, [&] { return name() + " is not above the token before"; });
    last = lease.token;
    const UnitRow& unit = row.units[lease.unit.value - 1];
    const TrialRow& trial = row.trials[lease.trial.value - 1];
    expect(unit.trial == lease.trial && unit.visit == lease.visit, [&] { return name() + " is of another unit"; });
    expect(lease.partition.value == (trial.offset + lease.visit % row.partitions) % row.partitions, [&] {
      return name() + " makes visit " + std::to_string(lease.visit) + " at partition " +
             std::to_string(lease.partition.value);
    });
    expect(lease.outcome != LeaseOutcome::kLost || unit.state == UnitState::kLost,
           [&] { return name() + " was lost, its unit was not"; });
    if (lease.outcome == LeaseOutcome::kFinished) {
      expect(finished_[lease.trial.value - 1] == lease.visit && unit.state == UnitState::kDone && unit.lease == i,
             [&] { return name() + " counts visit " + std::to_string(lease.visit) + " twice or out of order"; });
      ++finished_[lease.trial.value - 1];
    }
    if (lease.outcome != LeaseOutcome::kOpen) continue;
    ++open;
    const std::size_t place = lease.worker.value - std::size_t{1};
    const SlotIndex& slot = index_.slots[place];
    expect(unit.state == UnitState::kLeased && unit.lease == i && trial.unit == lease.unit && live(trial.state),
           [&] { return name() + " is open, but not its unit's current lease"; });
    expect(slot.experiment == row.id && slot.lease == i,
           [&] { return name() + " is open, but not in its worker's slot"; });
    expect(state_.workers[place].present && state_.workers[place].incarnation == lease.incarnation,
           [&] { return name() + " is open, but its worker is gone"; });
    const auto& here = state_.datasets.find(row.dataset)->second.holders[lease.partition.value];
    expect(std::binary_search(here.begin(), here.end(), lease.worker),
           [&] { return name() + " runs where its partition is not held"; });
    expect(row.spec->reproducibility != Reproducibility::kRerun || state_.workers[place].profile == row.profile,
           [&] { return name() + " runs under another numeric profile"; });
  }
  open_leases_ += open;
  expect(open == impl_.index_of(row.id).leased, [&] { return to_string(row.id) + " counts its open leases wrong"; });
  expect(last <= state_.token, [&] { return to_string(row.id) + " has a token above the newest"; });
}

void Checker::trial(const ExperimentRow& row, const TrialRow& trial) {
  const auto name = [&] { return to_string(row.id, trial.id); };
  expect(trial.visits == finished_[trial.id.value - 1] && trial.visits <= trial.target_visits, [&] {
    return name() + " counts " + std::to_string(trial.visits) + " visits, finished " +
           std::to_string(finished_[trial.id.value - 1]);
  });
  expect(std::uint64_t{trial.head.at.epoch} * row.partitions + trial.head.at.visit == trial.visits,
         [&] { return name() + " has a head of another visit than its " + std::to_string(trial.visits); });
  expect(trial.head == trial.begin || trial.head.trial == trial.id, [&] { return name() + " has another's head"; });
  expect(trial.state != TrialState::kCompleted || trial.visits == trial.target_visits,
         [&] { return name() + " is completed too early"; });
  expect(trial.milestones.empty() || trial.milestones.back().visits <= trial.visits || trial.lineage > 0,
         [&] { return name() + " has a milestone ahead of it"; });
  const std::uint64_t every = std::max<std::uint64_t>(row.spec->evaluate_every, 1) * row.partitions;
  // A milestone counts once: what is lost after it does not take it back.
  const std::uint64_t reached = std::max(trial.visits, trial.milestones.empty() ? 0 : trial.milestones.back().visits);
  const std::uint64_t due = reached / every - trial.first_visit / every;
  const auto whole = static_cast<std::uint64_t>(std::count_if(
      trial.milestones.begin(), trial.milestones.end(), [&](const Milestone& m) { return m.visits % every == 0; }));
  // The last visit is one, whatever it is; it stays one when the target is raised.
  const bool last = reached != trial.target_visits || reached == trial.first_visit ||
                    (!trial.milestones.empty() && trial.milestones.back().visits == reached);
  const bool odd = std::all_of(trial.milestones.begin(), trial.milestones.end(), [&](const Milestone& m) {
    return m.visits % every == 0 || m.visits == trial.target_visits || trial.went_on;
  });
  expect(whole == due && last && odd, [&] {
    return name() + " has " + std::to_string(trial.milestones.size()) + " milestones after " +
           std::to_string(trial.visits) + " visits";
  });
  for (const HeldState& held : trial.held) {
    const WorkerRow& holder = state_.workers[held.worker.value - 1];
    expect(holder.present && holder.incarnation == held.incarnation &&
               index_.slots[held.worker.value - 1].holds.contains({row.id, trial.id}),
           [&] { return name() + " has a state in the memory of a worker that is gone"; });
    expect(!is_durable(trial, held.saved.ref), [&] { return name() + " has a state both held and durable"; });
  }
  expect(std::is_sorted(trial.stored.begin(), trial.stored.end(),
                        [](const SavedState& a, const SavedState& b) { return a.ref.at < b.ref.at; }),
         [&] { return name() + " has its stored states out of order"; });
  for (const SavedState& saved : trial.stored) {
    expect(impl_.why_needed(row, trial, saved.ref) != nullptr || !impl_.serving,
           [&] { return name() + " keeps a state that nothing needs"; });
  }
  if (live(trial.state)) {
    expect(head_is_kept(trial), [&] { return name() + " goes on from a state that nobody has"; });
    expect(trial.head != trial.begin || begin_is_kept(row, trial),
           [&] { return name() + " lost what it begins with"; });
    const Milestone* counted = counted_milestone(*row.spec, trial);
    const auto remade = [&](const StateRef& lost) { return lost.at == counted->state.at; };
    expect(counted == nullptr || is_durable(trial, counted->state) || trial.lineage > 0 || trial.went_on ||
               std::any_of(trial.lost.begin(), trial.lost.end(), remade),
           [&] { return name() + " lost the state behind its value"; });
  }
}

void Checker::waiting(const ExperimentRow& row) {
  const ExperimentIndex& ix = impl_.index_of(row.id);
  std::uint64_t count = 0, saving = 0;
  for (const TrialRow& trial : row.trials) {
    if (!may_wait(row, trial)) continue;
    if (trial.head.hash && !is_durable(trial, trial.head)) {
      ++saving;
      continue;
    }
    ++count;
    const auto& here = ix.waiting[(trial.offset + trial.visits % row.partitions) % row.partitions];
    expect(here.contains(waiting_trial(trial)), [&] { return to_string(row.id, trial.id) + " waits in no list"; });
  }
  std::uint64_t listed = 0;
  for (const auto& list : ix.waiting) listed += list.size();
  expect(saving == ix.saving, [&] { return to_string(row.id) + " counts the trials that wait for the store wrong"; });
  expect(listed == count && count == ix.waiting_count,
         [&] { return to_string(row.id) + " lists trials that do not wait"; });
}

void Checker::accounts() {
  if (!impl_.serving) return;
  for (const ExperimentId id : index_.live) {
    const ExperimentLive& account = impl_.experiments[id.value - 1];
    if (!account.accounting) continue;
    std::uint64_t sum = 0;
    for (const std::uint64_t ns : account.sums.slot_ns) sum += ns;
    for (std::size_t i = 0; i < impl_.slots.size(); ++i) {
      if (index_.slots[i].experiment == id) sum += static_cast<std::uint64_t>(impl_.now - impl_.slots[i].since);
    }
    expect(sum == account.sums.slot_time_ns, [&] {
      return to_string(id) + " accounts for " + std::to_string(sum) + " ns of " +
             std::to_string(account.sums.slot_time_ns);
    });
  }
}

}  // namespace

std::vector<std::string> Core::Impl::check_invariants() const { return Checker(*this).run(); }

}  // namespace modelhop
