#pragma once
// WorkerCore: what a worker says and does, without I/O: the process and the simulator drive the same code.
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/time.h"
#include "common/wire/messages.h"

namespace modelhop {

struct WorkerConfig {
  std::string name;
  Incarnation incarnation;
  ContentHash profile;
  std::string device{"cpu"};
  std::uint32_t threads{1};
  std::uint64_t memory_bytes{};
  std::uint32_t resend_ms{1'000};       // an undismissed report is sent again
  std::uint32_t silence_ms{5'000};      // without a word from the scheduler: say hello again
};

struct UnitEnded { UnitReport report; };              // from the training thread
struct UnitProgress { Token token; Cursor at; };
struct WorkerTick {};
struct WorkerDrain {};                                // SIGTERM: yield, report, leave
using WorkerEvent = std::variant<WorkerTick, ToWorker, UnitEnded, UnitProgress, WorkerDrain>;

struct StartUnit { RunUnit run; };
struct StopUnit { Token token; bool keep{}; };        // at the next batch boundary
struct SetPlacement { Place place; };
struct Exit { int code{}; std::string reason; };
using WorkerAction = std::variant<ToScheduler, StartUnit, StopUnit, SetPlacement, Exit>;

class WorkerCore {
 public:
  explicit WorkerCore(WorkerConfig config);
  void step(Instant now, const WorkerEvent& event, std::vector<WorkerAction>& out);
  Instant wake_at() const;
  std::vector<std::string> check_invariants() const;
};

}  // namespace modelhop
