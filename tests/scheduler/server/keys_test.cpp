// Who may speak to a scheduler, and what becomes of those that no longer may.
#include <sys/stat.h>

#include "common/net/key_folder.h"
#include "scheduler/server/link_keys.h"
#include "tests/scheduler/server/fixture.h"
#include "tests/scheduler/server/hand_worker.h"

using namespace modelhop;
using namespace std::chrono_literals;

namespace {

ServerConfig config_with_keys(const Bench& bench) {
  ServerConfig config = server_config(bench);
  config.insecure_loopback = false;
  config.core.heartbeat_ms = 1'000;
  return config;
}

// One trial, so that one of two workers has work and the other waits.
std::string one_trial() {
  std::string spec = example_spec();
  spec.replace(spec.find("[0.1,0.01,0.001]"), 16, "[0.1]");
  spec.replace(spec.find("[4,8]"), 5, "[4]");
  return spec;
}

std::optional<RunUnit> unit_of(const HandWorker& worker, int ms) {
  const Instant until = monotonic_now() + ms * kMillisecond;
  while (monotonic_now() < until) {
    const auto received = worker.link->receive(10 * kMillisecond);
    for (const Frame& frame : received->frames) {
      const auto message = decode_to_worker(frame);
      if (const auto* run = message.ok() ? std::get_if<RunUnit>(&*message) : nullptr) return *run;
    }
  }
  return std::nullopt;
}

double metric(Server& server, const std::string& line) {
  const std::string text = ask(server, "GET", "metrics").body;
  const std::size_t at = text.find("\n" + line + " ");
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(at + line.size() + 2));
}

}  // namespace

TEST_CASE("a scheduler on loopback makes keys at its first start, and lets nobody in without one", "[server][keys]") {
  const Bench bench;
  auto server = start_server(config_with_keys(bench));
  const KeyFolder folder(bench.scratch / "state/keys");
  const std::string file = folder.path() + "/local.key";
  CHECK(server->worker_command().find("--key " + file) != std::string::npos);
  const auto none = std::move(WorkerLink::connect(server->address(), make_incarnation())).value();
  Status refused;
  for (int i = 0; i < 100 && refused.ok(); ++i) refused = none->receive(50 * kMillisecond)->refused;
  CHECK(refused.message().find("--key") != std::string::npos);
  const auto keys = read_worker_keys(file);
  REQUIRE(keys.ok());
  const HandWorker worker(server->address(), *keys);
  worker.send(worker.hello("w1"));
  worker.wait<Welcome>();
  const std::string secret = folder.scheduler()->secret_key;
  CHECK(bench.logs("state").find(secret) == std::string::npos);
  server.reset();
  server = start_server(config_with_keys(bench));
  CHECK(KeyFolder(folder).scheduler()->secret_key == secret);
}

