#pragma once
// Journal: journal.db, SQLite (WAL, synchronous=FULL) on a local disk. Format: docs/formats.md, "Journal".
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/wire/records.h"

namespace modelhop {

inline constexpr std::size_t kJournalQueueMax = 1 << 20;  // records waiting for the disk; append() then blocks

// Threads: append() from one thread (the scheduler's loop); a thread of its own writes and fsyncs in groups.
// A failed write or fsync ends the process with a clear line: what was said to be durable must be.
class Journal {
 public:
  virtual ~Journal() = default;
  // Returns at once; order kept. Seqs are dense and follow the last.
  virtual void append(std::vector<Record> records) = 0;               // one call is durable as a whole or not at all
  virtual std::uint64_t durable_seq() const = 0;                       // any thread
  // Called on the journal's thread after each commit. Set once, before the first append.
  virtual void on_durable(std::function<void(std::uint64_t seq)> callback) = 0;
  // Blocks until all that was appended is durable.
  virtual void flush() = 0;
};

// Creates or opens STATE_DIR/journal.db; refuses a state directory that another process holds (flock), naming its pid.
Result<std::unique_ptr<Journal>> open_journal(const std::string& state_dir);

// Reads all records in order. Read-only, works beside a live scheduler and on a copy. Stops at the first that `sink`
// refuses or that is damaged: kCorrupt, naming the seq.
Status read_journal(const std::string& state_dir, const std::function<Status(const Record&)>& sink);

}  // namespace modelhop
