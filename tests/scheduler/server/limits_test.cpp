// One test a limit of this leaf; those of requests, bad frames and boots stand with what they limit.
#include <sys/stat.h>

#include <atomic>

#include "common/store/journal.h"
#include "scheduler/server/log_file.h"
#include "scheduler/server/supervisor.h"
#include "scheduler/server/task_thread.h"
#include "tests/scheduler/server/fixture.h"

using namespace modelhop;
using namespace std::chrono_literals;

namespace {

// A program that is started as a worker.
std::string script(const Bench& bench, const std::string& body) {
  const std::string path = bench.scratch / "worker.sh";
  std::ofstream(path) << "#!/bin/sh\n" << body;
  REQUIRE(::chmod(path.c_str(), 0755) == 0);
  return path;
}

std::size_t size_of(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

TEST_CASE("a task past the side thread's limit is refused, and all that were taken run", "[server][limits]") {
  std::atomic<bool> go{false};
  std::atomic<std::size_t> ran{0};
  std::size_t taken = 0;
  {
    TaskThread side("side");
    REQUIRE(side.post([&] {
      while (!go) std::this_thread::sleep_for(1ms);
    }));
    // The first may have left the queue already, so one more fits at most.
    while (taken <= kTasksWaitingMax + 1 && side.post([&] { ++ran; })) ++taken;
    CHECK(taken >= kTasksWaitingMax - 1);
    CHECK(taken <= kTasksWaitingMax);
    CHECK_FALSE(side.post([&] { ++ran; }));
    go = true;
  }
  CHECK(ran == taken);
}

TEST_CASE("a state over the limit of HTTP is a 413 that names where to copy it from", "[server][limits]") {
  const Bench bench(2, 0);
  run_to_end(bench, "state", 1);
  for (const std::uint64_t below : {0, 1}) {
    ServerConfig config = server_config(bench);
    std::size_t size = 0;
    std::string id, blob;
    {
      const auto server = start_server(config);
      const Json state = json_of_body(ask(*server, "GET", "experiments/e1/checkpoints"))["items"].at(0);
      size = state["size_bytes"];
      id = state["id"];
      blob = state["blob"];
    }
    config.content_bytes_max = size - below;
    const auto server = start_server(config);
    const ApiResponse got = ask(*server, "GET", "checkpoints/" + id + "/content");
    CHECK(got.status == (below == 0 ? 200 : 413));
    if (below == 0) continue;
    CHECK(got.content_type == "application/problem+json");
    CHECK(got.body.find(blob) != std::string::npos);
    CHECK(got.body.find(std::to_string(size) + " bytes") != std::string::npos);
  }
}

TEST_CASE("records are read in pages of a limited size, and the next page goes on after the last", "[server][limits]") {
  const Bench bench;
  constexpr std::uint64_t kBoots = kRecordsAtOnceMax + 5;
  {
    auto journal = std::move(open_journal(bench.scratch / "state")).value();
    std::vector<Record> boots;
    for (std::uint64_t boot = 1; boot <= kBoots; ++boot) boots.push_back({boot, {1}, Booted{boot}});
    journal->append(std::move(boots));
  }
  const auto server = start_server(bench);
  const auto page = server->records(0, {}, SIZE_MAX);
  REQUIRE(page.size() == kRecordsAtOnceMax);
  CHECK(page.front().seq == 1);
  CHECK(page.back().seq == kRecordsAtOnceMax);
  const auto rest = server->records(page.back().seq, {}, SIZE_MAX);
  REQUIRE(rest.size() == 6);  // its own boot is the last
  CHECK(rest.front().seq == kRecordsAtOnceMax + 1);
  CHECK(rest.back().seq == kBoots + 1);
}

TEST_CASE("the scheduler's log keeps to its size and number of files", "[server][limits][log]") {
  const Bench bench;
  ServerConfig config = server_config(bench);
  config.log_bytes_max = 2'000;
  const auto server = start_server(config);
  const std::string log = bench.scratch / "state/logs/scheduler";
  for (int i = 0; i < 200; ++i) server->warn("line " + std::to_string(i));
  CHECK(text_of(log + ".log").find("line 199\n") != std::string::npos);
  for (std::size_t file = 0; file < kLogFiles; ++file) {
    const std::string path = log + (file == 0 ? "" : "." + std::to_string(file)) + ".log";
    CHECK(size_of(path) > 0);
    CHECK(size_of(path) <= config.log_bytes_max);
  }
  CHECK_FALSE(std::filesystem::exists(log + "." + std::to_string(kLogFiles) + ".log"));
}

TEST_CASE("a line of a process's output is broken at its limit, and the last needs no end", "[server][limits][log]") {
  const Bench bench;
  const std::string path = bench.scratch / "out.log";
  auto log = std::move(OutputLog::open(path, kLogBytesMax)).value();
  log.write("one\ntw");
  log.write("o\n\n");
  const std::string full(kLogLineBytesMax, 'x');
  log.write(full + "\n" + full + "y");
  CHECK(text_of(path) == "one\ntwo\n\n" + full + "\n" + full + "\n");
  log.end();
  CHECK(text_of(path).ends_with(full + "\ny\n"));
  CHECK(OutputLog::open(bench.scratch / "store/data/tiny/manifest.json/no.log", 1).status().code() ==
        Code::kEnvironment);
}

TEST_CASE("a worker's log keeps to its size and number of files, however much it writes", "[server][limits][log]") {
  const Bench bench;
  ClusterConfig config = bench.config("state", 1);
  config.limits.log_bytes_max = 20'000;
  config.limits.leave_ns = 200 * kMillisecond;
  config.worker_program = script(
      bench, "i=0; while [ $i -lt 3000 ]; do echo \"line $i of this worker ($$)\"; i=$((i+1)); done\nexec sleep 60\n");
  const auto cluster = std::move(LocalCluster::start(config)).value();
  const std::string log = bench.scratch / "state/logs/worker-w1";
  CHECK(eventually([&] { return text_of(log + ".log").find("line 2999 ") != std::string::npos; }));
  for (std::size_t file = 0; file < kLogFiles; ++file) {
    const std::string path = log + (file == 0 ? "" : "." + std::to_string(file)) + ".log";
    CHECK(size_of(path) > 0);
    CHECK(size_of(path) <= config.limits.log_bytes_max);
  }
  CHECK_FALSE(std::filesystem::exists(log + "." + std::to_string(kLogFiles) + ".log"));
}

TEST_CASE("a restarted worker goes on in its log, and the last words of one that died are in it", "[server][log]") {
  const Bench bench;
  ClusterConfig config = bench.config("state", 1);
  config.worker_program = script(bench, "echo \"$$ starts\"; printf 'its last words' >&2; exit 3\n");
  const auto cluster = std::move(LocalCluster::start(config)).value();
  REQUIRE(eventually([&] { return !cluster->failure().ok(); }));
  CHECK(cluster->failure().message().ends_with("starts\nits last words\n"));
  const std::string text = text_of(bench.scratch / "state/logs/worker-w1.log");
  std::size_t lives = 0;
  for (std::size_t at = text.find(" starts\n"); at != std::string::npos; at = text.find(" starts\n", at + 1)) ++lives;
  CHECK(lives == kDeathsAtStartMax);
}

TEST_CASE("a drain waits for units so long and no longer, and what they did is run again", "[server][limits][kill]") {
  const std::string calm = run_to_end(Bench(2, 0), "calm", 1);
  const Bench bench(2, 60'000'000);  // no unit comes to the end of a batch
  ClusterConfig config = bench.config("state", 1);
  config.limits.drain_ns = 600 * kMillisecond;
  config.limits.leave_ns = 300 * kMillisecond;
  {
    const auto cluster = std::move(LocalCluster::start(config)).value();
    REQUIRE(cluster->submit(example_spec()).ok());
    REQUIRE(eventually([&] {
      return ask(cluster->service(), "GET", "experiments/e1/gantt").body.find("\"outcome\":\"open\"") !=
             std::string::npos;
    }));
    std::this_thread::sleep_for(1s);  // by now it is inside its first batch: before that it yields at once
    const Instant before = monotonic_now();
    cluster->drain();
    CHECK_FALSE(cluster->wait_stopped(600));  // not before both times are over
    REQUIRE(cluster->wait_stopped(10'000));
    CHECK(monotonic_now() - before >= 900 * kMillisecond);
    CHECK(monotonic_now() - before < 8 * kSecond);
  }
  const std::string log = text_of(bench.scratch / "state/logs/scheduler.log");
  CHECK(log.find("drain: units did not come to a batch boundary in time") != std::string::npos);
  CHECK(log.find("worker w1 did not end in time and is killed") != std::string::npos);
  ::setenv("MODELHOP_FAKE_BATCH_US", "0", 1);
  const auto cluster = bench.start("state", 1);
  CHECK(cluster->submit(example_spec())->resumed);
  CHECK(wait_state(cluster->service(), "e1", "COMPLETED"));
  CHECK(export_of(cluster->service(), "e1") == calm);
}

TEST_CASE("a worker that does not end when told to is killed after its time", "[server][limits][kill]") {
  const Bench bench;
  ClusterConfig config = bench.config("state", 1);
  config.limits.leave_ns = 500 * kMillisecond;
  config.worker_program = script(bench, "trap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n");
  const auto cluster = std::move(LocalCluster::start(config)).value();
  REQUIRE(eventually([&] { return text_of(bench.scratch / "state/logs/worker-w1.log").find("ready") == 0; }));
  const Instant before = monotonic_now();
  cluster->drain();
  REQUIRE(cluster->wait_stopped(10'000));
  CHECK(monotonic_now() - before >= 500 * kMillisecond);
  CHECK(monotonic_now() - before < 5 * kSecond);
  CHECK(text_of(bench.scratch / "state/logs/scheduler.log").find("worker w1 did not end in time and is killed") !=
        std::string::npos);
}
