#pragma once
// The journal's records: outcomes, never requests. Bytes: docs/formats.md, "Journal". Field names are what people
// see in `exp export`, /records and the SSE stream.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/base/unit.h"
#include "common/spec/params.h"

namespace modelhop {

struct Booted {
  std::uint64_t boot{};
  bool accept_lost_tail{};  // somebody said that what earlier boots told workers may be lost
};
struct WorkerJoined {
  WorkerId worker;
  std::string name;
  Incarnation incarnation;
  ContentHash profile;
  std::string device;
  std::uint32_t threads{};
  std::uint64_t memory_bytes{};
};
struct WorkerLeft {
  WorkerId worker;
  Incarnation incarnation;
  std::string reason;
};
enum class Admission : std::uint8_t { kActive, kDrained, kRemoved };
struct WorkerAdmissionChanged {  // whether it gets units; drained and removed ones give their partitions away
  WorkerId worker;
  Admission admission{};
};
struct DatasetRegistered {  // the core's view of a data set; the manifest is in the store
  std::string name;
  ContentHash identity;
  std::vector<std::uint64_t> partition_rows;
  std::uint64_t partition_bytes{};  // of the largest
};
struct PartitionPlaced {
  std::string dataset;
  PartitionIndex partition;
  WorkerId worker;
};
struct PartitionDropped {
  std::string dataset;
  PartitionIndex partition;
  WorkerId worker;
};

struct ExperimentCreated {
  ExperimentId experiment;
  std::string spec_sent, spec_expanded;
  std::string dataset;
  ContentHash dataset_identity;
  std::string idempotency_key;
};
struct ExperimentChanged {  // what it is called, and how it stands among others; nothing that its bits depend on
  ExperimentId experiment;
  std::string name, notes;
  std::vector<std::string> labels;
  std::uint32_t priority{};
};
struct ExperimentLimitsChanged {  // all of them as they are now; only ever raised
  ExperimentId experiment;
  std::uint64_t max_trials{}, time_budget_ms{};  // 0: none
  std::uint64_t epochs{};
};
enum class ExperimentState : std::uint8_t {
  kRunning,
  kPaused,
  kStopping,
  kCompleted,
  kStopped,
  kCanceled,
  kFailed,
  kDeleted
};
struct ExperimentStateChanged {
  ExperimentId experiment;
  ExperimentState state{};
  std::string reason;
  std::map<std::string, std::uint64_t> slot_ms;  // at the end: slot time by cause (Cause names)
  std::uint64_t bound_ms{};                      // at the end: max(worker load, longest trial), from measured units
};

struct TrialCreated {
  ExperimentId experiment;
  TrialId trial;
  Params params;
  std::uint32_t offset{};
  std::uint64_t target_visits{};
  std::string origin;
  bool asked{};                   // somebody asked for it: its search neither made it nor hears of it
  std::string idempotency_key{};  // of that request, with the request's hash: the same again is answered with this
  ContentHash request{};
};
struct TrialForked {  // it goes on from another's state, with these parameters. No unit of it is leased
  ExperimentId experiment;
  TrialId trial;
  StateRef source;  // durable, between two visits
  Params params;
  std::uint32_t params_revision{};
  std::uint32_t lineage{};  // of the states it makes from now on
};
struct TrialTargetChanged {  // more visits than before; one that had completed goes on
  ExperimentId experiment;
  TrialId trial;
  std::uint64_t target_visits{};
  std::uint32_t lineage{};  // of the states it makes from now on: of one that goes on, a new one
};
struct TrialEvaluated {
  ExperimentId experiment;
  TrialId trial;
  std::uint64_t visits{};
  double value{};  // the spec's metric; the worst value where it is NaN
  std::vector<Sum> validation;
  std::vector<Sum> train;  // over all units since the last milestone
  StateRef state;
};
enum class TrialState : std::uint8_t {
  kPending,
  kRunning,
  kPaused,
  kCompleted,
  kStopped,
  kFailed,
  kCanceled,
  kInvalid
};
struct TrialPaused {  // no unit of it is leased until it is resumed
  ExperimentId experiment;
  TrialId trial;
  std::string reason;
};
struct TrialResumed {  // from a pause, or tried again after its end, with its faults forgotten
  ExperimentId experiment;
  TrialId trial;
  std::uint32_t lineage{};  // of the states it makes from now on; 0: as before
  std::string reason;
};
struct TrialEnded {
  ExperimentId experiment;
  TrialId trial;
  TrialState how{};
  std::string reason;
  bool with_experiment{};  // it ended because its experiment did, by nothing of its own
};

struct TrialRolledBack {  // accepted states were lost: it goes on from `to`, to the same states again
  ExperimentId experiment;
  TrialId trial;
  StateRef to;              // durable; no hash = the initial state
  std::uint32_t lineage{};  // of the states it makes from now on
  std::string reason;
};

struct UnitLeased {
  ExperimentId experiment;
  UnitId unit;
  TrialId trial;
  Token token;
  WorkerId worker;
  Incarnation incarnation;
  std::uint64_t visit{};  // 0 .. target-1
  PartitionIndex partition;
  bool then_evaluate{};
};
struct UnitFinished {  // counted: at most one a unit
  ExperimentId experiment;
  UnitId unit;
  Token token;
  StateRef state;
  bool durable{};  // else only its worker holds it, until `state_durable`
  std::vector<Sum> train;
  UnitTimes times;
  HopPath path{};
};
struct UnitYielded {  // the unit waits again, from the state reached, which is durable
  ExperimentId experiment;
  UnitId unit;
  Token token;
  StateRef state;
  std::vector<Sum> train;
  UnitTimes times;
  HopPath path{};
};
struct UnitReleased {  // the lease ended without a result; the unit waits again from its parent state
  ExperimentId experiment;
  UnitId unit;
  Token token;
  Fault fault{};
  std::string detail;
};
struct UnitParked {  // given up; its trial ends FAILED
  ExperimentId experiment;
  UnitId unit;
  std::string reason;
};

struct UnitDiverged {  // a visit made again after a loss gave another state than before: its training is not
                       // deterministic. The new one counts
  ExperimentId experiment;
  UnitId unit;
  StateRef expected, state;
};

struct StateDurable {  // an accepted state is in the store
  StateRef state;
  std::uint64_t save_ns{};  // from its hash to its name
};
struct StateDeleteIntended {
  StateRef state;
};
struct StateDeleted {
  StateRef state;
};

using RecordBody =
    std::variant<Booted, WorkerJoined, WorkerLeft, WorkerAdmissionChanged, DatasetRegistered, PartitionPlaced,
                 PartitionDropped, ExperimentCreated, ExperimentStateChanged, ExperimentChanged,
                 ExperimentLimitsChanged, TrialCreated, TrialForked, TrialTargetChanged, TrialEvaluated, TrialPaused,
                 TrialResumed, TrialEnded, TrialRolledBack, UnitLeased, UnitFinished, UnitYielded, UnitReleased,
                 UnitParked, UnitDiverged, StateDurable, StateDeleteIntended, StateDeleted>;

struct Record {
  std::uint64_t seq{};  // dense, from 1
  WallMs at;
  RecordBody body;
};

const char* type_name(const RecordBody& body);       // "unit_leased"
std::uint16_t type_version(const RecordBody& body);  // of the body's format
ExperimentId experiment_of(const RecordBody& body);  // 0: a cluster record

const char* to_string(Admission admission);    // "active", ...
const char* to_string(ExperimentState state);  // "RUNNING", ...
const char* to_string(TrialState state);

// The body as JSON, keys sorted, doubles exact, NaN and infinities as strings. What the journal stores.
std::string to_json(const RecordBody& body);
// One line with its envelope, as people read it:
// {"at":"2026-..","body":{..},"experiment":"e1","seq":7,"type":"..","version":1}.
std::string to_json(const Record& record);
// Total. Unknown type or newer version: kInvalid, naming it.
Result<RecordBody> parse_record(std::string_view type, std::uint16_t version, std::string_view body);

}  // namespace modelhop
