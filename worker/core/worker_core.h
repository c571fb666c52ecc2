#pragma once
// WorkerCore: what a worker says and does, without I/O: the process and the simulator drive the same code.
// Lifecycle: says hello at its first step and again after silence; runs one unit at a time; a report is sent until it
// is dismissed, and once more, until dismissed, when a state that was reported as held has become durable; ends with
// Exit. A RunUnit with a newer token means that the scheduler gave the running unit up: that
// one is stopped and the newer waits for it. Threads: one. Owner: the worker's loop.
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "common/base/time.h"
#include "common/wire/messages.h"

namespace modelhop {

// Reports kept. One lease at a time means one or two beside those being saved; past this the oldest's lease has long
// been given up.
inline constexpr std::size_t kReportsWaitingMax = 64;
static_assert(kReportsWaitingMax >= 2 * kSavesWaitingMax);

struct WorkerConfig {
  std::string name;
  Incarnation incarnation;
  ContentHash profile;
  std::string device{"cpu"};
  std::uint32_t threads{1};
  std::uint64_t memory_bytes{};
  std::uint32_t resend_ms{1'000};   // an undismissed report, and a hello without a welcome, are sent again
  std::uint32_t silence_ms{5'000};  // without a word from the scheduler: say hello again
  std::uint32_t drain_ms{30'000};   // a drain ends after this, whatever is still undismissed
};

// From the training thread, once for each StartUnit. A unit stopped with keep says `yielded` and the state reached (the
// parent itself where no batch was run); one stopped without keep has no members and no fault. Either may also end
// normally, where the stop came too late.
struct UnitEnded {
  UnitReport report;
};
// The state of a report without `durable` is in the store now.
struct StateSaved {
  Token token;
  std::uint64_t save_ns{};
};
struct UnitProgress {
  Token token;
  Cursor at;
  std::uint64_t beats{};
};
struct WorkerTick {};         // wake_at() was reached
struct WorkerReconnected {};  // the connection is new: say hello
struct WorkerDrain {};        // SIGTERM: yield, report, leave
using WorkerEvent =
    std::variant<WorkerTick, WorkerReconnected, ToWorker, UnitEnded, StateSaved, UnitProgress, WorkerDrain>;

struct StartUnit {
  RunUnit run;
};
struct StopUnit {
  Token token;
  bool keep{};
};  // at the next batch boundary; a later one without keep overrides
struct SetPlacement {
  Place place;
};
struct Exit {
  int code{};
  std::string reason;
};
using WorkerAction = std::variant<ToScheduler, StartUnit, StopUnit, SetPlacement, Exit>;

class WorkerCore {
 public:
  explicit WorkerCore(WorkerConfig config);
  void step(Instant now, const WorkerEvent& event, std::vector<WorkerAction>& out);
  Instant wake_at() const;
  bool running() const { return running_.has_value(); }
  std::vector<std::string> check_invariants() const;

 private:
  struct Running {
    RunUnit run;
    Cursor at;
    std::uint64_t beats{};
    bool stopping{}, keep{};
  };
  struct Waiting {  // a report of which the scheduler does not know all yet
    UnitReport report;
    Instant resend_at;  // accepted, and its state still being saved: never
    bool said{};
  };

  void on_message(Instant now, const ToWorker& message, std::vector<WorkerAction>& out);
  void on_dismiss(const Dismiss& dismiss);
  void on_saved(Instant now, const StateSaved& saved);
  void on_run(Instant now, const RunUnit& run, std::vector<WorkerAction>& out);
  void on_ended(Instant now, const UnitReport& report, std::vector<WorkerAction>& out);
  void on_tick(Instant now, std::vector<WorkerAction>& out);
  void start(const RunUnit& run, std::vector<WorkerAction>& out);
  void stop(bool keep, std::vector<WorkerAction>& out);
  void drain(Instant now, std::string reason, std::vector<WorkerAction>& out);
  void leave_if_done(Instant now, std::vector<WorkerAction>& out);
  Instant hello_due() const;
  void hello(Instant now, std::vector<WorkerAction>& out);
  std::vector<Progress> progress() const;
  bool obeys(std::uint64_t boot, std::uint64_t seq);

  const WorkerConfig config_;
  std::uint64_t boot_seen_{};              // highest boot obeyed; a lower one is a scheduler of the past
  std::uint64_t seq_boot_{}, seq_seen_{};  // of the boot that welcomed it last, the highest seq it said
  std::uint32_t heartbeat_ms_{1'000};
  Token newest_;  // newest token seen; an older or equal RunUnit is a copy
  std::optional<Running> running_;
  std::optional<RunUnit> next_;   // waits for running_ to stop
  std::vector<Waiting> reports_;  // undismissed, oldest first
  bool started_{}, welcomed_{}, draining_{}, left_{};
  Instant heard_at_, hello_at_, heartbeat_at_, drain_until_;  // heard, said, due, due
  std::string drain_reason_;
};

}  // namespace modelhop
