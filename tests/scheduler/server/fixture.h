#pragma once
// A store with a small data set, and clusters of fake workers over it.
#include <signal.h>
#include <stdlib.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "common/base/time.h"
#include "scheduler/api/json_text.h"
#include "scheduler/server/local_cluster.h"
#include "scheduler/server/server.h"
#include "tests/common/store/scratch.h"
#include "tests/worker/data/example_data.h"

namespace modelhop {

inline const std::string kFakeWorker = std::string(MODELHOP_BINARY_DIR) + "/tests/modelhop-fake-worker";

// Six trials of two epochs over P partitions.
inline std::string example_spec(const std::string& name = "grid") {
  return R"({"version":1,"name":")" + name + R"(","seed":7,"dataset":{"name":"tiny"},
    "model":{"type":"sequential","layers":[{"type":"flatten"},{"type":"linear","out_features":3}]},
    "training":{"epochs":2,"batch_size":8,"loss":"cross_entropy","metrics":["accuracy"],"optimizer":{"name":"sgd","lr":0.1}},
    "algorithm":{"name":"grid"},"metric":{"name":"val_loss","goal":"minimize"},
    "parameters":{"training.optimizer.lr":{"values":[0.1,0.01,0.001]},"training.batch_size":{"values":[4,8]}}})";
}

class Bench {
 public:
  explicit Bench(std::uint32_t partitions = 3, int batch_us = 500) {
    write_mnist(scratch / "raw", 120, 0);
    ImportRequest request = request_of(ImportFrom::kIdx, {scratch / "raw"}, partitions);
    request.validation_rows = 12;
    const Result<Manifest> imported = import_dataset(scratch / "store", request);
    INFO(imported.status().message());
    REQUIRE(imported.ok());
    ::setenv("MODELHOP_FAKE_BATCH_US", std::to_string(batch_us).c_str(), 1);
  }

  ClusterConfig config(const std::string& state, unsigned workers) const {
    ClusterConfig out;
    out.state_dir = scratch / state;
    out.store = scratch / "store";
    out.workers = workers;
    out.memory_bytes = 64 << 20;
    out.worker_program = kFakeWorker;
    return out;
  }
  std::unique_ptr<LocalCluster> start(const std::string& state, unsigned workers) const {
    Result<std::unique_ptr<LocalCluster>> cluster = LocalCluster::start(config(state, workers));
    INFO(cluster.status().message());
    REQUIRE(cluster.ok());
    return std::move(cluster).value();
  }
  std::string logs(const std::string& state) const {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(scratch / (state + "/logs"))) {
      all += "== " + entry.path().filename().string() + "\n" + text_of(entry.path().string());
    }
    return all;
  }

  Scratch scratch;
};

inline ServerConfig server_config(const Bench& bench, const std::string& state = "state") {
  ServerConfig config;
  config.state_dir = bench.scratch / state;
  config.store = bench.scratch / "store";
  config.listen = "tcp://127.0.0.1:0";
  config.insecure_loopback = true;
  config.verbosity = -1;
  return config;
}

inline std::unique_ptr<Server> start_server(const ServerConfig& config) {
  Result<std::unique_ptr<Server>> server = Server::start(config);
  INFO(server.status().message());
  REQUIRE(server.ok());
  return std::move(server).value();
}

inline std::unique_ptr<Server> start_server(const Bench& bench, const std::string& state = "state") {
  return start_server(server_config(bench, state));
}

inline Json json_of_body(const ApiResponse& response) {
  Json out = Json::parse(response.body, nullptr, false);
  INFO(response.body);
  REQUIRE_FALSE(out.is_discarded());
  return out;
}

inline bool eventually(const std::function<bool()>& holds, int seconds = 20) {
  const Instant until = monotonic_now() + seconds * kSecond;
  while (!holds()) {
    if (monotonic_now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

inline ApiResponse ask(Service& service, const std::string& method, const std::string& path,
                       const std::string& body = "", std::map<std::string, std::string> query = {},
                       const std::string& idempotency_key = "") {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<ApiResponse> got;
  service.ask({method, "/api/v1/" + path, std::move(query), body, idempotency_key}, [&](ApiResponse response) {
    std::lock_guard guard(mutex);
    got = std::move(response);
    changed.notify_all();
  });
  std::unique_lock guard(mutex);
  REQUIRE(changed.wait_for(guard, std::chrono::seconds(20), [&] { return got.has_value(); }));
  return *got;
}

inline std::string state_of(Service& service, const std::string& experiment) {
  return Json::parse(ask(service, "GET", "experiments/" + experiment).body)["state"];
}

inline bool wait_state(Service& service, const std::string& experiment, const std::string& state, int seconds = 60) {
  const Instant until = monotonic_now() + seconds * kSecond;
  while (monotonic_now() < until) {
    if (state_of(service, experiment) == state) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// What equal runs have equal: trials, parameters, metrics, state hashes.
inline std::string export_of(Service& service, const std::string& experiment) {
  const ApiResponse response = ask(service, "GET", "experiments/" + experiment + "/export", "", {{"format", "csv"}});
  REQUIRE(response.status == 200);
  return response.body;
}

// Submits, waits for the end, drains; the export.
inline std::string run_to_end(const Bench& bench, const std::string& state, unsigned workers,
                              const std::string& spec = example_spec()) {
  const auto cluster = bench.start(state, workers);
  const auto submitted = cluster->submit(spec);
  INFO(submitted.status().message());
  REQUIRE(submitted.ok());
  for (const Problem& problem : submitted->problems) UNSCOPED_INFO(problem.pointer << ": " << problem.message);
  REQUIRE(submitted->experiment);
  const std::string id = to_string(submitted->experiment);
  const bool done = wait_state(cluster->service(), id, "COMPLETED");
  INFO(bench.logs(state));
  REQUIRE(done);
  const std::string out = export_of(cluster->service(), id);
  cluster->drain();
  REQUIRE(cluster->wait_stopped(20'000));
  return out;
}

}  // namespace modelhop
