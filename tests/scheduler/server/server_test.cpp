#include "scheduler/server/server.h"

#include <atomic>

#include "common/base/limits.h"
#include "common/wire/messages.h"
#include "scheduler/server/requests.h"
#include "tests/scheduler/server/fixture.h"
#include "tests/scheduler/server/hand_worker.h"

using namespace modelhop;
using namespace std::chrono_literals;

TEST_CASE("an experiment is created once for its idempotency key, listed, canceled and deleted", "[server][api]") {
  const Bench bench;
  const auto server = start_server(bench);
  const auto create = [&] {
    return server->ask_and_wait({"POST", "/api/v1/experiments", {}, example_spec(), "key-1"});
  };
  const ApiResponse created = create();
  CHECK(created.status == 201);
  CHECK(json_of_body(created)["id"] == "e1");
  CHECK(json_of_body(create())["id"] == "e1");
  CHECK(json_of_body(ask(*server, "GET", "experiments"))["items"].size() == 1);
  CHECK(ask(*server, "DELETE", "experiments/e1").status == 409);  // it runs
  CHECK(ask(*server, "POST", "experiments/e1:cancel").status == 200);
  CHECK(wait_state(*server, "e1", "CANCELED", 5));
  CHECK(ask(*server, "DELETE", "experiments/e1").status == 200);
  CHECK(ask(*server, "GET", "experiments/e1").status == 404);
  CHECK(ask(*server, "POST", "experiments/e7:stop").status == 404);
  CHECK(server->ask_and_wait({"POST", "/api/v1/experiments", {}, example_spec(), std::string(kNameBytesMax + 1, 'k')})
            .status == 400);
}

TEST_CASE("a refused spec lists its problems, and a missing data set names those that are there", "[server][api]") {
  const Bench bench;
  const auto server = start_server(bench);
  const ApiResponse bad = ask(*server, "POST", "experiments", "{}");
  CHECK(bad.status == 422);
  CHECK(bad.content_type == "application/problem+json");
  CHECK(json_of_body(bad)["errors"].size() >= 1);
  std::string other = example_spec();
  other.replace(other.find("tiny"), 4, "huge");
  const Json errors = json_of_body(ask(*server, "POST", "specs:validate", other))["errors"];
  const std::string detail = errors.back()["detail"];
  CHECK(detail.find("there is no data set \"huge\"") != std::string::npos);
  CHECK(detail.find("tiny") != std::string::npos);
  CHECK(json_of_body(ask(*server, "POST", "specs:validate", example_spec()))["valid"] == true);
  const Json preview = json_of_body(ask(*server, "POST", "specs:preview", example_spec()));
  CHECK(preview["trials"] == 6);
  CHECK(preview["visits"] == 36);
  CHECK(preview["epochs"] == 12.0);
}

TEST_CASE("data sets are listed from the store, before any experiment uses them", "[server][api]") {
  const Bench bench;
  const auto server = start_server(bench);
  const Json items = json_of_body(ask(*server, "GET", "datasets"))["items"];
  REQUIRE(items.size() == 1);
  CHECK(items[0]["name"] == "tiny");
  CHECK(items[0]["partitions"] == 3);
  CHECK(ask(*server, "GET", "datasets/tiny").status == 200);
  CHECK(ask(*server, "GET", "datasets/none").status == 404);
}

TEST_CASE("durable records can be read and watched", "[server]") {
  const Bench bench;
  const auto server = start_server(bench);
  std::atomic<std::uint64_t> seen{0};
  const std::uint64_t handle = server->watch([&](std::uint64_t seq) { seen = seq; });
  REQUIRE(ask(*server, "POST", "experiments", example_spec()).status == 201);
  const auto all = server->records(0, {}, 1000);
  REQUIRE(all.size() >= 3);
  CHECK(all[0].type == "booted");
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i].seq == i + 1);
  const Instant until = monotonic_now() + 5 * kSecond;
  while (seen < all.size() && monotonic_now() < until) std::this_thread::sleep_for(5ms);
  CHECK(seen >= all.size());
  const auto own = server->records(0, {1}, 1000);
  for (const RecordLine& line : own) CHECK(line.experiment == ExperimentId{1});
  CHECK(server->records(0, {}, 2).size() == 2);
  server->unwatch(handle);
  const std::uint64_t before = seen;
  REQUIRE(ask(*server, "POST", "experiments/e1:cancel").status == 200);
  CHECK(seen == before);
}

