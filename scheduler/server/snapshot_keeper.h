#pragma once
// SnapshotKeeper: writes a snapshot every so many records, then lets what came before the older one move from
// journal.db to the archive, and trims that. What goes wrong here costs a slower start, not a record: it is logged, and
// tried again with the next snapshot. Lifecycle: as long as the loop. Threads: due_on_loop() on the loop's; the rest on
// a thread of its own.
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/store/journal.h"
#include "scheduler/core/core.h"
#include "scheduler/server/task_thread.h"

namespace spdlog {
class logger;
}

namespace modelhop {

inline constexpr std::uint64_t kSnapshotEvery = 50'000;  // records: replayed in well under a second

struct SnapshotConfig {
  std::string state_dir;
  std::uint64_t every{kSnapshotEvery};
  std::optional<std::uint64_t> history_max;  // records kept in the archive; none: all
};

class SnapshotKeeper {
 public:
  // `journal` and `log` outlive it. `last`: the snapshot that is there.
  SnapshotKeeper(SnapshotConfig config, std::uint64_t last, Journal& journal, spdlog::logger& log)
      : config_(std::move(config)), journal_(journal), log_(log), last_(last) {}
  // When a snapshot is due: the state is saved now, and what is returned is to be called once the core's last record is
  // durable. Null: none is due, or the one before is not yet done.
  std::function<void()> due_on_loop(const Core& core);

 private:
  void write_on_thread(std::uint64_t seq, const std::vector<std::uint8_t>& state,
                       const std::vector<ExperimentId>& deleted);
  Status write(std::uint64_t seq, const std::vector<std::uint8_t>& state);
  Status compact(const std::vector<ExperimentId>& deleted);

  const SnapshotConfig config_;
  Journal& journal_;
  spdlog::logger& log_;
  std::uint64_t last_;  // asked for
  std::atomic<bool> busy_{false};
  TaskThread thread_{"snapshots"};  // last: it uses all of the above
};

}  // namespace modelhop
