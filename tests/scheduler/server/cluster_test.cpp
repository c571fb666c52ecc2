#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <set>

#include "common/store/journal.h"
#include "scheduler/core/core.h"
#include "tests/scheduler/server/fixture.h"

using namespace modelhop;
using namespace std::chrono_literals;

namespace {

std::vector<Record> records_of(const std::string& state_dir) {
  std::vector<Record> records;
  const Status status = read_journal(state_dir, [&](const Record& record) {
    records.push_back(record);
    return Status();
  });
  INFO(status.message());
  REQUIRE(status.ok());
  return records;
}

// Another process trains there: its journal says that a unit was finished.
bool trains(const std::string& state_dir) {
  bool finished = false;
  return std::filesystem::exists(state_dir + "/journal.db") &&
         read_journal(state_dir,
                      [&](const Record& record) {
                        finished |= std::holds_alternative<UnitFinished>(record.body);
                        return Status();
                      })
             .ok() &&
         finished;
}

// Children of this process by the name they were given.
pid_t worker_pid(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string command = text_of("/proc/" + pid + "/cmdline");
    std::replace(command.begin(), command.end(), '\0', ' ');
    const std::string status = text_of("/proc/" + pid + "/status");
    if (command.starts_with(kFakeWorker) && command.find("--name " + name + " ") != std::string::npos &&
        status.find("PPid:\t" + std::to_string(::getpid()) + "\n") != std::string::npos) {
      return std::stoi(pid);
    }
  }
  return 0;
}

}  // namespace

TEST_CASE("one worker and three give the same trials, metrics and state hashes", "[server][cluster]") {
  const Bench bench;
  const std::string one = run_to_end(bench, "one", 1);
  CHECK(std::count(one.begin(), one.end(), '\n') == 7);
  CHECK(run_to_end(bench, "three", 3) == one);
  std::set<std::uint32_t> workers;
  std::map<std::string, int> paths;
  for (const Record& record : records_of(bench.scratch / "three")) {
    if (const auto* leased = std::get_if<UnitLeased>(&record.body)) workers.insert(leased->worker.value);
    if (const auto* finished = std::get_if<UnitFinished>(&record.body)) ++paths[to_string(finished->path)];
  }
  CHECK(workers.size() == 3);
  CHECK(paths["initial"] == 6);
  CHECK(paths["store"] > 0);
}

