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
  const Instant until = monotonic_now() + 60 * kSecond;
  while (answered + refused < kAsked && monotonic_now() < until) std::this_thread::sleep_for(10ms);
  CHECK(answered + refused == kAsked);
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
