#pragma once
// What scheduler and workers say to each other. Bytes: docs/formats.md, "Wire".
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "common/base/unit.h"

namespace modelhop {

inline constexpr std::uint32_t kWireVersion = 2;

// --- worker to scheduler ---

struct Progress {  // of one running unit; renews its lease
  ExperimentId experiment;
  UnitId unit;
  Token token;
  Cursor at;
  std::uint64_t beats{};  // grows with every batch and every stage of the unit; a trainer that hangs has none
};

struct WorkerHello {
  std::string name;  // configured; survives restarts
  Incarnation incarnation;
  ContentHash profile;  // numeric profile
  std::string device;   // "cpu"
  std::uint32_t threads{};
  std::uint64_t memory_bytes{};   // for resident partitions
  std::uint64_t boot_seen{};      // highest scheduler boot it has obeyed
  std::vector<Progress> running;  // re-offered after a reconnect
  // The highest `seq` of a frame, and the boot that said it: a witness of what the journal must hold. A boot whose
  // Welcome was obeyed has heard what was seen of those before it.
  std::uint64_t seq_boot{}, seq_seen{};
};

struct Heartbeat {
  Incarnation incarnation;
  std::vector<Progress> units;  // only named units are renewed
};

struct WorkerBye {  // a clean leave; the scheduler does not wait for a time-out
  Incarnation incarnation;
  std::string reason;
};

struct UnitDone {  // resent until dismissed; once more when a state that was only held has become durable
  Incarnation incarnation;
  UnitReport report;
};

// --- scheduler to worker ---
// `seq`: the newest record when it was said. It leaves when that is durable, so a worker that has it knows that it is.

struct Welcome {
  WorkerId worker;
  std::uint64_t boot{};
  std::uint32_t heartbeat_ms{};
  std::uint64_t seq{};
};

struct Refused {  // the worker exits with this as its error
  std::string reason;
};

struct Place {  // all partitions of one data set this worker shall hold; replaces the list before
  std::uint64_t boot{};
  std::string dataset;
  ContentHash identity;  // of the manifest
  std::vector<PartitionIndex> partitions;
  std::uint64_t seq{};
};

struct RunUnit {
  std::uint64_t boot{};
  Lease lease;
  std::vector<std::string> recipes;  // recipe_json() of each member
  std::string dataset;
  ContentHash dataset_identity;
  std::uint32_t partitions{};  // P
  std::uint64_t cluster{};     // names its states in the store
  std::uint64_t seq{};
};

struct YieldUnit {  // stop at the next batch boundary; `keep`: report the state reached, else drop it
  std::uint64_t boot{};
  ExperimentId experiment;
  UnitId unit;
  Token token;
  bool keep{};
  std::uint64_t seq{};
};

struct Dismiss {  // the report is recorded, or stale
  ExperimentId experiment;
  UnitId unit;
  Token token;
  bool durable{};  // nothing more is needed of this token; else: say when its state is durable
};

struct Shutdown {  // finish nothing new; yield what runs, report, leave
  std::string reason;
};

using ToScheduler = std::variant<WorkerHello, Heartbeat, WorkerBye, UnitDone>;
using ToWorker = std::variant<Welcome, Refused, Place, RunUnit, YieldUnit, Dismiss, Shutdown>;

std::vector<std::uint8_t> encode(const ToScheduler& message);
std::vector<std::uint8_t> encode(const ToWorker& message);
// Total: refuses every byte string that encode() cannot have made, within the limits of common/base/limits.h.
Result<ToScheduler> decode_to_scheduler(std::span<const std::uint8_t> frame);
Result<ToWorker> decode_to_worker(std::span<const std::uint8_t> frame);

}  // namespace modelhop
