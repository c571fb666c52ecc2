#pragma once
// Journal: journal.db, SQLite (WAL, synchronous=FULL) on a local disk. Format: docs/formats.md, "Journal".
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/histogram.h"
#include "common/base/status.h"
#include "common/store/files.h"
#include "common/store/witness.h"
#include "common/wire/records.h"

namespace modelhop {

inline constexpr std::size_t kJournalQueueMax = 1 << 20;  // records waiting for the disk; append() then blocks
inline constexpr std::size_t kJournalGroupMax = 4'096;    // records of a commit: bounds how long one takes
inline constexpr std::uint64_t kRecordsLeaveMax = 2'000;  // at a time, between commits: bounds how long one waits

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
  // The records up to `end` are archived: they leave journal.db, some at a time, when nothing waits to be committed.
  // What a crash leaves there is read from the archive all the same. Any thread.
  virtual void leave_until(const JournalEnd& end) = 0;
};

// The lock of a state directory. kConflict: another process holds it; the message names its pid.
Result<FileLock> lock_state_dir(const std::string& state_dir);
// False: there is no journal.db, or one whose first start was cut off before it held anything.
bool journal_begun(const std::string& state_dir);

struct JournalOptions {
  std::size_t queue_max = kJournalQueueMax;
  // What recover() made of the directory. The journal is refused if it ends elsewhere, and goes on from here where its
  // records lie in the archive. None: it goes on from what is there.
  std::optional<JournalEnd> end;
};
// Creates or opens STATE_DIR/journal.db.
Result<std::unique_ptr<Journal>> open_journal(FileLock lock, const std::string& state_dir,
                                              const JournalOptions& options);
Result<std::unique_ptr<Journal>> open_journal(const std::string& state_dir, std::size_t queue_max = kJournalQueueMax);

// Reads the records after `after` in order, in the archive and in journal.db, and returns the last. Read-only, works
// beside a live scheduler and on a copy. Stops at the first that `sink` refuses or that is damaged: kCorrupt, naming
// the seq. kNotFound: there is no journal. What lies after `until` is not looked at.
Result<JournalEnd> read_journal(const std::string& state_dir, const JournalEnd& after,
                                const std::function<Status(const Record&)>& sink, std::uint64_t until = UINT64_MAX);
Status read_journal(const std::string& state_dir, const std::function<Status(const Record&)>& sink);  // all of them
// The check that is stored with a record. None: it is not here.
Result<std::optional<ContentHash>> stored_check(const std::string& state_dir, std::uint64_t seq);

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
  // Not 0: records after `after` are kept no longer, and this is the first that is.
  virtual Result<std::uint64_t> gone_before(std::uint64_t after, ExperimentId experiment) = 0;
};
Result<std::unique_ptr<JournalReader>> open_journal_reader(const std::string& state_dir);

}  // namespace modelhop
