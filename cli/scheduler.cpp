// modelhop scheduler: the service, until SIGTERM.
#include <fmt/format.h>
#include <unistd.h>

#include <thread>

#include "cli/cli.h"
#include "cli/watch.h"
#include "scheduler/server/backup.h"
#include "scheduler/server/server.h"
#include "scheduler/web/web_server.h"

namespace modelhop::cli {
namespace {

constexpr double kSnapshotEveryMin = 100;   // one is written at a time, so fewer would only keep the disk busy
constexpr std::uint32_t kDrainMs = 30'000;  // a batch and a save take seconds; what is cut off is run again

struct SchedulerOptions {
  std::string listen{"tcp://127.0.0.1:7077"};
  std::string http{"127.0.0.1:8080"};
  std::string keys, disk_reserve;
  double stall_s{600};
  bool insecure{}, insecure_loopback{};
  std::uint64_t snapshot_every{ServerConfig{}.snapshot_every};
  std::uint64_t history_max{};
  Option history_max_given;
  bool accept_lost_tail{};
};

// "127.0.0.1:8080", "[::1]:8080", ":8080" or "8080".
Result<WebConfig> web_config(const SchedulerOptions& options) {
  WebConfig config;
  config.insecure = options.insecure;
  const std::size_t colon = options.http.rfind(':');
  std::string address = colon == std::string::npos ? "" : options.http.substr(0, colon);
  const std::string port = colon == std::string::npos ? options.http : options.http.substr(colon + 1);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoi(port) > 65535) return invalid("--http " + options.http + ": write it like 127.0.0.1:8080");
  if (!address.empty()) config.address = address == "localhost" ? "127.0.0.1" : address;
  config.port = static_cast<std::uint16_t>(std::stoi(port));
  return config;
}

Result<int> serve(const Cli& cli, const SchedulerOptions& options) {
  ASSIGN_OR_RETURN(const WebConfig config, web_config(options));
  Interrupts::install();
  ServerConfig server_config;
  server_config.state_dir = cli.settings.value("state_dir");
  server_config.store = cli.settings.value("store");
  server_config.listen = options.listen;
  server_config.keys = options.keys;
  server_config.insecure_loopback = options.insecure_loopback;
  if (!options.disk_reserve.empty()) {
    ASSIGN_OR_RETURN(server_config.disk_reserve, parse_disk_reserve(options.disk_reserve));
  }
  server_config.snapshot_every = options.snapshot_every;
  if (options.history_max_given.given()) server_config.history_max = options.history_max;
  server_config.core.stall_ms = static_cast<std::uint32_t>(options.stall_s * 1000);
  server_config.core.accept_lost_tail = options.accept_lost_tail;
  server_config.verbosity = cli.verbose ? 1 : 0;
  ASSIGN_OR_RETURN(const auto server, Server::start(server_config));
  ASSIGN_OR_RETURN(const auto web, WebServer::start(config, *server));
  if (options.insecure) {
    cli.note("warning: --insecure lets anyone who reaches " + config.address + " start and cancel experiments");
  }
  const bool v6 = config.address.find(':') != std::string::npos;
  cli.note(fmt::format("HTTP at http://{}:{}\nworkers join with: {}\nstate in {}",
                       v6 ? "[" + config.address + "]" : config.address, web->port(), server->worker_command(),
                       cli.settings.value("state_dir")));
  while (Interrupts::count() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  cli.note("draining: running units stop at their next batch and are saved; again to end now");
  server->drain();
  for (std::uint32_t waited = 0; waited < kDrainMs && Interrupts::count() < 2; waited += 100) {
    if (server->wait_quiet(100)) break;
  }
  web->stop();
  server->stop();
  return kOkExit;
}

Result<int> backup(const Cli& cli, const std::string& folder) {
  const std::string state_dir = cli.settings.value("state_dir");
  ASSIGN_OR_RETURN(const Copied copied, backup_state(state_dir, folder));
  cli.note(fmt::format("{} holds {} up to record {}: {} files, {} bytes. States and data sets are in the store.",
                       folder, state_dir, copied.seq, copied.files, copied.bytes));
  return kOkExit;
}

struct RestoreOptions {
  std::string backup;
  bool take_over{}, accept_lost_tail{};
};

Result<int> restore(const Cli& cli, const RestoreOptions& options) {
  const std::string state_dir = cli.settings.value("state_dir");
  if (options.backup.empty() && !options.take_over) {
    return invalid("scheduler restore: name a BACKUP, or --take-over to claim the store for " + state_dir +
                   " as it is");
  }
  if (!options.backup.empty()) {
    ASSIGN_OR_RETURN(const Copied copied, restore_state(options.backup, state_dir));
    cli.note(fmt::format("{} is restored up to record {}", state_dir, copied.seq));
  }
  if (!options.take_over) {
    cli.note(
        "the scheduler whose copy this is still has the store; `modelhop scheduler restore --take-over` claims it");
    return kOkExit;
  }
  const std::string uri = cli.settings.store();
  ASSIGN_OR_RETURN(const auto store, open_store(uri));
  ASSIGN_OR_RETURN(const std::uint64_t seq, take_store_over(state_dir, *store, options.accept_lost_tail));
  cli.note(fmt::format("store {} is that of {} now, from record {} on; who worked over it ends at its next renewal",
                       uri, state_dir, seq));
  return kOkExit;
}

}  // namespace

void add_scheduler(CLI::App& app, Cli& cli) {
  const auto options = make_options<SchedulerOptions>();
  CLI::App* command = add_command(&app, "scheduler", "Serve until SIGTERM: workers join, experiments come over HTTP",
                                  "  modelhop scheduler --state-dir D --store /shared/store\n"
                                  "  modelhop-worker --scheduler tcp://127.0.0.1:7077 --store /shared/store --key "
                                  "D/keys/local.key\n"
                                  "Beyond loopback: modelhop keys generate, a key for each worker, then --listen.");
  option(command, "--listen", options->listen, "Where workers join (default tcp://127.0.0.1:7077)");
  option(command, "--http", options->http, "Where the HTTP API listens (default 127.0.0.1:8080; port 0: any free one)");
  option(command, "--stall-timeout", options->stall_s,
         "Seconds without a batch after which a unit's trainer counts as hung and its worker is ended (default 600)")
      .between(10, 1e6);
  option(command, "--disk-reserve", options->disk_reserve, kDiskReserveHelp);
  flag(command, "--insecure", options->insecure, "Allow an HTTP address beyond loopback, for anybody");
  option(command, "--keys", options->keys, "DIR of the keys that workers need (default STATE_DIR/keys)");
  flag(command, "--insecure-loopback", options->insecure_loopback, "Workers of this machine need no key");
  option(command, "--snapshot-every", options->snapshot_every, "Records between two snapshots (default 50000)")
      .between(kSnapshotEveryMin, 1e9);
  options->history_max_given =
      option(command, "--history-max", options->history_max, "Records to keep in the archive (default: all)");
  flag(command, "--accept-lost-tail", options->accept_lost_tail, kAcceptLostTailHelp);
  on_run(command, cli, [&cli, options] { return serve(cli, *options); });

  const auto folder = make_options<std::string>();
  CLI::App* of_backup =
      add_command(command, "backup", "Copy the state directory, while its scheduler runs or not, and verify the copy",
                  "  modelhop scheduler backup /backups/today --state-dir D");
  option(of_backup, "folder", *folder, "Where to: a folder that is empty or not there yet").required();
  on_run(of_backup, cli, [&cli, folder] { return backup(cli, *folder); });

  const auto restoring = make_options<RestoreOptions>();
  CLI::App* of_restore =
      add_command(command, "restore", "Make a state directory of a backup; --take-over claims the store for it",
                  "  modelhop scheduler restore /backups/today --state-dir D --store /shared/store --take-over\n"
                  "  modelhop scheduler restore --take-over --state-dir D --store /shared/store");
  option(of_restore, "backup", restoring->backup,
         "What `modelhop scheduler backup` wrote; none: the state directory as it is");
  flag(of_restore, "--take-over", restoring->take_over,
       "The store is this state directory's from now on; a scheduler that works over it ends");
  flag(of_restore, "--accept-lost-tail", restoring->accept_lost_tail, kAcceptLostTailHelp);
  on_run(of_restore, cli, [&cli, restoring] { return restore(cli, *restoring); });
}

}  // namespace modelhop::cli
