#include "scheduler/server/server.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>

#include "common/base/thread_name.h"
#include "common/base/version.h"
#include "common/store/files.h"
#include "common/store/journal.h"
#include "scheduler/server/link_keys.h"
#include "scheduler/server/loop.h"
#include "scheduler/server/requests.h"

namespace modelhop {
namespace {

constexpr std::uint32_t kQuietPollMs = 20;
constexpr int kFencedExit = 5;  // docs/cli.md, "Exit codes": refused

Result<std::shared_ptr<spdlog::logger>> make_log(const std::string& path, int verbosity, std::size_t bytes_max) {
  ASSIGN_OR_RETURN(const std::shared_ptr<spdlog::sinks::sink> file, open_log_file(path, bytes_max));
  auto console = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  file->set_level(verbosity >= 2 ? spdlog::level::debug : spdlog::level::info);
  console->set_level(verbosity >= 2   ? spdlog::level::debug
                     : verbosity == 1 ? spdlog::level::info
                     : verbosity == 0 ? spdlog::level::warn
                                      : spdlog::level::off);
  auto log = std::make_shared<spdlog::logger>("scheduler", spdlog::sinks_init_list{file, console});
  log->set_level(file->level());
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  log->flush_on(spdlog::level::info);
  return log;
}

// For good: placing waits for those that join now, not for those.
void all_workers_gone(Loop& loop, const std::string& reason) {
  std::vector<Incarnation> present;
  for (const WorkerRow& row : loop.core_on_loop().state().workers) {
    if (row.present) present.push_back(row.incarnation);
  }
  for (const Incarnation& incarnation : present) loop.step_on_loop(WorkerGone{incarnation, reason, true});
}

// At once, since every further step of this process could only do harm; what is durable stays.
[[noreturn]] void end_fenced(const Status& status) {
  std::fprintf(stderr, "modelhop: %s\n", status.message().c_str());
  std::_Exit(kFencedExit);
}

}  // namespace

Server::Server(ServerConfig config) : config_(std::move(config)) {}

Result<std::unique_ptr<Server>> Server::start(ServerConfig config) {
  std::unique_ptr<Server> server(new Server(std::move(config)));
  RETURN_IF_ERROR(server->open());
  return server;
}

Status Server::open() {
  RETURN_IF_ERROR(make_folders(config_.state_dir));
  RETURN_IF_ERROR(make_folders(config_.state_dir + "/logs"));
  ASSIGN_OR_RETURN(log_, make_log(config_.state_dir + "/logs/scheduler.log", config_.verbosity, config_.log_bytes_max));
  store_uri_ = config_.store.empty() ? config_.state_dir + "/store" : config_.store;
  if (store_uri_.find("://") == std::string::npos)
    store_uri_ = std::filesystem::absolute(store_uri_).lexically_normal().string();
  ASSIGN_OR_RETURN(store_, open_store(store_uri_));
  side_ = std::make_unique<TaskThread>("side");
  log_->info("modelhop {} starts on {} with store {}", kModelhopVersion, config_.state_dir, store_uri_);
  LoopConfig of_loop;
  of_loop.state_dir = config_.state_dir;
  of_loop.listen = config_.listen;
  of_loop.core = config_.core;
  ASSIGN_OR_RETURN(of_loop.keys, link_keys(config_, *log_));
  of_loop.on_durable = [this](std::uint64_t seq) { on_durable(seq); };
  of_loop.fence_renew_ns = config_.fence_renew_ns;
  of_loop.snapshot_every = config_.snapshot_every;
  of_loop.history_max = config_.history_max;
  of_loop.on_fenced = [this](const Status& status) {
    log_->error("{}", status.message());
    log_->flush();
    config_.on_fenced ? config_.on_fenced(status) : end_fenced(status);
  };
  ASSIGN_OR_RETURN(loop_, Loop::open(of_loop, *store_, *side_, *log_));
  ASSIGN_OR_RETURN(reader_, open_journal_reader(config_.state_dir));
  watch_disks();
  if (!config_.workers_gone.empty()) all_workers_gone(*loop_, config_.workers_gone);
  thread_ = std::thread([this] {
    name_thread("loop");
    loop_->run();
  });
  return {};
}

void Server::watch_disks() {
  std::vector<DiskWatch::Place> places = {
      {"state directory " + config_.state_dir, [this] { return disk_room(config_.state_dir); }},
      {"store " + store_uri_, [this] { return store_->room(); }}};
  for (DiskWatch::Place& place : places) {
    if (config_.disk_room) place.room = config_.disk_room;
  }
  disks_ = std::make_unique<DiskWatch>(std::move(places), config_.disk_reserve, config_.disk_watch_ns,
                                       [this](const DiskSpace& space) {
                                         if (space.low)
                                           log_->warn("{}; no new unit begins until there is room", space.what);
                                         if (!space.low)
                                           log_->warn("there is room on the disk again; units begin again");
                                         loop_->post([space](Loop& loop) { loop.step_on_loop(space); });
                                       });
}

Server::~Server() { stop(); }

std::string Server::address() const { return loop_->address(); }

std::string Server::worker_command() const {
  std::string out = "modelhop-worker --scheduler " + address() + " --store " + store_uri_;
  if (const std::string file = worker_key_file(config_); !file.empty()) out += " --key " + file;
  return out;
}

void Server::ask(ApiRequest request, std::function<void(ApiResponse)> done) {
  if (waiting_.fetch_add(1) >= kRequestsWaitingMax) {
    --waiting_;
    return done(busy());
  }
  handle_request({*loop_, *side_, *store_, config_.content_bytes_max, this, collecting_, config_.garbage_looked_at_max},
                 std::move(request), [this, done = std::move(done)](ApiResponse response) {
                   --waiting_;
                   done(std::move(response));
                 });
}

ApiResponse Server::ask_and_wait(ApiRequest request) {
  auto promise = std::make_shared<std::promise<ApiResponse>>();
  ask(std::move(request), [promise](ApiResponse response) { promise->set_value(std::move(response)); });
  return promise->get_future().get();
}

std::vector<RecordLine> Server::records(std::uint64_t after, ExperimentId experiment, std::size_t limit) {
  std::lock_guard guard(reader_mutex_);
  Result<std::vector<JournalLine>> lines = reader_->lines(after, experiment, std::min(limit, kRecordsAtOnceMax));
  std::vector<RecordLine> out;
  if (!lines.ok()) {
    log_->error("{}", lines.status().message());
    return out;
  }
  for (JournalLine& line : *lines) {
    out.push_back({line.seq, line.experiment, std::move(line.type), std::move(line.json)});
  }
  return out;
}

std::uint64_t Server::gone_before(std::uint64_t after, ExperimentId experiment) {
  std::lock_guard guard(reader_mutex_);
  const Result<std::uint64_t> first = reader_->gone_before(after, experiment);
  if (!first.ok()) log_->error("{}", first.status().message());
  return first.ok() ? *first : 0;
}

std::uint64_t Server::watch(std::function<void(std::uint64_t)> callback) {
  std::lock_guard guard(watchers_mutex_);
  watchers_.emplace(next_watcher_, std::move(callback));
  return next_watcher_++;
}

void Server::unwatch(std::uint64_t handle) {
  std::lock_guard guard(watchers_mutex_);
  watchers_.erase(handle);
}

void Server::on_durable(std::uint64_t seq) {
  std::lock_guard guard(watchers_mutex_);
  for (const auto& [handle, callback] : watchers_) callback(seq);
}

bool Server::on_loop(std::function<void(Loop&)> read) {
  auto promise = std::make_shared<std::promise<void>>();
  const bool posted = loop_->post([promise, read = std::move(read)](Loop& loop) {
    read(loop);
    promise->set_value();
  });
  if (posted) promise->get_future().wait();
  return posted;
}

std::optional<ExperimentId> Server::find_unfinished(const std::string& spec_expanded, const ContentHash& dataset) {
  std::optional<ExperimentId> found;
  on_loop([&](Loop& loop) {
    for (const ExperimentRow& row : loop.core_on_loop().state().experiments) {
      if (row.state != ExperimentState::kRunning || row.dataset_identity != dataset) continue;
      if (row.spec != nullptr && row.spec->expanded == spec_expanded) found = row.id;
    }
  });
  return found;
}

bool Server::worker_gone(const std::string& name, const std::string& reason) {
  bool joined = false;
  on_loop([&](Loop& loop) {
    for (const WorkerRow& row : loop.core_on_loop().state().workers) {
      if (row.name != name || !row.present) continue;
      joined = true;
      loop.step_on_loop(WorkerGone{row.incarnation, reason});
      break;  // the step may have moved the rows
    }
  });
  return joined;
}

void Server::drain() {
  loop_->post([](Loop& loop) { loop.step_on_loop(DrainAll{}); });
}

bool Server::wait_quiet(std::uint32_t timeout_ms) {
  const Instant until = monotonic_now() + timeout_ms * kMillisecond;
  for (;;) {
    bool quiet = true;
    on_loop([&](Loop& loop) { quiet = loop.core_on_loop().quiet(); });
    if (quiet || monotonic_now() >= until) return quiet;
    std::this_thread::sleep_for(std::chrono::milliseconds(kQuietPollMs));
  }
}

void Server::warn(const std::string& line) { log_->warn("{}", line); }

void Server::stop() {
  if (disks_) disks_->end();
  if (thread_.joinable()) {
    loop_->end();
    thread_.join();
    loop_->close();
    log_->info("stopped at record {}", loop_->durable_seq());
    log_->flush();
  }
  if (side_) side_->end();  // runs what still waits; a task that wants the loop is told that it ended
}

}  // namespace modelhop
