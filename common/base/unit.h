#pragma once
// What travels between core, journal, wire and worker. No other definition of these.
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"

namespace modelhop {

// A position in training; part of the state and hashed with it.
struct Cursor {
  std::uint32_t epoch{};    // complete epochs
  std::uint32_t visit{};    // complete visits of this epoch, in [0, P)
  std::uint32_t batch{};    // next batch inside the visit; 0 between visits
  std::uint64_t step{};     // optimizer steps since initialization
  std::uint64_t samples{};  // rows trained on since initialization
  auto operator<=>(const Cursor&) const = default;
};

// Names a state: immutable, and unique even after fork, rollback and restore.
struct StateRef {
  ExperimentId experiment;
  TrialId trial;
  std::uint32_t lineage{};  // grows by 1 at every fork, rollback, restore
  Cursor at;
  ContentHash hash;  // over layout, cursor, counters and arena; none = the initial state, made from the seed
  ContentHash layout;
  std::uint64_t size_bytes{};  // of the state file
  auto operator<=>(const StateRef&) const = default;
};

// Metrics travel as sums and weights, never as means; the core divides.
struct Sum {
  std::string name;  // "loss", "accuracy"
  double total{};
  std::uint64_t weight{};
  bool operator==(const Sum&) const = default;
};

// One trial's share of a unit. More than one member = a fused bundle of equal layout and cursor.
struct Member {
  TrialId trial;                    // whose randomness and recipe it is; a fork's parent is another trial's state
  std::uint32_t lineage{};          // of the state it makes
  StateRef parent;                  // where training starts
  std::uint32_t params_revision{};  // grows when a fork changes the trial's parameters
  std::vector<Sum> train;           // of the visit's batches before `parent.at`: the worker goes on adding to them
};

enum class UnitKind : std::uint8_t { kTrain, kEvaluate };

// What is leased to a worker: train (the rest of) one visit.
struct Unit {
  ExperimentId experiment;
  UnitId id;
  UnitKind kind{};
  std::vector<Member> members;  // 1 for now; the limit is kUnitMembersMax
  PartitionIndex partition;
  bool then_evaluate{};  // a milestone: evaluate on the validation set, and store the state before reporting it
};

// A worker's right to run one unit, once, until it expires.
struct Lease {
  Unit unit;
  Token token;
  std::uint32_t ttl_ms{};
};

struct MemberResult {
  StateRef state;
  bool yielded{};               // stopped at a batch boundary inside the visit
  bool durable{};               // the state is in the store; else its worker holds it, and says so when it is
  std::vector<Sum> train;       // over the whole visit so far, so that no total depends on where a unit stopped
  std::vector<Sum> validation;  // empty unless Unit::then_evaluate and not yielded
};

enum class Fault : std::uint8_t {
  kNone,
  kUserCode,
  kInvalidParams,
  kOutOfMemory,
  kData,
  kEnvironment,
  kWorkerLost,
  kHashMismatch,
};

// Where a worker's slot spent a lease, in nanoseconds. They sum to the lease's time on the worker.
struct UnitTimes {
  std::uint64_t load_ns{};  // partition from the store or local disk into memory
  std::uint64_t hop_ns{};   // parent state into memory
  std::uint64_t train_ns{};
  std::uint64_t evaluate_ns{};
  std::uint64_t save_ns{};  // state into the store
  auto operator<=>(const UnitTimes&) const = default;
};
inline std::uint64_t busy_ns(const UnitTimes& t) {
  return t.load_ns + t.hop_ns + t.train_ns + t.evaluate_ns + t.save_ns;
}

enum class HopPath : std::uint8_t { kInitial, kStay, kStore };  // how the parent state came

// The end of a lease, told by its worker. With a fault, members is empty.
struct UnitReport {
  ExperimentId experiment;
  UnitId unit;
  Token token;
  Fault fault{};
  std::string detail;
  std::vector<MemberResult> members;
  UnitTimes times;
  HopPath path{};
};

const char* to_string(Fault fault);    // "user_code", ...
const char* to_string(UnitKind kind);  // "train", "evaluate"
const char* to_string(HopPath path);   // "initial", "stay", "store"

}  // namespace modelhop