TEST_CASE("requests over the limit are refused at once, and every other is answered once", "[server][limits]") {
  const Bench bench;
  const auto server = start_server(bench);
  std::atomic<std::size_t> answered{0}, refused{0};
  constexpr std::size_t kAsked = kRequestsWaitingMax * 3;
  for (std::size_t i = 0; i < kAsked; ++i) {
    server->ask({"POST", "/api/v1/specs:validate", {}, example_spec(), ""},
                [&](ApiResponse response) { ++(response.status == 503 ? refused : answered); });
  }
  // A thousand checks of a spec take minutes under TSan on a busy machine.
  CHECK(eventually([&] { return answered + refused == kAsked; }, 400));
  CHECK(answered >= kRequestsWaitingMax);
  server->stop();
  CHECK(server->ask_and_wait({"GET", "/api/v1/status", {}, "", ""}).status == 503);
  CHECK(server->ask_and_wait({"GET", "/api/v1/datasets", {}, "", ""}).status == 503);
}

TEST_CASE("a worker is welcomed with a boot that grows at every start", "[server][wire]") {
  const Bench bench;
  std::uint64_t boot = 0;
  for (int start = 0; start < 2; ++start) {
    const auto server = start_server(bench);
    const HandWorker worker(server->address());
    worker.send(worker.hello("hand"));
    const Welcome welcome = worker.wait<Welcome>();
    CHECK(welcome.boot > boot);
    boot = welcome.boot;
  }
  // A second scheduler on the same store, with a journal of its own, does not repeat a boot.
  const auto server = start_server(bench, "other");
  const HandWorker worker(server->address());
  worker.send(worker.hello("hand"));
  CHECK(worker.wait<Welcome>().boot > boot);
}