TEST_CASE("a revoked worker is out within a second, and its unit runs elsewhere at once", "[server][keys]") {
  const Bench bench(1);
  const ServerConfig config = config_with_keys(bench);
  const auto server = start_server(config);
  KeyFolder folder(bench.scratch / "state/keys");
  REQUIRE(folder.make_worker("k1").ok());
  REQUIRE(folder.make_worker("k2").ok());
  std::this_thread::sleep_for(1s);  // allowed by now
  const HandWorker first(server->address(), *read_worker_keys(folder.path() + "/k1.key"));
  first.send(first.hello("w1"));
  first.wait<Welcome>();
  REQUIRE(ask(*server, "POST", "experiments", one_trial()).status == 201);
  const auto leased = unit_of(first, 10'000);
  REQUIRE(leased);
  const HandWorker second(server->address(), *read_worker_keys(folder.path() + "/k2.key"));
  second.send(second.hello("w2"));
  second.wait<Welcome>();

  const Instant revoked_at = monotonic_now();
  REQUIRE(folder.revoke("k1").ok());
  const auto moved = unit_of(second, 5'000);
  REQUIRE(moved);
  // Within a heartbeat on a machine that has time for it (`./dev test --long keys`); any lease's end is far from this.
  CHECK(monotonic_now() - revoked_at < 4 * kSecond);
  CHECK(moved->lease.unit.id == leased->lease.unit.id);
  CHECK(moved->lease.token > leased->lease.token);
  CHECK(first.wait<Refused>().reason.find("revoked") != std::string::npos);
  CHECK(json_of_body(ask(*server, "GET", "workers/w1"))["state"] != "connected");

  // What it still says reaches no decoder, and it does not come back.
  const double decoded = metric(*server, "modelhop_frames_total");
  for (int i = 0; i < 10; ++i) (void)first.link->send(encode(ToScheduler(first.hello("w1"))));
  std::this_thread::sleep_for(300ms);
  CHECK(metric(*server, "modelhop_frames_total") == decoded);
  const WorkerKeys old = *read_worker_keys(folder.path() + "/k1.key");
  const auto again =
      std::move(WorkerLink::connect(server->address(), make_incarnation(old.own.public_key), old)).value();
  Status refused;
  for (int i = 0; i < 100 && refused.ok(); ++i) refused = again->receive(50 * kMillisecond)->refused;
  CHECK(refused.code() == Code::kConflict);
  CHECK(metric(*server, "modelhop_connections_refused_total{reason=\"key\"}") >= 1);
  // The unit was not to blame.
  const std::string records = ask(*server, "GET", "experiments/e1/records").body;
  CHECK(records.find("\"fault\":\"worker_lost\"") == std::string::npos);
}

TEST_CASE("a worker whose connection ends is lost within seconds, and its unit runs elsewhere", "[server][keys]") {
  const Bench bench(1);
  const ServerConfig config = config_with_keys(bench);
  const auto server = start_server(config);
  KeyFolder folder(bench.scratch / "state/keys");
  REQUIRE(folder.make_worker("k1").ok());
  REQUIRE(folder.make_worker("k2").ok());
  std::this_thread::sleep_for(1s);  // allowed by now
  auto first = std::make_unique<HandWorker>(server->address(), *read_worker_keys(folder.path() + "/k1.key"));
  first->send(first->hello("w1"));
  first->wait<Welcome>();
  REQUIRE(ask(*server, "POST", "experiments", one_trial()).status == 201);
  const auto leased = unit_of(*first, 10'000);
  REQUIRE(leased);
  const HandWorker second(server->address(), *read_worker_keys(folder.path() + "/k2.key"));
  second.send(second.hello("w2"));
  second.wait<Welcome>();
  first.reset();
  const Instant died_at = monotonic_now();
  std::optional<RunUnit> moved;  // its partition waits 10 s for it
  for (Instant beat = died_at; !moved && beat - died_at < 20 * kSecond; beat = monotonic_now()) {
    second.send(Heartbeat{second.self, {}});
    moved = unit_of(second, 500);
    if (beat - died_at > 7 * kSecond) CHECK(json_of_body(ask(*server, "GET", "workers/w1"))["state"] == "left");
  }
  REQUIRE(moved);
  CHECK(moved->lease.unit.id == leased->lease.unit.id);
}

TEST_CASE("a key that was revoked while its scheduler was down is out at the start", "[server][keys]") {
  const Bench bench;
  const ServerConfig config = config_with_keys(bench);
  KeyFolder folder(bench.scratch / "state/keys");
  {
    const auto server = start_server(config);
    const HandWorker worker(server->address(), *read_worker_keys(folder.path() + "/local.key"));
    worker.send(worker.hello("w1"));
    worker.wait<Welcome>();
  }
  REQUIRE(folder.revoke("local").ok());
  const auto server = start_server(config);
  CHECK(eventually([&] { return json_of_body(ask(*server, "GET", "workers/w1"))["state"] != "connected"; }, 1));
}

TEST_CASE("a connected worker's name is its key's", "[server][keys]") {
  const Bench bench;
  const auto server = start_server(config_with_keys(bench));
  KeyFolder folder(bench.scratch / "state/keys");
  REQUIRE(folder.make_worker("other").ok());
  std::this_thread::sleep_for(1s);
  const WorkerKeys local = *read_worker_keys(folder.path() + "/local.key");
  const HandWorker worker(server->address(), local),
      thief(server->address(), *read_worker_keys(folder.path() + "/other.key"));
  worker.send(worker.hello("w1"));
  worker.wait<Welcome>();
  thief.send(thief.hello("w1"));
  CHECK(thief.wait<Refused>().reason.find("another key") != std::string::npos);
  // Under its own key a worker that was started anew takes its name over.
  const HandWorker anew(server->address(), local);
  anew.send(anew.hello("w1"));
  anew.wait<Welcome>();
}

TEST_CASE("beyond loopback keys are required, without exception", "[server][keys]") {
  const Bench bench;
  ServerConfig config = config_with_keys(bench);
  config.listen = "tcp://0.0.0.0:0";
  const Status without = Server::start(config).status();
  CHECK(without.code() == Code::kInvalid);
  CHECK(without.message().find("modelhop keys generate --keys") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(bench.scratch / "state/keys"));
  config.insecure_loopback = true;
  const Status insecure = Server::start(config).status();
  CHECK(insecure.code() == Code::kInvalid);
  CHECK(insecure.message().find("loopback only") != std::string::npos);
  config.insecure_loopback = false;
  KeyFolder folder(bench.scratch / "state/keys");
  REQUIRE(folder.make_scheduler().ok());
  const auto server = start_server(config);
  CHECK(server->address().starts_with("tcp://0.0.0.0:"));
  server->stop();
  std::filesystem::permissions(folder.path() + "/scheduler.key", std::filesystem::perms{0644});
  CHECK(Server::start(config).status().message().find("chmod 600") != std::string::npos);
}

TEST_CASE("a local cluster's keys live as long as it, in files that only its user reads", "[server][keys][cluster]") {
  const Bench bench(2, 2'000);
  const std::string file = bench.scratch / "state/workers/w1.key";
  {
    const auto cluster = bench.start("state", 2);
    struct stat entry {};
    REQUIRE(::stat(file.c_str(), &entry) == 0);
    CHECK((entry.st_mode & 0777) == 0600);
    const std::string secret = read_secret_key(file)->secret_key;
    REQUIRE(cluster->submit(example_spec()).ok());
    CHECK(wait_state(cluster->service(), "e1", "COMPLETED"));
    for (const auto& process : std::filesystem::directory_iterator("/proc")) {
      for (const char* what : {"/cmdline", "/environ"}) {
        CHECK(text_of(process.path().string() + what).find(secret) == std::string::npos);
      }
    }
    cluster->drain();
    REQUIRE(cluster->wait_stopped(20'000));
  }
  CHECK_FALSE(std::filesystem::exists(file));

  ClusterConfig insecure = bench.config("insecure", 1);
  insecure.insecure_loopback = true;
  ::setenv("MODELHOP_KEY", "/a/key/of/another/scheduler", 1);
  const auto cluster = std::move(LocalCluster::start(insecure)).value();
  CHECK_FALSE(std::filesystem::exists(bench.scratch / "insecure/workers/w1.key"));
  REQUIRE(cluster->submit(example_spec()).ok());
  CHECK(wait_state(cluster->service(), "e1", "COMPLETED"));
  ::unsetenv("MODELHOP_KEY");
}
