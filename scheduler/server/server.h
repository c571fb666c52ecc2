#pragma once
// Server: the scheduler as a service of this process: journal, core, links to workers, and the API behind Service.
// Lifecycle: start() replays and serves; drain() lets every unit yield; stop() (or the destructor) flushes and ends.
// Threads: the loop's, the journal's, one for slow reads; every public function from any thread but those.
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/net/keys.h"
#include "common/store/blob_store.h"
#include "scheduler/core/core.h"
#include "scheduler/server/disk_watch.h"
#include "scheduler/server/fence.h"
#include "scheduler/server/garbage.h"
#include "scheduler/server/log_file.h"
#include "scheduler/server/service.h"

namespace spdlog {
class logger;
}

namespace modelhop {

class Loop;
class TaskThread;
class JournalReader;

inline constexpr std::size_t kRecordsAtOnceMax = 10'000;       // of one records(): bounds what is in memory
inline constexpr std::uint64_t kContentBytesMax = 2ull << 30;  // of a state sent by HTTP; it is in memory whole

struct ServerConfig {
  std::string state_dir;
  std::string store;                           // a path or file:///path; empty: STATE/store
  std::string listen{"tcp://127.0.0.1:7077"};  // port 0 picks a free one
  std::string keys;                            // folder (common/net/key_folder.h); empty: STATE/keys
  bool insecure_loopback{};                    // no keys at all
  std::string workers_gone;                    // why the last start's have ended for certain; empty: they may come back
  std::optional<ServerKeys> own_keys;          // instead of a folder
  CoreConfig core;
  int verbosity{};  // stderr: 0 warnings, 1 info, 2 debug; the log file: info, or debug at 2
  std::size_t log_bytes_max{kLogBytesMax};
  std::uint64_t content_bytes_max{kContentBytesMax};
  std::size_t garbage_looked_at_max{kGarbageLookedAtMax};
  std::int64_t fence_renew_ns{kFenceRenewNs};
  DiskReserve disk_reserve;
  std::int64_t disk_watch_ns{kDiskWatchNs};
  std::function<Result<DiskRoom>()> disk_room;  // of both places; empty: asked of the system
  std::uint64_t snapshot_every{50'000};         // records
  std::optional<std::uint64_t> history_max;     // records kept in the archive; none: all
  // Another scheduler has taken the store over. Empty: a line on stderr, and the process ends with exit 5.
  std::function<void(const Status&)> on_fenced;
};

class Server final : public Service {
 public:
  // kConflict: another process holds the state directory, or another scheduler the store. kCorrupt: the journal, by
  // seq.
  static Result<std::unique_ptr<Server>> start(ServerConfig config);
  ~Server() override;

  std::string address() const;  // for workers
  const std::string& store_uri() const { return store_uri_; }
  std::string worker_command() const;  // what a worker is started with, for people
  BlobStore& store() { return *store_; }

  void ask(ApiRequest request, std::function<void(ApiResponse)> done) override;
  ApiResponse ask_and_wait(ApiRequest request);
  // At most kRecordsAtOnceMax, whatever `limit` is: go on after the last.
  std::vector<RecordLine> records(std::uint64_t after, ExperimentId experiment, std::size_t limit) override;
  std::uint64_t gone_before(std::uint64_t after, ExperimentId experiment) override;
  std::uint64_t watch(std::function<void(std::uint64_t seq)> callback) override;
  void unwatch(std::uint64_t handle) override;

  // The newest experiment that has not ended, of this expanded spec and data. None: there is none, or the loop ended.
  std::optional<ExperimentId> find_unfinished(const std::string& spec_expanded, const ContentHash& dataset);
  // A worker's process ended, for certain. True: it had joined.
  bool worker_gone(const std::string& name, const std::string& reason);
  void drain();
  bool wait_quiet(std::uint32_t timeout_ms);  // true: no lease is open
  void stop();
  void warn(const std::string& line);  // into the log

 private:
  explicit Server(ServerConfig config);
  Status open();
  // Runs `read` on the loop and waits. False: the loop has ended.
  bool on_loop(std::function<void(Loop&)> read);
  void on_durable(std::uint64_t seq);
  void watch_disks();

  const ServerConfig config_;
  std::string store_uri_;
  std::shared_ptr<spdlog::logger> log_;
  std::unique_ptr<BlobStore> store_;
  std::atomic<bool> collecting_{false};  // a gc runs; outlives what waits in the threads below
  std::unique_ptr<TaskThread> side_;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
  std::unique_ptr<DiskWatch> disks_;
  std::atomic<std::size_t> waiting_{0};  // requests

  std::mutex reader_mutex_;
  std::unique_ptr<JournalReader> reader_;

  std::mutex watchers_mutex_;  // held while they are called, so unwatch() waits for a running call
  std::map<std::uint64_t, std::function<void(std::uint64_t)>> watchers_;
  std::uint64_t next_watcher_ = 1;
};

}  // namespace modelhop
