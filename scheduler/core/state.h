#pragma once
// The durable state: what the journal's records add up to. Read by search, views and tests; written by
// Core::apply(record) alone.
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/spec/spec.h"
#include "common/wire/records.h"
#include "search/seam/search.h"

namespace modelhop {

// Why a slot-second was spent. The first five are busy. INTERFACES: modelhop_slot_seconds_total{cause}.
enum class Cause : std::uint8_t {
  kTrain,
  kEvaluate,
  kHop,
  kLoad,
  kSave,
  kConflict,  // every waiting trial's next partition is elsewhere
  kSearch,    // waits for a decision or an open rung
  kLimit,     // max_concurrent_trials, priority, disk reserve
  kPaused,
  kProfile,
  kTail,     // tail: fewer trials left than slots
  kFailure,  // time of leases that ended without a result, and of slots whose worker is gone
};
inline constexpr std::size_t kCauses = 12;
const char* to_string(Cause cause);
using CauseTimes = std::array<std::uint64_t, kCauses>;  // nanoseconds

struct WorkerRow {
  WorkerId id;
  std::string name;
  bool present{};           // has an incarnation that may hold leases
  Incarnation incarnation;  // the newest
  ContentHash profile;
  std::string device;
  std::uint32_t threads{};
  std::uint64_t memory_bytes{};
  WallMs joined_at, left_at;
  std::string left_reason;
  Admission admission{};
  std::vector<Incarnation> former;  // superseded ones, newest last, at most kFormerIncarnationsMax: never let in again
  ExperimentId last_experiment;     // of the trial it ran last; none once that is deleted
  TrialId last_trial;
};

inline constexpr std::size_t kFormerIncarnationsMax =
    8;  // two processes of one name: the older exits, so few are alive

struct DatasetRow {
  DatasetRegistered info;
  std::vector<std::vector<WorkerId>> holders;  // by partition, ascending
};

enum class UnitState : std::uint8_t { kWaiting, kLeased, kDone, kParked, kLost };
enum class LeaseOutcome : std::uint8_t { kOpen, kFinished, kYielded, kReleased, kLost };  // lost: finished in vain

struct LeaseRow {  // one attempt: a bar of the Gantt
  UnitId unit;
  TrialId trial;
  Token token;
  WorkerId worker;
  Incarnation incarnation;
  std::uint64_t visit{};
  PartitionIndex partition;
  bool then_evaluate{};
  WallMs from, to;  // to = 0 while open
  LeaseOutcome outcome{};
  Fault fault{};
  std::string detail;  // of a release
  UnitTimes times;
  HopPath path{};
};

struct UnitRow {  // one visit of one trial; exists from its first lease on
  UnitId id;
  TrialId trial;
  std::uint64_t visit{};
  UnitState state{};
  std::size_t lease{};  // index of the newest in ExperimentRow::leases
  std::uint32_t worker_deaths{};
  std::uint32_t faults{};          // of the user's making
  std::uint32_t machine_faults{};  // of a worker, its disk or the store; they count against nobody
  bool diverged{};                 // made again after a loss, it gave another state than before
};

// A state that a trial can go on from, with the training sums that belong to it.
struct SavedState {
  StateRef ref;
  std::vector<Sum> since_milestone;  // of complete visits
  std::vector<Sum> visit;            // of the batches before ref.at.batch
};

// Three facts about a state. Accepted: a unit_finished or unit_yielded names it. Held: its worker has it in memory.
// Durable: it is in the store. An accepted state is held from its unit's end until it is durable, or lost with its
// worker.
struct HeldState {
  SavedState saved;
  WorkerId worker;
  Incarnation incarnation;
  std::uint64_t work_ns{};  // what its loss costs, beside that of the one before
};

struct Milestone {
  std::uint64_t visits{};
  double value{};
  std::vector<Sum> validation, train;
  StateRef state;
  WallMs at;
  std::uint64_t seq{};  // of the record that made it
};

struct TrialRow {
  TrialId id;
  std::uint64_t created_seq{}, ended_seq{};  // of the records; a search is fed anew in their order
  Params params;
  std::uint32_t params_revision{};  // grows when a fork changes them
  std::string origin;
  bool asked{};                 // for by somebody: its search knows nothing of it
  std::string idempotency_key;  // of that request, and its hash
  ContentHash request;
  std::uint32_t offset{};
  std::uint64_t target_visits{};
  bool went_on{};  // past an end: a last visit of before stays a milestone, and the state behind its value may be gone
  TrialState state{};
  std::string reason;
  bool ended_with_experiment{};  // not by anything of its own
  StateRef begin;                // no hash: the initial state, made from the seed. A fork's is another trial's
  std::uint32_t fork_lineage{};  // its own states before this lineage are of before the fork
  std::uint64_t first_visit{};   // visits before are not its own: its source made them
  StateRef head;                 // the newest accepted state; `begin` where there is none
  std::uint64_t visits{};        // completed
  UnitId unit;                   // the unit of the current visit, once leased; none between units
  std::uint32_t lineage{};       // of the states it makes
  std::uint32_t restarts{};
  std::uint32_t unreadable{};  // times that a worker could not read the head
  std::vector<Milestone> milestones;
  std::vector<Sum> train_since_milestone;  // of complete visits
  std::vector<Sum> visit_sums;             // of the batches before head.at.batch
  std::vector<SavedState> stored;          // durable, by position: the head, and those the policy keeps
  std::vector<HeldState> held;             // not yet durable, oldest first
  std::vector<StateRef> lost;              // accepted once and lost: made again, they must be the same
  WallMs created_at, started_at, ended_at;
};

struct Downtime {
  WallMs from, to;
};

struct ExperimentRow {
  ExperimentId id;
  std::shared_ptr<const Spec> spec;
  std::string spec_sent, dataset, idempotency_key;
  std::string name, notes;  // the spec's, until they are changed
  std::vector<std::string> labels;
  std::uint32_t priority{};
  ContentHash dataset_identity;
  ContentHash profile;  // numeric profile of its first lease: every later one must match
  std::uint32_t partitions{};
  ExperimentState state{};
  std::string reason;
  std::vector<TrialRow> trials;    // [id - 1]; deleted experiments have none
  std::vector<UnitRow> units;      // [id - 1]
  std::vector<LeaseRow> leases;    // by time
  std::vector<StateRef> deleting;  // deletion intended, not yet done
  std::unique_ptr<Search> search;
  bool search_done{};  // what the search said last; asked again at boot, so not recorded
  WallMs created_at, started_at, ended_at;
  std::map<std::string, std::uint64_t> slot_ms;  // final accounting, once ended
  std::uint64_t bound_ms{};
  std::vector<Downtime> rests;  // paused, or ended before a trial was retried: they count against no time budget
  WallMs resting_since;         // 0: it does not rest
  bool ended() const { return state >= ExperimentState::kCompleted; }
};

struct Boot {  // a start of the scheduler on this journal
  std::uint64_t boot{};
  std::uint64_t seq{};  // of its record: what earlier boots recorded ends before it
  bool accept_lost_tail{};
};

struct State {
  std::uint64_t seq{};  // of the last record
  WallMs at;            // its time
  std::uint64_t boot{};
  std::uint64_t cluster{};         // the boot that began this journal: no other journal of the store has it
  std::vector<Boot> boots;         // by boot
  std::vector<Downtime> down;      // nobody served the journal: from its last record to the next boot; by time
  Token token;                     // the newest granted
  std::vector<WorkerRow> workers;  // [id - 1]
  std::map<std::string, DatasetRow> datasets;
  std::vector<ExperimentRow> experiments;  // [id - 1]; deleted ones stay as a husk
};

inline bool live(TrialState state) { return state <= TrialState::kPaused; }  // it may still make visits
// Without a lease, and with a visit to make.
bool may_wait(const ExperimentRow& experiment, const TrialRow& trial);
inline std::uint64_t visits_of(const ExperimentRow& experiment, const StateRef& state) {
  return std::uint64_t{state.at.epoch} * experiment.partitions + state.at.visit;
}
// Whether it begins with a state of another trial, which that one keeps in the store as long as this one lives.
inline bool is_fork(const TrialRow& trial) { return trial.begin.trial != trial.id; }
// Whether the trial can read the state from the store.
bool is_durable(const TrialRow& trial, const StateRef& ref);
// Whether the head is only in the memory of this worker.
bool head_held_by(const TrialRow& trial, const Incarnation& incarnation);
// Whether any worker or the store has the head: a trial that has no state yet has nothing to lose.
bool head_is_kept(const TrialRow& trial);
// The newest durable state before the head, or what it began with: what a rollback goes to.
StateRef newest_before_head(const TrialRow& trial);
// Whether the store still has what it begins with: always, but for a fork's.
bool begin_is_kept(const ExperimentRow& experiment, const TrialRow& trial);
// Work that would have to be done again if every worker and the scheduler went down now.
std::uint64_t work_at_risk_ns(const TrialRow& trial);
// The time between the two in which a scheduler served the journal.
std::uint64_t served_ms(const State& state, WallMs from, WallMs to);
// Of an experiment's time budget.
std::uint64_t spent_ms(const State& state, const ExperimentRow& experiment);
// The value of "val_accuracy", "train_loss", ... from a milestone's sums; NaN where it has none.
double metric_value(const Milestone& milestone, const std::string& metric);
// Whether `a` is better than `b`: larger or smaller, as the spec's goal says. NaN is never better.
bool better(const Spec& spec, double a, double b);
// The trial with the best value by the spec's metric and scope among those with a milestone; ties to the smaller id.
const TrialRow* best_trial(const ExperimentRow& experiment);
// Its best or last milestone, as metric_scope says. Null: none.
const Milestone* counted_milestone(const Spec& spec, const TrialRow& trial);

}  // namespace modelhop
