#pragma once
// Recovery: the core that a state directory holds: its newest good snapshot and the records after it, or all records.
// What cannot be trusted is passed over with a note where another way leads to the same state, and else refused with
// the seq it is about; a tail that was durable and is gone is refused too. Reads only, so it serves `--state-dir` as
// well.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/store/journal.h"
#include "scheduler/core/core.h"

namespace modelhop {

struct Recovery {
  std::unique_ptr<Core> core;
  JournalEnd end;                  // the last record
  std::uint64_t snapshot{};        // that it began from; 0: none
  std::vector<std::string> notes;  // for the log: what was passed over
};

// kNotFound: there is nothing yet. kCorrupt names the seq. CoreConfig::accept_lost_tail: a lost tail is not refused.
Result<Recovery> recover(const std::string& state_dir, const CoreConfig& config);
Result<Recovery> recover(const std::string& state_dir, const CoreConfig& config, const CoreHooks& hooks);

}  // namespace modelhop
