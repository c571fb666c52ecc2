#pragma once
// Journal: journal.db, SQLite (WAL, synchronous=FULL) on a local disk. Format: docs/formats.md, "Journal".
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/histogram.h"
#include "common/base/status.h"
#include "common/wire/records.h"

namespace modelhop {

inline constexpr std::size_t kJournalQueueMax = 1 << 20;  // records waiting for the disk; append() then blocks
inline constexpr std::size_t kJournalGroupMax = 4'096;    // records of a commit: bounds how long one takes

// Threads: append() from one thread (the scheduler's loop); a thread of its own writes and fsyncs in groups.
// A failed write or fsync ends the process with a clear line: what was said to be durable must be.
class Journal {
 public:
  virtual ~Journal() = default;  // flushes
  // Returns at once unless the queue is full; order kept. One call is durable as a whole or not at all.
  // REQUIRES: seqs are dense and follow the last.
  virtual void append(std::vector<Record> records) = 0;
  virtual std::uint64_t durable_seq() const = 0;  // any thread
  // Called on the journal's thread after each commit. Set once, before the first append.
  virtual void on_durable(std::function<void(std::uint64_t seq)> callback) = 0;
  // Blocks until all that was appended is durable.
  virtual void flush() = 0;
  virtual ClusterId cluster() const = 0;       // made with the journal; a copy has the same one
  virtual Histogram commit_times() const = 0;  // so far; any thread
};

// Creates or opens STATE_DIR/journal.db; refuses a state directory that another process holds (flock), naming its pid.
Result<std::unique_ptr<Journal>> open_journal(const std::string& state_dir, std::size_t queue_max = kJournalQueueMax);

// Reads all records in order. Read-only, works beside a live scheduler and on a copy. Stops at the first that `sink`
// refuses or that is damaged: kCorrupt, naming the seq. kNotFound: there is no journal.
Status read_journal(const std::string& state_dir, const std::function<Status(const Record&)>& sink);

// Whether a process works on this state directory now: what is unfinished in it then goes on, else it waits.
bool journal_held(const std::string& state_dir);

// One durable record as people read it.
struct JournalLine {
  std::uint64_t seq{};
  ExperimentId experiment;
  std::string type;
  std::string json;  // to_json(Record)
};

// Lines of a journal, in pages, beside its writer. Threads: one at a time.
class JournalReader {
 public:
  virtual ~JournalReader() = default;
  // Committed records with seq > after, in order, of one experiment or (0) of all; at most `limit`.
  virtual Result<std::vector<JournalLine>> lines(std::uint64_t after, ExperimentId experiment, std::size_t limit) = 0;
};
Result<std::unique_ptr<JournalReader>> open_journal_reader(const std::string& state_dir);

}  // namespace modelhop
