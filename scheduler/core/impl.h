#pragma once
// Core's inside. Three kinds of data, kept apart: `state` and `index` are written by apply() alone and are the same
// after replay; everything under "volatile" is lost in a crash and begin_serving() fills it anew. Files: apply*.cpp
// write; core.cpp drives a step; workers.cpp, reports.cpp, experiments.cpp handle events; assign.cpp, placement.cpp,
// retention.cpp, garbage.cpp, accounting.cpp decide; snapshot.cpp and invariants.cpp look.
#include <optional>

#include "common/base/marks.h"
#include "scheduler/core/core.h"
#include "scheduler/core/index.h"
#include "scheduler/core/mistakes.h"
#include "scheduler/core/spread.h"

namespace modelhop {

inline constexpr Instant kNever{INT64_MAX};
inline constexpr std::uint64_t kTrialsCreatedPerStepMax = 1024;  // of an experiment: bounds how long a step takes
inline constexpr std::uint32_t kUnreadableMax = 2;               // then a stored state is given up
inline constexpr std::int64_t kBackoffNs = kSecond;              // after a machine's fault; doubled by each in a row
inline constexpr std::int64_t kBackoffNsMax = 60 * kSecond;
inline constexpr std::uint64_t kUnitNsMax = 1ull << 58;  // 9 years: a worker's clock cannot overflow our sums

struct SlotLive {               // volatile side of a worker, [id - 1]
  Instant lost_at = kNever;     // present: without a message until then it is lost
  Instant replace_at = kNever;  // gone: its partitions are placed again then
  Instant since;                // its lease or its idleness began
  bool heard{};                 // in this boot; before that it may be gone, so it gets no lease
  Instant lease_expires;        // while leased
  Cursor progress;              // while leased
  std::uint64_t beats{};        // while leased
  Instant hangs_at = kNever;    // while leased: without another beat until then it hangs
};

struct ExperimentLive {      // volatile side of a live experiment
  Instant stop_at = kNever;  // time budget
  bool ask_search = true;    // something happened that its search may answer
  bool accounting{};         // its first lease was granted
  Instant started;
  std::uint64_t elapsed_before_ns{};          // of earlier boots
  LiveAccounting sums;                        // closed leases and idle time, up to Impl::now
  std::array<std::uint64_t, kCauses> idle{};  // slots idle now, by cause
  std::uint64_t slots_now{};
  std::vector<std::uint32_t> offsets;      // offset_order(P), made when first needed
  std::map<TrialId, Instant> backing_off;  // until then no worker gets it
};

struct Core::Impl {
  Impl(CoreConfig c, CoreHooks h) : config(c), hooks(std::move(h)) {}

  const CoreConfig config;
  const CoreHooks hooks;
  State state;
  Index index;

  // --- volatile ---
  Instant now;
  WallMs wall;
  Actions* out{};
  bool serving{}, draining{};
  std::string disk_full;          // not empty: no unit is leased until there is room
  bool dirty{};                   // a record or an event may have made work or a slot available
  bool place_dirty{};             // holders, workers or bound profiles changed
  Instant due = kNever;           // when the driver was asked to come back
  Instant settle_until = kNever;  // placing waits for workers_expected until then
  bool settled{};
  LiveCounts counts;                        // leases that ended, and idle time up to `now`
  CauseTimes idle_slots{};                  // free slots now, by cause: each once, however many experiments run
  std::uint64_t leases_since_boot{};        // for a planted mistake only
  std::vector<SlotLive> slots;              // [worker - 1]
  std::vector<ExperimentLive> experiments;  // [id - 1]
  std::shared_ptr<const Spec> fresh_spec;   // of the ExperimentCreated being applied: saves reading it back

