#pragma once
// One seed's life: the real Core and the real WorkerCore in virtual time, with a network, a journal that lags, a store,
// a client, and faults. Everything happens in one thread, in an order that depends on the seed alone.
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/base/rng.h"
#include "scheduler/sim/audit.h"
#include "scheduler/sim/plan.h"
#include "worker/core/worker_core.h"

namespace modelhop::sim {

enum class EventKind : std::uint8_t {
  kToScheduler,
  kToWorker,
  kSchedulerTick,
  kWorkerWake,
  kUnitEnd,
  kStateSaved,
  kCommit,
  kStateDeleted,
  kClient,
  kFault,
  kWorkerStart,
  kSchedulerStart,
  kGarbageListed,
  kGarbageDeleted,
};
inline constexpr std::size_t kEventKinds = 14;
const char* to_string(EventKind kind);

struct Outcome {
  std::uint64_t trace_hash{};
  std::uint64_t events{};
  std::array<std::uint64_t, kEventKinds> events_by_kind{};
  std::array<std::uint64_t, kFaultKinds> faults_by_kind{};
  std::array<std::uint64_t, std::variant_size_v<RecordBody>> records_by_type{};
  std::vector<Record> journal;
  std::vector<std::string> violations;  // of the first event that had any
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, bool trace) : Simulation(make_plan(seed), trace) {}
  Simulation(Plan plan, bool trace);
  Outcome run();

 private:
  struct Item {
    std::int64_t at_ns{};
    std::uint64_t order{};
    EventKind kind{};
    std::uint32_t target{}, life{};  // worker and its life, or the scheduler's life
    std::uint64_t payload{};
    bool operator>(const Item& other) const { return at_ns != other.at_ns ? at_ns > other.at_ns : order > other.order; }
  };
  struct Trainer {  // the thread of a worker that trains
    RunUnit run;
    Instant started;
    std::uint32_t from{}, until{}, all{};  // batches of the visit
    std::uint64_t generation{};
    bool busy{}, keep{true}, fault{}, dies{}, lost{}, hangs{};
  };
  struct Worker {
    std::uint32_t as{};    // whose name and machine it has: its own number, or that of the one it doubles
    std::uint32_t life{};  // 0: not running
    std::uint32_t lives{};
    bool gone_for_good{};
    Instant hung_until, deaf_until, mute_until;
    std::uint64_t dies_in{};  // actions: a kill between two of them
    std::int64_t down_ns{};
    std::optional<WorkerCore> core;
    Trainer trainer;
    Instant wake{INT64_MAX};                   // of the newest scheduled wake
    std::unordered_set<std::uint64_t> memory;  // states that are not yet in the store, by store_key()
    std::int64_t saved_at_ns{};                // of the newest: they are saved one after another
  };

  // simulation.cpp
  void at(std::int64_t delay_ns, EventKind kind, std::uint32_t target = 0, std::uint32_t life = 0,
          std::uint64_t payload = 0);
  void handle(const Item& item);
  void check();
  bool over() const;
  std::uint64_t draw(std::uint64_t low, std::uint64_t high) { return low + rng_.below(high - low + 1); }
  bool permille(std::uint32_t p) { return p > 0 && faulty() && rng_.below(1000) < p; }
  bool faulty() const { return now_.ns <= plan_.horizon_ns; }
  void count(FaultKind kind) { ++outcome_.faults_by_kind[static_cast<std::size_t>(kind)]; }
  // Ended by its experiment's end alone: one that a rule or its search stopped would go on past where it ends alone.
  static bool broken_off_with(const ExperimentRow& row, const TrialRow& trial) {
    const bool ended = trial.state == TrialState::kStopped || trial.state == TrialState::kCanceled;
    return ended && trial.reason == row.reason && trial.visits < trial.target_visits;
  }
  bool wants_retry(std::size_t experiment) const;
  void mix_trace(std::uint64_t value);
  void say(const std::string& line) const;
  void inject(const PlannedFault& fault);
  void inject_into_worker(const PlannedFault& fault);
  WallMs wall() const { return {now_.ns / kMillisecond + wall_offset_ms_}; }
  bool damage_a_state();

  // network.cpp
  std::int64_t latency(bool& lost, bool& doubled);
  void to_scheduler(std::uint32_t from, const ToScheduler& message);
  void to_worker(const Incarnation& to, const ToWorker& message);
  void deliver_to_scheduler(const ToScheduler& message);

