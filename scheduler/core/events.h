#pragma once
// What reaches the core and what leaves it. Plain values: the server, the simulator, the transcripts and the embedded
// library drive the same core with them.
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/time.h"
#include "common/spec/spec.h"
#include "common/wire/messages.h"
#include "common/wire/records.h"

namespace modelhop {

struct Tick {};  // wake_at was reached

struct CreateExperiment {
  RequestId request;
  std::string idempotency_key;  // empty: none
  std::string spec_sent;
  std::shared_ptr<const Spec> spec;
  DatasetRegistered dataset;  // as the store has it now
};

// Pause: start nothing new and let units yield. Stop: the same, and end. Cancel: kill now. Delete: forget (ended ones).
enum class Control : std::uint8_t { kPause, kResume, kStop, kCancel, kDelete };
struct ControlExperiment {
  RequestId request;
  ExperimentId experiment;
  Control control{};
};

struct ChangeExperiment {  // what is not set stays
  RequestId request;
  ExperimentId experiment;
  std::optional<std::string> name, notes;
  std::optional<std::vector<std::string>> labels;
  std::optional<std::uint32_t> priority;
};

// Absolute: what is not set stays. None may fall.
struct ExtendExperiment {
  RequestId request;
  ExperimentId experiment;
  std::optional<std::uint64_t> max_trials, time_budget_ms, epochs;
};

// Pause: its unit yields, nothing new. Stop: end it with the state it has. Retry: of one that ended without completing.
enum class TrialControl : std::uint8_t { kPause, kResume, kStop, kRetry };
struct ControlTrial {
  RequestId request;
  ExperimentId experiment;
  TrialId trial;
  TrialControl control{};
};

// A new trial that begins with a durable state of `trial`, with some parameters changed.
struct ForkTrial {
  struct At {  // a checkpoint's name: e7.12@<lineage>.<visits>
    std::uint32_t lineage{};
    std::uint64_t visits{};
  };
  RequestId request;
  std::string idempotency_key;  // empty: none
  ExperimentId experiment;
  TrialId trial;
  Params set;
  std::optional<At> at;                 // none: the newest between two visits
  std::optional<std::uint64_t> epochs;  // to train to; none: as far as `trial`
};

// Drain: no new unit, the running one yields, its partitions go to others. Remove: likewise, and forget the worker.
enum class WorkerControl : std::uint8_t { kDrain, kResume, kRemove };
struct ControlWorker {
  RequestId request;
  WorkerId worker;
  WorkerControl control{};
};

struct WorkerGone {  // its connection or process ended, as the driver knows for certain
  Incarnation incarnation;
  std::string reason;
  bool for_good{};  // somebody wanted it so: its unit is not to blame, and what it held is placed on others at once
};

struct StateGone {  // a state whose deletion was intended is deleted
  StateRef state;
};

struct DiskSpace {  // it crossed the reserve: while it is low, no new unit is leased
  bool low{};
  std::string what;  // "disk full: ..."
};

struct DrainAll {};  // the service is about to stop: yield every unit, lease nothing new

using Event = std::variant<Tick, CreateExperiment, ControlExperiment, ChangeExperiment, ExtendExperiment, ControlTrial,
                           ForkTrial, ControlWorker, WorkerHello, Heartbeat, UnitDone, WorkerBye, WorkerGone, StateGone,
                           DiskSpace, DrainAll>;

struct Reply {  // to a client request
  RequestId request;
  Status status;
  ExperimentId experiment;
  TrialId trial;  // of a fork
};

struct Send {  // leaves once after_seq is durable; 0 = at once
  std::variant<Incarnation, RequestId> to;
  std::variant<ToWorker, Reply> message;
  std::uint64_t after_seq{};
};

struct DeleteState {  // done off the loop once after_seq is durable; answered by StateGone
  StateRef state;
  std::uint64_t after_seq{};
};

struct Actions {  // step() appends; the driver clears
  std::vector<Record>
      records;  // in order; already applied to the core. Of one step: durable all together or not at all
  std::vector<Send> sends;
  std::vector<DeleteState> deletes;
  std::optional<Instant> wake_at;  // when the next Tick is due; replaces the one before
  // The service must end now, with this line and exit code 1, and nothing of this step may be kept or leave.
  std::optional<std::string> fatal;
};

}  // namespace modelhop
