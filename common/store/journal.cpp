#include "common/store/journal.h"

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>

#include "common/base/thread_name.h"
#include "common/base/time.h"
#include "common/store/files.h"
#include "common/store/journal_format.h"

namespace modelhop {
namespace {

[[noreturn]] void end_process(const Status& status) {
  std::fprintf(stderr,
               "modelhop: %s; ending now, since records could be lost. Free space or repair the disk and start again: "
               "everything up to the last durable record is there.\n",
               status.message().c_str());
  std::_Exit(1);
}

Result<JournalEnd> last_row(Database& database, const std::string& path, const JournalEnd& base) {
  ASSIGN_OR_RETURN(Statement newest, database.prepare("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1"));
  ASSIGN_OR_RETURN(const bool row, newest.step());
  if (!row || newest.integer(0) <= base.seq) return base;
  JournalEnd end{newest.integer(0), {}};
  const auto hash = newest.blob(1);
  if (hash.size() != end.check.bytes.size()) {
    return corrupt(path + ": record " + std::to_string(end.seq) + " has no hash");
  }
  std::copy(hash.begin(), hash.end(), end.check.bytes.begin());
  return end;
}

std::string lock_path(const std::string& state_dir) { return state_dir + "/lock"; }

class SqliteJournal final : public Journal {
 public:
  SqliteJournal(FileLock lock, Database database, std::string path, ClusterId cluster, Witness witness,
                const JournalEnd& end, const JournalEnd& base, std::size_t queue_max)
      : lock_(std::move(lock)),
        database_(std::move(database)),
        path_(std::move(path)),
        cluster_(cluster),
        queue_max_(queue_max),
        witness_(std::move(witness)),
        end_(end),
        base_(base),
        appended_(end.seq),
        leave_(base),
        durable_(end.seq),
        thread_([this] { write_on_thread(); }) {}

  ~SqliteJournal() override {
    {
      std::lock_guard guard(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void append(std::vector<Record> records) override {
    if (records.empty()) return;
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return waiting_ < queue_max_; });
    for (const Record& record : records) {
      CHECK(record.seq == appended_ + 1);
      appended_ = record.seq;
    }
    waiting_ += records.size();
    queue_.push_back(std::move(records));
    guard.unlock();
    changed_.notify_all();
  }

  ClusterId cluster() const override { return cluster_; }

  std::uint64_t durable_seq() const override { return durable_.load(std::memory_order_acquire); }

  void on_durable(std::function<void(std::uint64_t)> callback) override {
    std::lock_guard guard(mutex_);
    callback_ = std::move(callback);
  }

  Histogram commit_times() const override {
    std::lock_guard guard(mutex_);
    return commit_times_;
  }

  void leave_until(const JournalEnd& end) override {
    {
      std::lock_guard guard(mutex_);
      leave_ = end;
    }
    changed_.notify_all();
  }

  void flush() override {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return durable_seq() == appended_; });
  }

 private:
  void write_on_thread() {
    name_thread("journal");
    for (;;) {
      std::vector<Record> group;
      std::function<void(std::uint64_t)> callback;
      {
        std::unique_lock guard(mutex_);
        changed_.wait(guard, [&] { return stop_ || !queue_.empty() || leave_.seq > base_.seq; });
        if (queue_.empty() && stop_) return;
        if (queue_.empty()) {
          const JournalEnd until = leave_;
          guard.unlock();
          if (Status status = leave_some(until); !status.ok()) end_process(status);
          continue;
        }
        while (!queue_.empty() && group.size() < kJournalGroupMax) {
          std::move(queue_.front().begin(), queue_.front().end(), std::back_inserter(group));
          queue_.pop_front();
        }
        waiting_ -= group.size();
        callback = callback_;
      }
      const Instant before = monotonic_now();
      if (Status status = commit(group); !status.ok()) end_process(status);
      if (Status status = witness_.write(end_); !status.ok()) end_process(status);
      const Instant after = monotonic_now();
      {
        std::lock_guard guard(mutex_);
        commit_times_.add(static_cast<std::uint64_t>(after - before));
        durable_.store(group.back().seq, std::memory_order_release);
      }
      changed_.notify_all();
      if (callback) callback(group.back().seq);
    }
  }

  Status commit(const std::vector<Record>& group) {
    RETURN_IF_ERROR(database_.run("BEGIN IMMEDIATE"));
    ASSIGN_OR_RETURN(Statement insert, database_.prepare(kInsertRecord));
    for (const Record& record : group) {
      const std::string body = to_json(record.body);
      const std::string_view type = type_name(record.body);
      const std::uint16_t version = type_version(record.body);
      end_ = {record.seq, journal_check(end_.check, record.seq, record.at, type, version, body)};
      insert.bind(1, record.seq);
      insert.bind(2, static_cast<std::uint64_t>(record.at.value));
      insert.bind(3, type);
      insert.bind(4, std::uint64_t{version});
      insert.bind(5, experiment_of(record.body).value);
      insert.bind(6, body);
      insert.bind(7, end_.check.bytes);
      ASSIGN_OR_RETURN(const bool row, insert.step());
      if (row) return environment("SQLite answered an insertion with a row");
      insert.reset();
    }
    RETURN_IF_ERROR(database_.run("COMMIT"));
    return database_.checkpoint();
  }