TEST_CASE("bad frames, and frames in another's name, are dropped and the service goes on", "[server][wire]") {
  const Bench bench;
  const auto server = start_server(bench);
  const HandWorker bad(server->address(), 1), good(server->address(), 2);
  for (const Frame& frame : {Frame{}, Frame{1, 2, 3}, Frame(100'000, 0xff), encode(ToWorker(Refused{"no"}))}) {
    REQUIRE(bad.link->send(frame).ok());
  }
  bad.send(good.hello("thief"));
  good.send(good.hello("honest"));
  CHECK(good.wait<Welcome>().worker);
  const Json workers = json_of_body(ask(*server, "GET", "workers"))["items"];
  REQUIRE(workers.size() == 1);
  CHECK(workers[0]["name"] == "honest");
}

TEST_CASE("a lease carries the recipe of its trial, and its record is durable before it leaves", "[server][wire]") {
  const Bench bench;
  const auto server = start_server(bench);
  const HandWorker worker(server->address());
  worker.send(worker.hello("hand"));
  worker.wait<Welcome>();
  REQUIRE(ask(*server, "POST", "experiments", example_spec()).status == 201);
  const RunUnit run = worker.wait<RunUnit>();
  REQUIRE(run.recipes.size() == 1);
  const Json recipe = Json::parse(run.recipes[0]);
  CHECK(recipe["training"]["optimizer"]["lr"].is_number());
  CHECK(run.partitions == 3);
  bool leased = false;
  for (const RecordLine& line : server->records(0, {1}, 1000)) {
    leased |= line.type == "unit_leased" &&
              line.json.find("\"token\":\"" + to_string(run.lease.token) + "\"") != std::string::npos;
  }
  CHECK(leased);
}

TEST_CASE("a damaged journal is refused by seq, and the state directory is free again", "[server]") {
  const Bench bench;
  {
    const auto server = start_server(bench);
    REQUIRE(ask(*server, "POST", "experiments", example_spec()).status == 201);
  }
  {  // in a text that the check of a record covers
    std::string file = text_of(bench.scratch / "state/journal.db");
    const std::size_t at = file.find("spec_expanded");
    REQUIRE(at != std::string::npos);
    file[at + 40] = file[at + 40] == 'x' ? 'y' : 'x';
    std::ofstream(bench.scratch / "state/journal.db", std::ios::binary) << file;
  }
  ServerConfig config;
  config.state_dir = bench.scratch / "state";
  config.store = bench.scratch / "store";
  config.listen = "tcp://127.0.0.1:0";
  config.insecure_loopback = true;
  config.verbosity = -1;
  const Status refused = Server::start(config).status();
  CHECK(refused.message().find("journal.db: record ") != std::string::npos);
  CHECK(Server::start(config).status().message() == refused.message());
}

TEST_CASE("the bytes of a stored state are a client's for the asking", "[server][api]") {
  const Bench bench(2, 0);
  run_to_end(bench, "state", 1);
  const auto server = start_server(bench);
  const ApiResponse listed = ask(*server, "GET", "experiments/e1/checkpoints");
  const Json items = json_of_body(listed)["items"];
  REQUIRE_FALSE(items.empty());
  const ApiResponse content = ask(*server, "GET", "checkpoints/" + items[0]["id"].get<std::string>() + "/content");
  CHECK(content.status == 200);
  CHECK(content.body.size() == items[0]["size_bytes"].get<std::size_t>());
  CHECK(content.body == text_of(server->store().local_path(items[0]["blob"]).value()));
  CHECK(ask(*server, "GET", "checkpoints/e1.99@0.1/content").status == 404);
}

TEST_CASE("a deleted experiment leaves no state in the store", "[server][api]") {
  const Bench bench(2, 0);
  run_to_end(bench, "state", 1);
  const auto server = start_server(bench);
  CHECK_FALSE(server->store().list("states/").value().empty());
  REQUIRE(ask(*server, "DELETE", "experiments/e1").status == 200);
  const Instant until = monotonic_now() + 5 * kSecond;
  while (!server->store().list("states/").value().empty() && monotonic_now() < until) std::this_thread::sleep_for(10ms);
  CHECK(server->store().list("states/").value().empty());
}

namespace {

// A server that takes a snapshot every few records, and a client that makes and ends experiments on it.
struct Compacting {
  explicit Compacting(std::optional<std::uint64_t> history_max) : history_max_(history_max) { start(); }
  void start() {
    server.reset();
    ServerConfig config;
    config.state_dir = bench.scratch / "state";
    config.store = bench.scratch / "store";
    config.listen = "tcp://127.0.0.1:0";
    config.verbosity = -1;
    config.snapshot_every = 20;
    config.history_max = history_max_;
    Result<std::unique_ptr<Server>> started = Server::start(config);
    INFO(started.status().message());
    REQUIRE(started.ok());
    server = std::move(*started);
  }
  void experiment() {
    ++experiments;
    REQUIRE(ask(*server, "POST", "experiments", example_spec("n" + std::to_string(experiments))).status == 201);
    REQUIRE(ask(*server, "POST", "experiments/e" + std::to_string(experiments) + ":cancel").status == 200);
    // What was recorded is written and moved on a thread of its own.
    std::this_thread::sleep_for(20ms);
  }
  std::vector<std::string> files(const std::string& prefix) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(bench.scratch / "state")) {
      const std::string name = std::filesystem::relative(entry.path(), bench.scratch / "state").string();
      if (name.starts_with(prefix)) names.push_back(name);
    }
    return names;
  }
  bool wait_for_segments(std::size_t count) const {
    const Instant until = monotonic_now() + 10 * kSecond;
    while (files("archive/").size() < count && monotonic_now() < until) std::this_thread::sleep_for(10ms);
    return files("archive/").size() >= count;
  }
  Bench bench;
  std::optional<std::uint64_t> history_max_;
  std::unique_ptr<Server> server;
  int experiments = 0;
};

}  // namespace