  // scheduler_node.cpp
  CoreHooks hooks();
  void start_scheduler();
  void crash_scheduler(std::int64_t down_ns);
  bool killed_between();  // its next action is not done
  void step_scheduler(const Event& event);
  void take(Actions& actions);
  void check_in_store(const StateRef& state);
  void commit_if_idle();
  void committed(std::uint64_t seq);
  void client(std::uint64_t what);
  void retry_something(std::size_t experiment);
  void fork_and_extend();
  bool control_something();  // false: all is as the client wants it
  std::unique_ptr<Core> replay(std::size_t snapshot_at, std::vector<std::uint8_t>& snapshot);
  std::unique_ptr<Core> restore(std::size_t snapshot_at, const std::vector<std::uint8_t>& snapshot);
  void check_replay();

  // garbage_node.cpp
  void list_garbage();
  void garbage_listed(std::uint64_t pass);   // judged as the scheduler knows it now
  void garbage_deleted(std::uint64_t pass);  // the next few
  void delete_garbage_once_durable();
  void check_stored();  // all that the journal says is in the store is there
  void check_store_at_end();
  void put_into_store(const StateRef& state);

  // worker_node.cpp
  void start_worker(std::uint32_t index);
  void kill_worker(std::uint32_t index, std::int64_t down_ns, bool told);
  void step_worker(std::uint32_t index, const WorkerEvent& event);
  void start_unit(std::uint32_t index, const RunUnit& run);
  void stop_unit(std::uint32_t index, const StopUnit& stop);
  void end_unit(std::uint32_t index);
  void schedule_end(std::uint32_t index);
  void save(std::uint32_t index, const StateRef& state, Token token);
  void saved(std::uint32_t index, std::uint64_t payload);
  Incarnation incarnation(std::uint32_t index) const;

  const Plan plan_;
  const bool trace_;
  KeyedRng rng_;
  Auditor auditor_;
  Outcome outcome_;
  Instant now_{kSecond};
  std::uint64_t order_{}, steps_{};
  std::priority_queue<Item, std::vector<Item>, std::greater<>> queue_;
  std::vector<ToScheduler> up_;  // messages on the way, by payload
  std::vector<ToWorker> down_;
  std::vector<std::uint64_t> up_free_, down_free_;

  std::unique_ptr<Core> core_;  // null: the scheduler is down
  std::uint32_t scheduler_life_{};
  std::uint64_t boot_{};  // the store's fence
  std::optional<Instant> core_wake_;
  Instant tick_at_{INT64_MAX};  // of the newest scheduled tick
  std::vector<Record> journal_;
  std::uint64_t durable_seq_{}, committing_seq_{};
  std::deque<Send> outbox_;
  std::deque<DeleteState> delete_box_;
  std::vector<StateRef> deleting_;
  Instant slow_disk_until_, slow_store_until_;
  Instant scheduler_hung_until_;
  std::uint64_t dies_in_{};  // actions: a kill between two of them
  std::int64_t down_ns_{};
  std::int64_t wall_offset_ms_{1'000'000'000};
  bool draining_{};
  bool stop_wanted_[2]{}, cancel_wanted_[2]{}, retried_[2]{};
  Instant pause_until_[2]{};  // the client wants it paused until then
  struct Wanted {             // paused or drained, by number, until then
    std::uint32_t number{};
    Instant until;
  };
  std::vector<Wanted> trials_paused_, workers_drained_;
  bool created_[2]{};
  bool extend_wanted_[2]{};
  struct WantedFork {
    ExperimentId experiment;
    std::uint64_t trial{}, number{};
  };
  std::vector<WantedFork> forks_wanted_;  // until they are answered
  std::uint64_t forks_{};

  std::vector<Worker> workers_;
  std::map<std::uint64_t, StateRef> store_;    // by store_key()
  std::unordered_set<std::uint64_t> damaged_;  // likewise: what was in the store, and cannot be read
  struct Garbage {                             // one pass of gc
    std::vector<StateRef> states;              // listed, then those to delete
    std::uint32_t life{};                      // the scheduler's
    std::uint64_t after_seq{};
    bool judged{}, deleting{};
  };
  std::vector<Garbage> garbage_;
  struct Saving {
    StateRef state;
    Token token;
    std::int64_t lasts_ns{};
  };
  std::vector<Saving> saving_;
};

}  // namespace modelhop::sim
