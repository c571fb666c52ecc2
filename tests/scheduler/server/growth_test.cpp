// Forks and extensions over HTTP, with workers that train by plain arithmetic.
#include "common/base/limits.h"
#include "tests/scheduler/server/fixture.h"

using namespace modelhop;

namespace {

std::string spec_of_epochs(const std::string& epochs) {
  std::string spec = example_spec();
  return spec.replace(spec.find("\"epochs\":2"), 10, "\"epochs\":" + epochs);
}

ApiResponse fork_with(Service& service, const std::string& trial, const std::string& body, const std::string& key) {
  return ask(service, "POST", "trials/" + trial + ":fork", body, {}, key);
}

}  // namespace

TEST_CASE("an extended experiment gives what the larger one gives from the start", "[server][grow]") {
  const Bench bench;
  const std::string expected = run_to_end(bench, "larger", 2, spec_of_epochs("4"));
  const auto cluster = bench.start("grown", 2);
  REQUIRE(cluster->submit(spec_of_epochs("2")).ok());
  Service& service = cluster->service();
  REQUIRE(wait_state(service, "e1", "COMPLETED"));
  CHECK(export_of(service, "e1") != expected);
  const ApiResponse extended = ask(service, "POST", "experiments/e1:extend", R"({"epochs":4})");
  CHECK(extended.status == 200);
  CHECK(json_of_body(extended)["epochs"] == 4);
  REQUIRE(wait_state(service, "e1", "COMPLETED"));
  CHECK(export_of(service, "e1") == expected);
  CHECK(json_of_body(ask(service, "GET", "experiments/e1/spec"))["training"]["epochs"] == 4);
  CHECK(ask(service, "POST", "experiments/e1:extend", R"({"epochs":4})").status == 200);
  for (const char* bad : {R"({"epochs":3})", R"({"max_trials":9})", R"({"time_budget":"2h"})", R"({"seed":1})", "{}",
                          "", R"({"epochs":"x"})", R"({"time_budget":2})", R"({"epochs":1000001})"}) {
    INFO(bad);
    CHECK(ask(service, "POST", "experiments/e1:extend", bad).status == 422);
  }
  CHECK(ask(service, "POST", "experiments/e9:extend", R"({"epochs":9})").status == 404);
}

TEST_CASE("more trials are those that a larger max_trials gives from the start", "[server][grow]") {
  const auto spec_of_trials = [](const std::string& algorithm, int trials) {
    std::string spec = example_spec();
    const std::string was = R"("algorithm":{"name":"grid"})";
    return spec.replace(spec.find(was), was.size(),
                        R"("max_trials":)" + std::to_string(trials) + R"(,"algorithm":{"name":")" + algorithm + "\"}");
  };
  for (const char* algorithm : {"grid", "random"}) {
    INFO(algorithm);
    const Bench bench;
    const std::string expected = run_to_end(bench, "larger", 2, spec_of_trials(algorithm, 6));
    const auto cluster = bench.start("grown", 2);
    REQUIRE(cluster->submit(spec_of_trials(algorithm, 2)).ok());
    Service& service = cluster->service();
    CHECK(ask(service, "POST", "experiments/e1:extend", R"({"max_trials":3})").status == 200);
    REQUIRE(wait_state(service, "e1", "COMPLETED"));
    CHECK(ask(service, "POST", "experiments/e1:extend", R"({"max_trials":6})").status == 200);
    REQUIRE(wait_state(service, "e1", "COMPLETED"));
    CHECK(export_of(service, "e1") == expected);
    const ApiResponse seven = ask(service, "POST", "experiments/e1:extend", R"({"max_trials":7})");
    CHECK(seven.status == (algorithm == std::string("grid") ? 422 : 200));  // the grid has six points
  }
}

TEST_CASE("a fork is made once for its key, also after a restart; another request with it is refused",
          "[server][grow]") {
  const Bench bench;
  {
    const auto cluster = bench.start("state", 2);
    REQUIRE(cluster->submit(example_spec()).ok());
    Service& service = cluster->service();
    REQUIRE(wait_state(service, "e1", "COMPLETED"));
    const std::string body = R"({"set":{"training.optimizer.lr":0.05},"epochs":3})";
    const ApiResponse made = fork_with(service, "e1.2", body, "k");
    INFO(made.body);
    CHECK(made.status == 201);
    CHECK(json_of_body(made)["id"] == "e1.7");
    CHECK(json_of_body(fork_with(service, "e1.2", body, "k"))["id"] == "e1.7");
    REQUIRE(wait_state(service, "e1", "COMPLETED"));
    const Json trial = json_of_body(ask(service, "GET", "trials/e1.7"));
    CHECK(trial["origin"] == "fork of e1.2@0.6");
    CHECK(trial["source"] == "e1.2@0.6");
    CHECK(trial["first_visit"] == 6);
    CHECK(trial["state"] == "COMPLETED");
    CHECK(trial["epochs"] == 3);
    CHECK(trial["milestones"].size() == 1);
    CHECK(trial["params"]["training.optimizer.lr"] == 0.05);
    cluster->drain();
    REQUIRE(cluster->wait_stopped(20'000));
  }
  const auto server = start_server(bench);
  const auto key_of = [&](const std::string& path, const std::string& body) {
    return server->ask_and_wait({"POST", "/api/v1/" + path, {}, body, "k"});
  };
  const ApiResponse again = key_of("trials/e1.2:fork", R"({"epochs":3,"set":{"training.optimizer.lr":0.05}})");
  CHECK(again.status == 201);
  CHECK(json_of_body(again)["id"] == "e1.7");
  for (const ApiResponse& other :
       {key_of("trials/e1.2:fork", R"({"epochs":4})"), key_of("trials/e1.1:fork", R"({"epochs":3})"),
        key_of("experiments", example_spec())}) {
    CHECK(other.status == 409);
    CHECK(other.body.find("e1.7") != std::string::npos);
  }
  const std::string long_key(kNameBytesMax + 1, 'k');
  for (const char* path : {"trials/e1.2:fork", "experiments/e1:extend", "trials/e1.2:stop"}) {
    CHECK(server->ask_and_wait({"POST", std::string("/api/v1/") + path, {}, "{}", long_key}).status == 400);
  }
  const auto refused = [&](const std::string& path, const std::string& body) {
    const ApiResponse response = ask(*server, "POST", path, body);
    INFO(response.body);
    CHECK(response.status >= 400);
    return std::to_string(response.status) + " " + response.body;
  };
  CHECK(refused("trials/e1.2:fork", "{}").find("409") == 0);  // all its visits are done
  CHECK(refused("trials/e1.9:fork", "{}").find("404") == 0);
  CHECK(refused("trials/e1.2:fork", R"({"checkpoint":"e1.1@0.6","epochs":3})").find("422") == 0);
  CHECK(refused("trials/e1.2:fork", R"({"checkpoint":"latest"})").find("422") == 0);
  CHECK(refused("trials/e1.2:fork", R"({"checkpoint":"e1.2@0.5"})").find("is not in the store") != std::string::npos);
  CHECK(refused("trials/e1.2:fork", R"({"set":{"training.batch_size":100000},"epochs":3})").find("batch_size") !=
        std::string::npos);
  CHECK(refused("trials/e1.2:fork", R"({"set":{"training.batch_size":[1]}})").find("422") == 0);
  CHECK(refused("trials/e1.2:fork", R"({"lr":1})").find("422") == 0);
  CHECK(refused("trials/e1.2:fork", "[1]").find("422") == 0);
}
