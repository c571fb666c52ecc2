#include "common/store/journal.h"

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>

#include "common/base/time.h"
#include "common/store/files.h"
#include "common/store/journal_format.h"

namespace modelhop {
namespace {

constexpr const char* kTables =
    "CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, "
    "version INTEGER NOT NULL, experiment INTEGER NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS records_of_experiment ON records (experiment, seq);";
constexpr const char* kInsert =
    "INSERT INTO records (seq, at, type, version, experiment, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?)";

[[noreturn]] void end_process(const std::string& path, const Status& status) {
  std::fprintf(
      stderr,
      "modelhop: %s: %s; ending now, since records could be lost. Free space or repair the disk and start again: "
      "everything up to the last durable record is there.\n",
      path.c_str(), status.message().c_str());
  std::_Exit(1);
}

std::string lock_path(const std::string& state_dir) { return state_dir + "/lock"; }

class SqliteJournal final : public Journal {
 public:
  SqliteJournal(FileLock lock, Database database, std::string path, ClusterId cluster, std::uint64_t last,
                ContentHash check, std::size_t queue_max)
      : lock_(std::move(lock)),
        database_(std::move(database)),
        path_(std::move(path)),
        cluster_(cluster),
        queue_max_(queue_max),
        check_(check),
        appended_(last),
        durable_(last),
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

  void flush() override {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return durable_seq() == appended_; });
  }

 private:
  void write_on_thread() {
    for (;;) {
      std::vector<Record> group;
      std::function<void(std::uint64_t)> callback;
      {
        std::unique_lock guard(mutex_);
        changed_.wait(guard, [&] { return stop_ || !queue_.empty(); });
        if (queue_.empty()) return;
        while (!queue_.empty() && group.size() < kJournalGroupMax) {
          std::move(queue_.front().begin(), queue_.front().end(), std::back_inserter(group));
          queue_.pop_front();
        }
        waiting_ -= group.size();
        callback = callback_;
      }
      const Instant before = monotonic_now();
      if (Status status = commit(group); !status.ok()) end_process(path_, status);
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
    ASSIGN_OR_RETURN(Statement insert, database_.prepare(kInsert));
    for (const Record& record : group) {
      const std::string body = to_json(record.body);
      const std::string_view type = type_name(record.body);
      const std::uint16_t version = type_version(record.body);
      check_ = journal_check(check_, record.seq, record.at, type, version, body);
      insert.bind(1, record.seq);
      insert.bind(2, static_cast<std::uint64_t>(record.at.value));
      insert.bind(3, type);
      insert.bind(4, std::uint64_t{version});
      insert.bind(5, experiment_of(record.body).value);
      insert.bind(6, body);
      insert.bind(7, check_.bytes);
      ASSIGN_OR_RETURN(const bool row, insert.step());
      if (row) return environment("SQLite answered an insertion with a row");
      insert.reset();
    }
    return database_.run("COMMIT");
  }

  const FileLock lock_;
  Database database_;  // the thread's, after construction
  const std::string path_;
  const ClusterId cluster_;
  const std::size_t queue_max_;
  ContentHash check_;         // of the last record; the thread's
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::vector<Record>> queue_;
  std::size_t waiting_ = 0;  // records in the queue
  std::uint64_t appended_;
  bool stop_ = false;
  std::function<void(std::uint64_t)> callback_;
  Histogram commit_times_;
  std::atomic<std::uint64_t> durable_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

bool journal_held(const std::string& state_dir) { return FileLock::held(lock_path(state_dir)); }

Result<std::unique_ptr<Journal>> open_journal(const std::string& state_dir, std::size_t queue_max) {
  RETURN_IF_ERROR(make_folders(state_dir));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::take(lock_path(state_dir), "state directory " + state_dir));
  const std::string path = journal_path(state_dir);
  std::error_code error;
  const bool fresh = !std::filesystem::exists(path, error) || std::filesystem::file_size(path, error) == 0;
  ASSIGN_OR_RETURN(Database database, Database::open(path, Database::Mode::kCreate));
  // A file that is not ours must not be changed, so look before anything is written.
  if (!fresh) RETURN_IF_ERROR(verify_journal_header(database, path));
  RETURN_IF_ERROR(database.run("PRAGMA journal_mode=WAL"));
  RETURN_IF_ERROR(database.run("PRAGMA synchronous=FULL"));
  RETURN_IF_ERROR(database.run("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(database.run("PRAGMA application_id=" + std::to_string(kJournalApplicationId)));
  RETURN_IF_ERROR(database.run("PRAGMA user_version=" + std::to_string(kJournalVersion)));
  RETURN_IF_ERROR(database.run(kTables));
  ASSIGN_OR_RETURN(const ClusterId cluster, ensure_cluster(database, path));
  RETURN_IF_ERROR(database.run("COMMIT"));
  RETURN_IF_ERROR(sync_folder(state_dir));
  std::uint64_t last = 0;
  ContentHash check;
  {
    ASSIGN_OR_RETURN(Statement newest, database.prepare("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1"));
    ASSIGN_OR_RETURN(const bool row, newest.step());
    if (row) {
      last = newest.integer(0);
      const auto hash = newest.blob(1);
      if (hash.size() != check.bytes.size()) return corrupt(path + ": record " + std::to_string(last) + " has no hash");
      std::copy(hash.begin(), hash.end(), check.bytes.begin());
    }
  }
  return std::unique_ptr<Journal>(
      std::make_unique<SqliteJournal>(std::move(lock), std::move(database), path, cluster, last, check, queue_max));
}

}  // namespace modelhop
