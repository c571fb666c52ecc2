#include "scheduler/server/disk_watch.h"

#include <atomic>

#include "tests/scheduler/server/fixture.h"

using namespace modelhop;

TEST_CASE("a reserve is bytes, a part of the disk, or the smaller of 1 GiB and 5 %", "[server][disk]") {
  constexpr std::uint64_t kGiB = 1ull << 30;
  CHECK(DiskReserve{}.of(100 * kGiB) == kGiB);
  CHECK(DiskReserve{}.of(10 * kGiB) == kGiB / 2);
  CHECK(parse_disk_reserve("2GiB")->of(1) == 2 * kGiB);
  CHECK(parse_disk_reserve("1.5g")->of(1) == kGiB + kGiB / 2);
  CHECK(parse_disk_reserve("500MB")->of(1) == 500ull << 20);
  CHECK(parse_disk_reserve("4096")->of(1) == 4096);
  CHECK(parse_disk_reserve("0")->of(100) == 0);
  CHECK(parse_disk_reserve("25%")->of(400) == 100);
  for (const char* bad :
       {"", "%", "-1", "101%", "nan", "inf", "1e400", "5 %", "GiB", "1XB", "1GiBs", "9000000T", "0x"}) {
    INFO(bad);
    CHECK(parse_disk_reserve(bad).status().code() == Code::kInvalid);
  }
}

TEST_CASE("a disk that crosses its reserve is told of once each way, and goes on with a tenth more", "[server][disk]") {
  std::atomic<std::uint64_t> free{1000};
  std::atomic<bool> away{false};
  std::mutex mutex;
  std::vector<DiskSpace> told;
  const auto count = [&] {
    std::lock_guard guard(mutex);
    return told.size();
  };
  const auto room = [&]() -> Result<DiskRoom> {
    if (away) return environment("the disk is away");
    return DiskRoom{free, 10'000};
  };
  DiskWatch watch({{"store /s", room}}, {100, {}}, kMillisecond, [&](const DiskSpace& space) {
    std::lock_guard guard(mutex);
    told.push_back(space);
  });
  CHECK(count() == 0);
  free = 99;
  REQUIRE(eventually([&] { return count() == 1; }));
  CHECK(told[0].what == "disk full: store /s has 99 B free, below the reserve of 100 B");
  free = 105;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  away = true;  // nothing is known: nothing changes... until it is looked at again
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  away = false;
  free = 110;
  REQUIRE(eventually([&] { return count() == 2; }));
  CHECK_FALSE(told[1].low);
  free = 105;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  watch.end();
  CHECK(count() == 2);
}

TEST_CASE("below the reserve nothing begins, people are told why, and with room it goes on", "[server][disk]") {
  const Bench bench(2, 0);
  std::atomic<std::uint64_t> free{10};
  ServerConfig config = server_config(bench);
  config.disk_reserve = {100, {}};
  config.disk_watch_ns = kMillisecond;
  config.disk_room = [&]() -> Result<DiskRoom> { return DiskRoom{free, 10'000}; };
  const auto server = start_server(config);
  REQUIRE(ask(*server, "POST", "experiments", example_spec()).status == 201);
  ClusterConfig workers = bench.config("state", 1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl(kFakeWorker.c_str(), kFakeWorker.c_str(), "--scheduler", server->address().c_str(), "--name", "w1",
            "--store", workers.store.c_str(), "--data-dir", (bench.scratch / "w1").c_str(), "--memory", "64000000",
            nullptr);
    ::_exit(127);
  }
  const auto status = [&] { return json_of_body(ask(*server, "GET", "status")); };
  REQUIRE(eventually([&] { return status()["workers"]["connected"] == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(json_of_body(ask(*server, "GET", "experiments/e1"))["visits_done"] == 0);
  CHECK(status()["disk_full"].get<std::string>().starts_with("disk full: "));
  CHECK(json_of_body(ask(*server, "GET", "experiments/e1"))["disk_full"] == status()["disk_full"]);
  CHECK(ask(*server, "GET", "experiments/e1/why").body.find("below the reserve of 100 B") != std::string::npos);
  CHECK(bench.logs("state").find("no new unit begins until there is room") != std::string::npos);
  free = 200;
  CHECK(wait_state(*server, "e1", "COMPLETED"));
  CHECK(status()["disk_full"].is_null());
  ::kill(child, SIGKILL);
}