  // What leaves and where it ends is one transaction, so no row is gone that the archive was not said to have.
  Status leave_some(const JournalEnd& until) {
    JournalEnd base = until;
    RETURN_IF_ERROR(database_.run("BEGIN IMMEDIATE"));
    if (until.seq - base_.seq > kRecordsLeaveMax) {
      base.seq = base_.seq + kRecordsLeaveMax;
      ASSIGN_OR_RETURN(Statement row, database_.prepare("SELECT hash FROM records WHERE seq = ?"));
      row.bind(1, base.seq);
      ASSIGN_OR_RETURN(const bool there, row.step());
      const auto hash = there ? row.blob(0) : std::span<const std::uint8_t>();
      if (hash.size() != base.check.bytes.size()) return corrupt("record " + std::to_string(base.seq) + " is missing");
      std::copy(hash.begin(), hash.end(), base.check.bytes.begin());
    }
    RETURN_IF_ERROR(database_.run("DELETE FROM records WHERE seq <= " + std::to_string(base.seq)));
    RETURN_IF_ERROR(write_base(database_, base));
    RETURN_IF_ERROR(database_.run("COMMIT"));
    RETURN_IF_ERROR(database_.checkpoint());
    std::lock_guard guard(mutex_);
    base_ = base;
    return {};
  }

  const FileLock lock_;
  Database database_;  // the thread's, after construction
  const std::string path_;
  const ClusterId cluster_;
  const std::size_t queue_max_;
  Witness witness_;           // the thread's
  JournalEnd end_;            // the last record; the thread's
  mutable std::mutex mutex_;  // guards what follows
  JournalEnd base_;           // what has left; changed by the thread alone
  std::condition_variable changed_;
  std::deque<std::vector<Record>> queue_;
  std::size_t waiting_ = 0;  // records in the queue
  std::uint64_t appended_;
  JournalEnd leave_;  // what may leave
  bool stop_ = false;
  std::function<void(std::uint64_t)> callback_;
  Histogram commit_times_;
  std::atomic<std::uint64_t> durable_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

bool journal_held(const std::string& state_dir) { return FileLock::held(lock_path(state_dir)); }

bool journal_begun(const std::string& state_dir) {
  const std::string path = journal_path(state_dir);
  std::error_code error;
  if (!std::filesystem::exists(path, error) || std::filesystem::file_size(path, error) == 0) return false;
  // What a crash left while the file was made, only a writer can roll back.
  for (const Database::Mode mode : {Database::Mode::kRead, Database::Mode::kCreate}) {
    Result<Database> database = Database::open(path, mode);
    if (!database.ok()) continue;
    const Result<std::uint64_t> application = database->number("PRAGMA application_id");
    const Result<std::uint64_t> tables = database->number("SELECT count(*) FROM sqlite_master");
    if (application.ok() && tables.ok()) return *application != 0 || *tables != 0;
  }
  return true;  // whatever it is
}

Result<FileLock> lock_state_dir(const std::string& state_dir) {
  RETURN_IF_ERROR(make_folders(state_dir));
  return FileLock::take(lock_path(state_dir), "state directory " + state_dir);
}

Result<std::unique_ptr<Journal>> open_journal(FileLock lock, const std::string& state_dir,
                                              const JournalOptions& options) {
  const std::string path = journal_path(state_dir);
  const bool fresh = !journal_begun(state_dir);
  ASSIGN_OR_RETURN(Database database, Database::open(path, Database::Mode::kCreate));
  // A file that is not ours must not be changed, so look before anything is written.
  if (!fresh) RETURN_IF_ERROR(verify_journal_header(database, path));
  RETURN_IF_ERROR(database.run("PRAGMA journal_mode=WAL"));
  RETURN_IF_ERROR(database.run("PRAGMA synchronous=FULL"));
  RETURN_IF_ERROR(database.run("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(create_journal_tables(database));
  ASSIGN_OR_RETURN(const ClusterId cluster, ensure_cluster(database, path));
  ASSIGN_OR_RETURN(JournalEnd base, read_base(database, path));
  ASSIGN_OR_RETURN(JournalEnd end, last_row(database, path, base));
  if (options.end && *options.end != end) {
    if (end.seq >= options.end->seq) {
      return corrupt(path + ": ends at record " + std::to_string(end.seq) + ", and was read up to record " +
                     std::to_string(options.end->seq));
    }
    RETURN_IF_ERROR(database.run("DELETE FROM records"));  // the archive has them, and what came after them
    base = end = *options.end;
    RETURN_IF_ERROR(write_base(database, base));
  }
  RETURN_IF_ERROR(database.run("COMMIT"));
  RETURN_IF_ERROR(database.checkpoint());
  ASSIGN_OR_RETURN(Witness witness, Witness::open(state_dir));
  RETURN_IF_ERROR(witness.write(end));
  RETURN_IF_ERROR(sync_folder(state_dir));
  return std::unique_ptr<Journal>(std::make_unique<SqliteJournal>(std::move(lock), std::move(database), path, cluster,
                                                                  std::move(witness), end, base, options.queue_max));
}

Result<std::unique_ptr<Journal>> open_journal(const std::string& state_dir, std::size_t queue_max) {
  ASSIGN_OR_RETURN(FileLock lock, lock_state_dir(state_dir));
  return open_journal(std::move(lock), state_dir, {queue_max, std::nullopt});
}

}  // namespace modelhop