  // --- apply*.cpp ---
  Status apply(const Record& record);
  Status on(const Booted& record, WallMs at);
  Status on(const WorkerJoined& record, WallMs at);
  Status on(const WorkerLeft& record, WallMs at);
  Status on(const WorkerAdmissionChanged& record, WallMs at);
  Status on(const DatasetRegistered& record, WallMs at);
  Status on(const PartitionPlaced& record, WallMs at);
  Status on(const PartitionDropped& record, WallMs at);
  Status on(const ExperimentCreated& record, WallMs at);
  Status on(const ExperimentStateChanged& record, WallMs at);
  Status on(const ExperimentChanged& record, WallMs at);
  Status on(const ExperimentLimitsChanged& record, WallMs at);
  Status on(const TrialCreated& record, WallMs at);
  Status on(const TrialForked& record, WallMs at);
  Status on(const TrialTargetChanged& record, WallMs at);
  Status on(const TrialEvaluated& record, WallMs at);
  Status on(const TrialPaused& record, WallMs at);
  Status on(const TrialResumed& record, WallMs at);
  Status on(const TrialEnded& record, WallMs at);
  Status on(const TrialRolledBack& record, WallMs at);
  Status on(const UnitLeased& record, WallMs at);
  Status on(const UnitFinished& record, WallMs at);
  Status on(const UnitYielded& record, WallMs at);
  Status on(const UnitReleased& record, WallMs at);
  Status on(const UnitParked& record, WallMs at);
  Status on(const UnitDiverged& record, WallMs at);
  Status on(const StateDurable& record, WallMs at);
  Status on(const StateDeleteIntended& record, WallMs at);
  Status on(const StateDeleted& record, WallMs at);

  ExperimentRow* find_experiment(ExperimentId id);
  const ExperimentRow* find_experiment(ExperimentId id) const;
  ExperimentIndex& index_of(ExperimentId id) { return index.experiments[id.value - 1]; }
  const ExperimentIndex& index_of(ExperimentId id) const { return index.experiments[id.value - 1]; }
  ExperimentLive& live_of(ExperimentId id) { return experiments[id.value - 1]; }
  WorkerRow& worker(WorkerId id) { return state.workers[id.value - 1]; }
  LeaseRow* find_open(ExperimentId experiment, UnitId unit, Token token);
  struct OpenUnit {
    ExperimentRow& row;
    TrialRow& trial;
    UnitRow& unit;
    LeaseRow& lease;
  };
  std::optional<OpenUnit> open_unit(ExperimentId experiment, UnitId unit, Token token);
  LeaseRow* open_lease(WorkerId worker);
  PartitionIndex next_partition(const ExperimentRow& experiment, const TrialRow& trial) const;
  // The lists of trials without a lease: out before, and in after what changes the trial's place in them.
  void unlist(ExperimentRow& experiment, const TrialRow& trial);
  void list(ExperimentRow& experiment, const TrialRow& trial);  // where it belongs, if it may run
  void close(ExperimentRow& experiment, LeaseRow& lease, LeaseOutcome outcome, WallMs at);
  // Of a lease with a result. REQUIRES: `trial` still has the head that the lease started from.
  void count_result(ExperimentRow& experiment, const TrialRow& trial, LeaseRow& lease, const UnitTimes& times,
                    HopPath path);
  void count_stored(const StateRef& state, std::uint64_t save_ns);
  void set_state(TrialRow& trial, TrialState to);
  void rank(ExperimentRow& experiment, const TrialRow& trial);  // among the ended ones
  void go_live(ExperimentId id);                                // into index.live, by priority
  void revive(ExperimentRow& experiment, TrialRow& trial);      // an ended trial goes on; its state is set after it

  // --- core.cpp ---
  template <class Body>
  void emit(Body body) {
    emit_record(RecordBody(std::move(body)));
  }
  void emit_record(RecordBody body);  // makes the record, applies it, hands it out. REQUIRES: it fits the state
  void send(const Incarnation& to, ToWorker message) { out->sends.push_back({to, std::move(message), 0}); }
  void reply(RequestId to, Status status, ExperimentId experiment, TrialId trial = {});
  void step(Instant at, WallMs wall_at, const Event& event, Actions& actions);
  Status begin_serving(std::uint64_t boot, Instant at, WallMs wall_at, Actions& actions);
  void settle();
  void finish_step(std::size_t first_send, std::size_t first_delete);
  Instant next_wake() const;
  void grow_live();  // sizes the volatile tables to the state's

