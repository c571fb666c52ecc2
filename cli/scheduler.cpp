// modelhop scheduler: the service, until SIGTERM.
#include <fmt/format.h>
#include <unistd.h>

#include <thread>

#include "cli/cli.h"
#include "cli/watch.h"
#include "scheduler/server/server.h"
#include "scheduler/web/web_server.h"

namespace modelhop::cli {
namespace {

constexpr std::uint32_t kDrainMs = 30'000;  // a batch and a save take seconds; what is cut off is run again

struct SchedulerOptions {
  std::string listen{"tcp://127.0.0.1:7077"};
  std::string http{"127.0.0.1:8080"};
  std::string keys, disk_reserve;
  bool insecure{}, insecure_loopback{};
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
  option(command, "--disk-reserve", options->disk_reserve, kDiskReserveHelp);
  flag(command, "--insecure", options->insecure, "Allow an HTTP address beyond loopback, for anybody");
  option(command, "--keys", options->keys, "DIR of the keys that workers need (default STATE_DIR/keys)");
  flag(command, "--insecure-loopback", options->insecure_loopback, "Workers of this machine need no key");
  on_run(command, cli, [&cli, options] { return serve(cli, *options); });
}

}  // namespace modelhop::cli
