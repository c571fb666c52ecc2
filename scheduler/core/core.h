#pragma once
// Core: the scheduler's state machine. Pure: reads no clock, file, socket or environment and starts no thread.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/state_name.h"
#include "common/spec/change.h"
#include "scheduler/core/events.h"
#include "scheduler/core/state.h"
#include "scheduler/core/totals.h"

namespace modelhop {

struct CoreConfig {
  // Twenty of them fit into worker_lost_ms: with every fifth message lost, all of them are once in 10^14 times.
  std::uint32_t heartbeat_ms{500};
  std::uint32_t lease_ttl_ms{15'000};      // without a heartbeat that names the unit
  std::uint32_t stall_ms{600'000};         // a unit without a batch or a stage done for so long hangs
  std::uint32_t worker_lost_ms{10'000};    // without any message; its leases are then released
  std::uint32_t replace_after_ms{10'000};  // without any message; its partitions are then placed on others
  std::uint32_t workers_expected{1};       // placing waits for so many, at most settle_ms
  std::uint32_t settle_ms{5'000};
  std::uint32_t replicas{1};
  std::uint32_t unit_worker_deaths_max{3};  // then the unit is parked
  bool accept_lost_tail{};                  // serve though a worker was told of records that the journal has not
};

// How a recorded spec becomes a Spec and its Search, and what of it may change. Tests and the simulator put cheap ones
// here.
struct CoreHooks {
  std::function<Result<std::shared_ptr<const Spec>>(std::string_view expanded)> load_spec;
  std::function<Result<std::unique_ptr<Search>>(std::shared_ptr<const Spec> spec, std::uint64_t partitions)>
      make_search;
  std::function<std::string(const Spec& spec, const Params& params)> recipe;  // of one trial, as its workers get it
  // common/spec/change.h
  std::function<Result<std::shared_ptr<const Spec>>(const Spec& spec, const SpecLimits& limits)> with_limits;
  std::function<std::string(const Spec& spec, const Params* trial)> horizon_schedule;
  std::function<Result<Params>(const Spec& spec, const Params& source, const Params& set)> fork_params;
  // The most trials that the spec's search makes.
  std::function<Result<std::uint64_t>(const Spec& spec, std::uint64_t partitions)> trials_max;
};
CoreHooks default_hooks();  // restore_spec(), find_search(spec.algorithm), recipe_json(), ...

// What one experiment's slots did so far, live. slot_ns sums to slot_time_ns; an open lease counts as train.
struct LiveAccounting {
  CauseTimes slot_ns{};
  std::uint64_t slot_time_ns{};  // slots x time
  std::uint64_t elapsed_ns{};    // since the first lease
  std::uint64_t bound_ns{};      // max(most loaded worker, longest trial), from measured units
};

// What becomes of a state that lies in the store.
struct Judgement {
  bool keep{};
  const char* why{};  // for people
};

class Core {
 public:
  explicit Core(CoreConfig config);  // with default_hooks()
  Core(CoreConfig config, CoreHooks hooks);
  ~Core();
  // Decides. Every durable change is emitted as a record and made by apply(); all else it touches is volatile. A step
  // later than the wake_at before it says that this process could hear nobody meanwhile: deadlines of workers and
  // leases move by so much.
  void step(Instant now, WallMs wall, const Event& event, Actions& out);
  // The only writer of durable state, live and in replay. No clock, no random number, no Search::decide. A record that
  // does not fit the state (a damaged journal) is refused and changes nothing.
  Status apply(const Record& record);
  // After replay, before the first step: emits `booted`; every open lease gets a full grace period; unfinished
  // deletions are asked for again. `boot`: this start's fence number. kConflict: not above the journal's, nothing is
  // changed.
  Status begin_serving(std::uint64_t boot, Instant now, WallMs wall, Actions& out);
  const State& state() const;
  // Of an ended experiment: the recorded final figures. Zeros: no such experiment.
  LiveAccounting accounting(ExperimentId experiment, Instant now) const;
  const Totals& totals() const;          // of the journal
  LiveCounts counts(Instant now) const;  // since begin_serving()
  // What a free slot of this worker waits for, and since when; for /idle, /why and the live Gantt.
  struct SlotStatus {
    WorkerId worker;
    bool connected{};
    Cause cause{};
    Instant since;
    ExperimentId experiment;  // that it works for, or that it waits for (the oldest live one)
    UnitId unit;              // while leased
    Cursor progress;          // last heartbeat's
  };
  std::vector<SlotStatus> slots(Instant now) const;  // by worker; those gone beyond replace_after_ms left out
  const std::string& disk_full() const;              // why no unit is leased; empty: there is room
  // Whether a state of this journal's cluster may be deleted: nothing needs it, and nothing can ever count on its name
  // again. Once it may, it always may, whatever happens later: what lies in the store can be listed, judged and
  // deleted one after another without a lock.
  Judgement judge(const StateName& name) const;
  bool quiet() const;            // no lease is open: after DrainAll the service may stop
  std::string snapshot() const;  // canonical JSON of the durable state: equal states give equal bytes
  std::vector<std::string> check_invariants() const;
  // Whether what apply() kept beside the state is what load() makes of it. Not part of check_invariants(): it costs
  // more.
  std::vector<std::string> check_index() const;
  // The durable state and its totals as bytes. Equal ones give equal bytes.
  std::vector<std::uint8_t> save() const;
  // Of save(): instead of applying the records up to state().seq. REQUIRES: nothing was applied. Total: bytes that
  // save() cannot have made are refused and change nothing.
  Status load(std::span<const std::uint8_t> bytes);

  struct Impl;  // scheduler/core's own

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace modelhop