  // --- events ---
  void handle(const Tick&) {}
  void handle(const CreateExperiment& event);
  void handle(const ControlExperiment& event);
  void handle(const ChangeExperiment& event);
  void handle(const ControlTrial& event);
  void handle(const ForkTrial& event);
  void handle(const ExtendExperiment& event);
  void handle(const ControlWorker& event);
  void handle(const WorkerHello& event);
  void handle(const Heartbeat& event);
  void handle(const UnitDone& event);
  void handle(const WorkerBye& event);
  void handle(const WorkerGone& event);
  void handle(const StateGone& event);
  void handle(const DiskSpace& event);
  void handle(const DrainAll& event);

  // --- workers.cpp ---
  WorkerRow* present(const Incarnation& incarnation);
  void heard(WorkerId id);
  void named(WorkerRow& row, const Progress& progress);  // by a heartbeat or a re-offer
  void ignore(Ignored reason) { ++counts.ignored[static_cast<std::size_t>(reason)]; }
  void ignore_lease(Token token) { ignore(token.boot < state.boot ? Ignored::kOldBoot : Ignored::kStaleToken); }
  std::optional<std::string> lost_tail(const WorkerHello& hello) const;  // what it knows and the journal does not
  void lose(WorkerRow& row, Fault fault, const std::string& reason);
  void excuse(std::int64_t ns);  // nobody could be heard for so long: it counts against no worker and no lease
  void expire();                 // leases, workers, budgets, timers whose time has come
  void send_places(const WorkerRow& row);
  void send_place(const WorkerRow& row, const std::string& dataset);
  bool rests(const ExperimentRow& experiment) const;  // it gets no lease, and those it has yield
  // Whether a lease shall end at its next batch, with the state reached.
  bool wants_yield(const ExperimentRow& experiment, const LeaseRow& lease) const;
  void yield_leases(const ExperimentRow& experiment);

  // --- reports.cpp ---
  Status check_report(const ExperimentRow& experiment, const LeaseRow& lease, const UnitReport& report) const;
  void finished(ExperimentRow& experiment, const LeaseRow& lease, const UnitReport& report);
  void evaluated(ExperimentRow& experiment, TrialRow& trial, const std::vector<Sum>& validation);
  // Ends a lease without a result, and what follows: restarts used up, unit parked. The slot is free after it.
  void release(ExperimentRow& experiment, const LeaseRow& lease, Fault fault, const std::string& detail);
  // A report of a lease that is not open: of news it can only have that a held state is durable. What to answer.
  bool late_report(const UnitReport& report);
  void back_off(ExperimentRow& experiment, const TrialRow& trial, std::uint32_t faults);
  // To the newest durable state before the head, or what it began with. It fails where that is gone too.
  void roll_back(ExperimentRow& experiment, TrialRow& trial, const std::string& reason);
  // The head was in the store, and cannot be read.
  void head_unreadable(ExperimentRow& experiment, TrialRow& trial, const std::string& detail);

  // --- experiments.cpp ---
  Status check_create(const CreateExperiment& event) const;
  Status key_used(const std::string& key, const KeyUse& use) const;  // for something else: kConflict
  std::uint64_t unfinished_max(const Spec& spec) const;              // trials at a time
  void ask_search(ExperimentRow& experiment);
  void finish_if_done(ExperimentRow& experiment);
  void end_trial(ExperimentRow& experiment, TrialRow& trial, TrialState how, const std::string& reason,
                 bool with_experiment = false);
  void end_experiment(ExperimentRow& experiment, ExperimentState how, TrialState trials, std::string reason);
  void stop(ExperimentRow& experiment, const std::string& reason);
  Status control(ExperimentRow& experiment, Control control);
  Status control(ExperimentRow& experiment, TrialRow& trial, TrialControl control);
  Status retry(ExperimentRow& experiment, TrialRow& trial);
  Status check_run_again(const ExperimentRow& experiment) const;
  void run_again(ExperimentRow& experiment, const std::string& reason);          // if it has ended
  bool can_go_on(const ExperimentRow& experiment, const TrialRow& trial) const;  // ended, from a state that is there
  void go_on(ExperimentRow& experiment, TrialRow& trial);  // from an older state where the head was not kept
  void stop_rules(ExperimentRow& experiment, TrialRow& trial);