TEST_CASE("a worker killed twice is started again and changes no bit", "[server][cluster][kill]") {
  const Bench bench(3, 3'000);
  const std::string calm = run_to_end(bench, "calm", 1);
  const auto cluster = bench.start("killed", 3);
  const std::string id = to_string(cluster->submit(example_spec())->experiment);
  int kills = 0;
  while (kills < 2 && state_of(cluster->service(), id) == "RUNNING") {
    std::this_thread::sleep_for(150ms);
    if (const pid_t pid = worker_pid("w2"); pid > 0) kills += ::kill(pid, SIGKILL) == 0;
  }
  CHECK(kills == 2);
  CHECK(wait_state(cluster->service(), id, "COMPLETED"));
  CHECK(export_of(cluster->service(), id) == calm);
  CHECK(cluster->failure().ok());
}

TEST_CASE("after everything was killed, a restart goes on to the same bits and counts no unit twice",
          "[server][cluster][kill]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const Bench bench(3, 20'000);  // long enough that no moment drawn below comes after its end
  const std::string calm = run_to_end(bench, "calm", 2);
  for (int round = 0; round < 3; ++round) {
    const std::string state = "killed" + std::to_string(round);
    const pid_t child = ::fork();
    if (child == 0) {  // a scheduler of its own, so that it can be killed whole
      ::close(STDERR_FILENO);
      auto cluster = LocalCluster::start(bench.config(state, 2));
      if (!cluster.ok() || !(*cluster)->submit(example_spec()).ok()) ::_exit(1);
      for (;;) ::pause();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300 + random() % 500));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto cluster = bench.start(state, 2);
    const auto submitted = cluster->submit(example_spec());
    REQUIRE(submitted.ok());
    CHECK(submitted->experiment == ExperimentId{1});
    CHECK(wait_state(cluster->service(), "e1", "COMPLETED"));
    CHECK(export_of(cluster->service(), "e1") == calm);
    cluster->drain();
    REQUIRE(cluster->wait_stopped(20'000));
    std::set<std::uint64_t> counted;
    for (const Record& record : records_of(bench.scratch / state)) {
      if (const auto* finished = std::get_if<UnitFinished>(&record.body)) {
        CHECK(counted.insert(finished->unit.value).second);
      }
    }
  }
}

TEST_CASE("what ran on three workers goes on at once on one", "[server][cluster][kill]") {
  const Bench bench(3, 10'000);
  const std::string calm = run_to_end(bench, "calm", 1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    auto cluster = LocalCluster::start(bench.config("fewer", 3));
    if (!cluster.ok() || !(*cluster)->submit(example_spec()).ok()) ::_exit(1);
    for (;;) ::pause();
  }
  CHECK(eventually([&] { return trains(bench.scratch / "fewer"); }, 60));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const auto cluster = bench.start("fewer", 1);
  REQUIRE(cluster->submit(example_spec())->resumed);
  const Instant before = monotonic_now();
  bool placed = false;
  while (!placed && monotonic_now() - before < 5 * kSecond) {  // half of what a lost worker is waited for
    std::this_thread::sleep_for(20ms);
    Core replayed(CoreConfig{});
    for (const Record& record : records_of(bench.scratch / "fewer")) REQUIRE(replayed.apply(record).ok());
    const auto& holders = replayed.state().datasets.at("tiny").holders;
    placed = std::all_of(holders.begin(), holders.end(), [&](const std::vector<WorkerId>& of_one) {
      return of_one.size() == 1 && replayed.state().workers[of_one[0].value - 1].name == "w1";
    });
  }
  CHECK(placed);
  CHECK(wait_state(cluster->service(), "e1", "COMPLETED"));
  CHECK(export_of(cluster->service(), "e1") == calm);
}

TEST_CASE("a drain yields inside units, leaves within seconds, and a restart goes on", "[server][cluster]") {
  const Bench bench(2, 20'000);
  const std::string calm = run_to_end(bench, "calm", 1);
  {
    const auto cluster = bench.start("drained", 2);
    REQUIRE(cluster->submit(example_spec()).ok());
    std::this_thread::sleep_for(700ms);
    const Instant before = monotonic_now();
    cluster->drain();
    REQUIRE(cluster->wait_stopped(10'000));
    CHECK(monotonic_now() - before < 5 * kSecond);
  }
  bool yielded = false;
  for (const Record& record : records_of(bench.scratch / "drained")) {
    yielded |= std::holds_alternative<UnitYielded>(record.body);
  }
  CHECK(yielded);
  const auto cluster = bench.start("drained", 1);
  const auto submitted = cluster->submit(example_spec());
  CHECK(submitted->resumed);
  CHECK(wait_state(cluster->service(), "e1", "COMPLETED"));
  CHECK(export_of(cluster->service(), "e1") == calm);
}

TEST_CASE("another spec in the same state directory is another experiment", "[server][cluster]") {
  const Bench bench(2, 0);
  run_to_end(bench, "state", 2, example_spec("first"));
  const auto cluster = bench.start("state", 2);
  const auto again = cluster->submit(example_spec("first"));
  CHECK_FALSE(again->resumed);  // it had ended
  CHECK(again->experiment == ExperimentId{2});
  CHECK(cluster->submit(example_spec("second"))->experiment == ExperimentId{3});
  CHECK(wait_state(cluster->service(), "e3", "COMPLETED"));
}

TEST_CASE("workers that die before they join end in a clear error, with the end of their log", "[server][cluster]") {
  const Bench bench;
  ClusterConfig config = bench.config("state", 1);
  config.worker_program = "/bin/false";
  const auto cluster = std::move(LocalCluster::start(config)).value();
  const Instant until = monotonic_now() + 20 * kSecond;
  while (cluster->failure().ok() && monotonic_now() < until) std::this_thread::sleep_for(50ms);
  CHECK(cluster->failure().message().find("worker w1 ended 5 times before it joined (exit 1)") != std::string::npos);
  config.worker_program = bench.scratch / "nowhere";
  config.state_dir = bench.scratch / "other";
  CHECK(LocalCluster::start(config).status().message().find("there is no worker program") != std::string::npos);
  config.workers = 0;
  CHECK(LocalCluster::start(config).status().code() == Code::kInvalid);
}

TEST_CASE("a state directory is one cluster's, and a kill ends it at once", "[server][cluster]") {
  const Bench bench(2, 50'000);
  const auto cluster = bench.start("state", 1);
  const auto second = LocalCluster::start(bench.config("state", 1));
  CHECK(second.status().code() == Code::kConflict);
  REQUIRE(cluster->submit(example_spec()).ok());
  const Instant before = monotonic_now();
  cluster->kill();
  CHECK(cluster->wait_stopped(5'000));
  CHECK(monotonic_now() - before < 2 * kSecond);
  CHECK(worker_pid("w1") == 0);
}
