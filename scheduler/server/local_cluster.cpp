#include "scheduler/server/local_cluster.h"

#include <cstdlib>
#include <filesystem>

#include "common/store/files.h"
#include "scheduler/api/json_text.h"
#include "scheduler/server/link_keys.h"
#include "scheduler/server/server.h"
#include "scheduler/server/spec_requests.h"
#include "scheduler/server/supervisor.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

Result<std::string> find_worker_program(const std::string& given) {
  std::string path = given;
  if (const char* set = std::getenv("MODELHOP_WORKER"); path.empty() && set != nullptr) path = set;
  std::error_code error;
  if (path.empty()) path = (fs::read_symlink("/proc/self/exe", error).parent_path() / "modelhop-worker").string();
  if (!fs::is_regular_file(path, error)) {
    return not_found(path + ": there is no worker program; build it (./dev build), or set MODELHOP_WORKER to its path");
  }
  return fs::absolute(path).string();
}

class Cluster final : public LocalCluster {
 public:
  Cluster(std::unique_ptr<OneTimeKeys> keys, std::unique_ptr<Server> server, std::vector<WorkerCommand> workers,
          const SupervisorLimits& limits)
      : keys_(std::move(keys)), server_(std::move(server)), supervisor_(*server_, std::move(workers), limits) {}

  Service& service() override { return *server_; }

  Result<Submitted> submit(const std::string& text) override {
    CheckedSpec checked = check_spec(server_->store(), text);
    Submitted out{{}, false, checked.parsed.problems};
    if (checked.refused) return out;
    if (const auto found = server_->find_unfinished(checked.parsed.spec->expanded, checked.dataset.identity)) {
      out.experiment = *found;
      out.resumed = true;
      return out;
    }
    const ApiResponse response = server_->ask_and_wait({"POST", "/api/v1/experiments", {}, text, ""});
    const Json answer = Json::parse(response.body, nullptr, false);
    if (response.status != 201 || !answer.is_object() || !answer.contains("id") ||
        !parse(answer["id"].get<std::string>(), out.experiment)) {
      return conflict("the experiment was not created: " + response.body);
    }
    return out;
  }

  Status failure() const override { return supervisor_.failure(); }
  void drain() override { supervisor_.drain(); }
  void kill() override { supervisor_.kill(); }

  bool wait_stopped(std::uint32_t timeout_ms) override {
    if (!supervisor_.wait_stopped(timeout_ms)) return false;
    server_->stop();
    return true;
  }

 private:
  const std::unique_ptr<OneTimeKeys> keys_;  // its files go last
  const std::unique_ptr<Server> server_;
  Supervisor supervisor_;
};

}  // namespace

Result<std::unique_ptr<LocalCluster>> LocalCluster::start(const ClusterConfig& config) {
  if (config.workers < 1 || config.workers > kLocalWorkersMax) {
    return invalid("--workers " + std::to_string(config.workers) + ": wants 1 to " + std::to_string(kLocalWorkersMax));
  }
  ASSIGN_OR_RETURN(const std::string program, find_worker_program(config.worker_program));
  ServerConfig of_server;
  of_server.state_dir = fs::absolute(config.state_dir).lexically_normal().string();
  of_server.store = config.store;
  of_server.listen = "tcp://127.0.0.1:0";
  of_server.core.workers_expected = config.workers;
  of_server.disk_reserve = config.disk_reserve;
  of_server.core.accept_lost_tail = config.accept_lost_tail;
  of_server.verbosity = config.verbose ? 1 : -1;
  std::vector<std::string> names;
  for (unsigned i = 1; i <= config.workers; ++i) names.push_back("w" + std::to_string(i));
  auto keys = config.insecure_loopback ? nullptr : std::make_unique<OneTimeKeys>(names);
  of_server.insecure_loopback = config.insecure_loopback;
  if (keys) of_server.own_keys = keys->server();
  of_server.workers_gone = "its scheduler was started again";  // and it died with it
  ASSIGN_OR_RETURN(std::unique_ptr<Server> server, Server::start(of_server));
  std::vector<WorkerCommand> workers;
  for (const std::string& name : names) {
    const std::string data_dir = of_server.state_dir + "/workers/" + name;
    RETURN_IF_ERROR(make_folders(data_dir));
    WorkerCommand worker{name, {program}, of_server.state_dir + "/logs/worker-" + name + ".log"};
    for (const std::string& word :
         {std::string("--scheduler"), server->address(), std::string("--name"), name, std::string("--device"),
          config.device, std::string("--threads"), std::to_string(config.threads), std::string("--data-dir"), data_dir,
          std::string("--store"), server->store_uri()}) {
      worker.argv.push_back(word);
    }
    if (config.memory_bytes > 0) {
      worker.argv.insert(worker.argv.end(), {"--memory", std::to_string(config.memory_bytes)});
    }
    const std::string key = keys ? of_server.state_dir + "/workers/" + name + ".key" : "";  // none, not $MODELHOP_KEY's
    if (keys) RETURN_IF_ERROR(keys->write(name, key));
    worker.argv.insert(worker.argv.end(), {"--key", key});
    workers.push_back(std::move(worker));
  }
  return std::unique_ptr<LocalCluster>(
      std::make_unique<Cluster>(std::move(keys), std::move(server), std::move(workers), config.limits));
}

}  // namespace modelhop