  // --- fork.cpp ---
  // The trial that an event with this key made before. kConflict: the key was used for something else.
  Result<TrialId> forked_before(const ForkTrial& event, const ContentHash& request) const;
  Result<SavedState> fork_source(const ExperimentRow& experiment, const TrialRow& trial, const ForkTrial& event) const;
  Result<std::uint64_t> fork_target(const ExperimentRow& experiment, const TrialRow& trial, const ForkTrial& event,
                                    const Params& params, const StateRef& source) const;
  Result<TrialId> fork(const ForkTrial& event, const ContentHash& request);

  // --- extend.cpp ---
  Result<ExperimentLimitsChanged> new_limits(const ExperimentRow& experiment, const ExtendExperiment& event) const;
  Status extend(const ExtendExperiment& event);

  // --- assign.cpp ---
  void assign();
  struct Pick {
    ExperimentRow* experiment;
    TrialRow* trial;
  };
  Pick pick(const WorkerRow& row);
  bool may_run(const WorkerRow& row, const ExperimentRow& experiment) const;
  bool backs_off(const ExperimentRow& experiment, TrialId trial) const;
  bool has_state(const WorkerRow& row, const ExperimentRow& experiment, const TrialRow& trial) const;
  void grant(WorkerRow& row, ExperimentRow& experiment, TrialRow& trial);
  RunUnit run_unit(const ExperimentRow& experiment, const LeaseRow& lease) const;

  // --- placement.cpp ---
  void place();
  bool eligible(const WorkerRow& row) const;        // may hold partitions
  bool counts_as_slot(const WorkerRow& row) const;  // its time is accounted for
  bool place_dataset(const std::string& name);      // false: a move must wait for a lease
  bool drop_would_hurt(const std::string& dataset, PartitionIndex partition, const std::vector<WorkerId>& held,
                       const std::vector<WorkerId>& wanted);

  // --- retention.cpp ---
  const char* why_needed(const ExperimentRow& experiment, const TrialRow& trial, const StateRef& ref) const;
  void collect(ExperimentRow& experiment, TrialRow& trial);  // intends the deletion of states nothing needs
  void intend(ExperimentRow& experiment, const StateRef& state);

  // --- garbage.cpp ---
  Judgement judge(const StateName& name) const;

  // --- accounting.cpp ---
  void advance_accounts(Instant to);
  void count_idle();
  void account_lease(ExperimentRow& experiment, const LeaseRow& lease);
  void recover_account(ExperimentRow& experiment);
  void set_time_budget(const ExperimentRow& experiment);  // when what is left of it will be spent
  std::uint64_t bound_ns(const ExperimentRow& experiment) const;
  Cause idle_cause(const ExperimentRow& experiment) const;
  Cause slot_cause(const WorkerRow& row, const ExperimentRow& experiment) const;
  LiveAccounting accounting(ExperimentId id, Instant at) const;
  LiveCounts live_counts(Instant at) const;
  std::vector<SlotStatus> slot_statuses(Instant at) const;

  std::string snapshot() const;
  std::vector<std::string> check_invariants() const;

  // --- save.cpp ---
  std::vector<std::uint8_t> save() const;
  Status load(std::span<const std::uint8_t> bytes);
};

TrialRow* find_trial(ExperimentRow* experiment, TrialId id);  // null: none
// The search of an experiment, told all that its rows say it was told.
Result<std::unique_ptr<Search>> make_search(const CoreHooks& hooks, const ExperimentRow& experiment);
// Visits of a trial after which it is evaluated.
bool is_milestone(const Spec& spec, std::uint32_t partitions, const TrialRow& trial, std::uint64_t visits);
// Whether `state` can be what a lease on this trial's present visit ends with.
bool fits_finish(const ExperimentRow& experiment, const TrialRow& trial, const StateRef& state);
bool fits_yield(const ExperimentRow& experiment, const TrialRow& trial, const StateRef& state);
void add_stored(TrialRow& trial, SavedState saved);  // in its place
// Faults that are neither the trial's nor its parameters': they never count against it.
bool of_the_machine(Fault fault);

}  // namespace modelhop