TEST_CASE("records move to the archive while the service runs, and nobody who reads them notices",
          "[server][archive]") {
  Compacting it(std::nullopt);
  while (it.experiments < 30) it.experiment();
  REQUIRE(it.wait_for_segments(3));
  const auto all = it.server->records(0, {}, kRecordsAtOnceMax);
  for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(all[i].seq == i + 1);
  CHECK(it.files("snapshot-").size() == 2);
  const std::string before = ask(*it.server, "GET", "experiments").body;
  const std::string trials = ask(*it.server, "GET", "experiments/e1/trials").body;
  it.start();
  CHECK(ask(*it.server, "GET", "experiments").body == before);
  CHECK(ask(*it.server, "GET", "experiments/e1/trials").body == trials);
  const auto again = it.server->records(0, {}, kRecordsAtOnceMax);
  REQUIRE(again.size() > all.size());
  for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(again[i].json == all[i].json);
  const std::string log = text_of(it.bench.scratch / "state/logs/scheduler.log");
  CHECK(log.find("read from snapshot ") != std::string::npos);

  // In pages, over the archive and journal.db.
  std::uint64_t after = 0, pages = 0;
  std::vector<std::uint64_t> seqs;
  for (;;) {
    const ApiResponse page = it.server->ask_and_wait(
        {"GET", "/api/v1/experiments/e1/records", {{"after", std::to_string(after)}, {"limit", "2"}}, "", ""});
    REQUIRE(page.status == 200);
    const Json json = json_of_body(page);
    if (json["next"].is_null()) break;
    for (const Json& item : json["items"]) {
      CHECK(item["experiment"] == "e1");
      seqs.push_back(item["seq"]);
    }
    after = json["next"];
    ++pages;
  }
  CHECK(pages > 2);
  std::vector<std::uint64_t> expected;
  for (const RecordLine& line : it.server->records(0, {1}, 1'000)) expected.push_back(line.seq);
  CHECK(seqs == expected);
  CHECK(ask(*it.server, "GET", "experiments/e99/records").status == 404);
  CHECK(it.server->ask_and_wait({"GET", "/api/v1/experiments/e1/records", {{"after", "x"}}, "", ""}).status == 400);
}

TEST_CASE("a cursor older than what is kept gets 410, and a newer experiment has lost nothing", "[server][archive]") {
  Compacting it(30);
  while (it.experiments < 40) it.experiment();
  const Instant until = monotonic_now() + 10 * kSecond;
  while (it.server->gone_before(0, {}) == 0 && monotonic_now() < until) {
    it.experiment();
  }
  const std::uint64_t first = it.server->gone_before(0, {});
  REQUIRE(first > 1);
  const ApiResponse gone = ask(*it.server, "GET", "experiments/e1/records");
  CHECK(gone.status == 410);
  CHECK(gone.content_type == "application/problem+json");
  CHECK(gone.body.find("?after=") != std::string::npos);
  CHECK(it.server->records(0, {}, 1).at(0).seq >= first);
  it.experiment();
  const std::string newest = "experiments/e" + std::to_string(it.experiments) + "/records";
  CHECK(ask(*it.server, "GET", newest).status == 200);
  CHECK_FALSE(json_of_body(ask(*it.server, "GET", newest))["items"].empty());
  it.start();  // from its snapshot: the older records are gone
  CHECK(ask(*it.server, "GET", "experiments/e1").status == 200);
}

TEST_CASE("a deleted experiment's records leave the archive, the others stay", "[server][archive]") {
  Compacting it(std::nullopt);
  while (it.experiments < 10) it.experiment();
  REQUIRE(ask(*it.server, "DELETE", "experiments/e3").status == 200);
  const Instant until = monotonic_now() + 20 * kSecond;
  while (!it.server->records(0, {3}, 10).empty() && monotonic_now() < until) it.experiment();
  CHECK(it.server->records(0, {3}, 10).empty());
  CHECK_FALSE(it.server->records(0, {2}, 10).empty());
  CHECK(it.server->gone_before(0, {}) == 0);
  it.start();
  CHECK(ask(*it.server, "GET", "experiments/e2").status == 200);
  CHECK(ask(*it.server, "GET", "experiments/e3").status == 404);
}
