// modelhop run: scheduler and workers on this machine, from start to result.
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "cli/attended_service.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/spec_check.h"
#include "cli/spec_input.h"
#include "cli/watch.h"
#include "scheduler/server/local_cluster.h"
#include "scheduler/web/web_server.h"

namespace modelhop::cli {
namespace {

constexpr std::size_t kBestShown = 10;
constexpr std::int64_t kAttendedNs = 2 * kSecond;  // a client that asked so shortly ago most likely waits
constexpr std::int64_t kSeeOffNs = kSecond;        // clients poll every 200 ms

struct RunOptions {
  std::string file;
  std::vector<std::string> sets;
  ClusterConfig cluster;
  std::uint16_t port{8080};
  std::string disk_reserve;
  Option port_given;
};

// On --port, or on any free one where 8080 is taken and nobody asked for it.
Result<std::unique_ptr<WebServer>> start_web(const Cli& cli, const RunOptions& options, Service& service) {
  WebConfig config;
  config.port = options.port;
  auto web = WebServer::start(config, service);
  if (web.ok() || web.status().code() != Code::kConflict || options.port_given.given()) return web;
  cli.note(fmt::format("port {} is taken, so another one is used", config.port));
  config.port = 0;
  return WebServer::start(config, service);
}

// What the next command needs to find this run again.
std::string where(const Cli& cli) {
  std::string out = " --state-dir " + cli.settings.value("state_dir");
  if (cli.settings.given("store")) out += " --store " + cli.settings.value("store");
  return out;
}

void print_results(const Cli& cli, Backend& backend, const Json& experiment) {
  const std::string id = text_of(experiment, "id");
  const auto trials = get_all(backend, experiment_path(id) + "/trials", {{"sort", "value"}}, kBestShown);
  if (trials.ok() && cli.format() == Format::kJson) {
    print_json({{"experiment", experiment}, {"trials", *trials}});
  } else if (trials.ok() && !trials->empty()) {
    fmt::print("{}", trial_table(experiment, *trials, 0));
  }
  std::fflush(stdout);
  const auto planned = count_of(experiment, "trials_planned");
  cli.note("");
  if (planned > kBestShown) cli.note(fmt::format("the best {} of {} trials", kBestShown, planned));
  const std::string reason = text_of(experiment, "reason");
  cli.note(fmt::format("{} {}{} after {}", id, text_of(experiment, "state"),
                       reason.empty() ? "" : " (" + printable(reason) + ")",
                       duration_text(number_of(experiment, "elapsed_s"))));
  cli.note(
      fmt::format("journal and logs  {}\nstates and data   {}", cli.settings.value("state_dir"), cli.settings.store()));
  cli.note("next:");
  const std::string checkpoint = text_of(member(experiment, "best"), "checkpoint");
  if (!checkpoint.empty()) cli.note(fmt::format("  modelhop exp best {} --test{}", id, where(cli)));
  cli.note(fmt::format("  modelhop exp export {} --format csv{}", id, where(cli)));
  if (!checkpoint.empty()) {
    cli.note(fmt::format("  modelhop checkpoint download {}{}", checkpoint, where(cli)));
  }
}

Result<int> follow(const Cli& cli, const RunOptions& options, LocalCluster& cluster,
                   const LocalCluster::Submitted& submitted) {
  const auto backend = open_service(cluster.service());
  ASSIGN_OR_RETURN(const Json experiment, get(*backend, experiment_path(to_string(submitted.experiment))));
  const std::string id = text_of(experiment, "id");
  if (submitted.resumed) {
    cli.note(fmt::format("going on with {} ({}): {} of {} visits are done", id, text_of(experiment, "name"),
                         count_of(experiment, "visits_done"), count_of(experiment, "visits_planned")));
  } else {
    cli.note(fmt::format("{} ({}): {} trials, {} visits on {}", id, text_of(experiment, "name"),
                         count_of(experiment, "trials_planned"), count_of(experiment, "visits_planned"),
                         workers_text(options.cluster.workers)));
  }
  const std::uint64_t told = submitted.resumed ? count_of(experiment, "seq") : 0;
  ASSIGN_OR_RETURN(const auto ended, follow_here(cli, cluster, *backend, experiment, told));
  if (!ended) return kInterruptExit;
  print_results(cli, *backend, *ended);
  return exit_of(*ended);
}

// Whoever polled or streamed just before the end is given the time to see it, while the workers leave.
void see_off(const AttendedService& attended) {
  if (attended.asked_within(kAttendedNs)) std::this_thread::sleep_for(std::chrono::nanoseconds(kSeeOffNs));
}

// Before anything is started; in time for all but a race, which the server then tells.
Status port_is_free(std::uint16_t port) {
  const int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (one < 0) return {};
  const int reuse = 1;
  setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool taken = bind(one, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno == EADDRINUSE;
  close(one);
  if (!taken) return {};
  return conflict(fmt::format("port {} is taken; give another --port, or --port 0 for any free one", port));
}

Result<int> run(const Cli& cli, RunOptions options) {
  ASSIGN_OR_RETURN(const std::string spec, read_spec(options.file, options.sets));
  // Before anything is started or made.
  const CheckedSpec checked = check_spec_here(cli.settings.store(), spec);
  std::vector<Problem> problems = checked.parsed.problems;
  if (!checked.data) std::erase_if(problems, [](const Problem& problem) { return problem.warning; });
  if (!cli.quiet || !checked.parsed.spec) print_problems(options.file, problems);
  if (!checked.parsed.spec) return kUsageExit;
  if (!checked.data) return missing_dataset(cli.settings.store(), checked.dataset);
  if (options.port_given.given() && options.port != 0) RETURN_IF_ERROR(port_is_free(options.port));
  if (!options.disk_reserve.empty()) {
    ASSIGN_OR_RETURN(options.cluster.disk_reserve, parse_disk_reserve(options.disk_reserve));
  }
  Interrupts::install();
  options.cluster.state_dir = cli.settings.value("state_dir");
  options.cluster.store = cli.settings.value("store");
  options.cluster.worker_program = cli.settings.value("worker");
  options.cluster.verbose = cli.verbose;
  ASSIGN_OR_RETURN(const auto cluster, LocalCluster::start(options.cluster));
  AttendedService attended(cluster->service());
  ASSIGN_OR_RETURN(const auto web, start_web(cli, options, attended));
  cli.note(fmt::format("scheduler at http://127.0.0.1:{}, {}, state in {}", web->port(),
                       workers_text(options.cluster.workers), cli.settings.value("state_dir")));
  auto submitted = cluster->submit(spec);
  RETURN_IF_ERROR(submitted.status());
  if (!submitted->experiment) {  // what changed since it was checked: the data set is gone
    print_problems(options.file, submitted->problems);
    return kUsageExit;
  }
  if (options.cluster.workers > checked.data->partitions.size()) {
    cli.note(fmt::format("{} of {} workers will have no partition and idle: data set \"{}\" has {}",
                         options.cluster.workers - checked.data->partitions.size(), options.cluster.workers,
                         checked.dataset, checked.data->partitions.size()));
  }
  Result<int> done = follow(cli, options, *cluster, *submitted);
  if (done.ok() && *done != kInterruptExit) {
    cluster->drain();
    see_off(attended);
    if (!cluster->wait_stopped(10'000)) cluster->kill();
  }
  web->stop();
  return done;
}

}  // namespace

void add_run(CLI::App& app, Cli& cli) {
  const auto options = make_options<RunOptions>();
  CLI::App* command =
      add_command(&app, "run", "Run a spec here: scheduler and workers in one command, to the end",
                  "  modelhop run spec.json --workers 2\n"
                  "  modelhop run spec.json --workers 4 --state-dir D --port 0 --set training.epochs=3\n"
                  "Killed or interrupted, the same command goes on where it was. Exit 1: the experiment failed.");
  option(command, "spec", options->file, "Spec file, JSON (docs/spec.md); - reads standard input").required();
  option(command, "-n,--workers", options->cluster.workers, "Worker processes to start (default 1)")
      .between(1u, kLocalWorkersMax);
  option(command, "--device", options->cluster.device, "Device of each worker: cpu").one_of({"cpu"});
  option(command, "--threads", options->cluster.threads, "Threads of each worker (default 1); bits depend on it")
      .between(1, 1024);
  flag(command, "--insecure-loopback", options->cluster.insecure_loopback,
       "No keys between the scheduler and its workers: any process here can speak as one");
  options->port_given =
      option(command, "--port", options->port, "HTTP port (default 8080, or a free one; 0: any free one)");
  option(command, "--disk-reserve", options->disk_reserve, kDiskReserveHelp);
  flag(command, "--accept-lost-tail", options->cluster.accept_lost_tail, kAcceptLostTailHelp);
  option(command, "--set", options->sets, "PATH=VALUE to change in the spec; may be given more than once").repeatable();
  on_run(command, cli, [&cli, options] { return run(cli, *options); });
}

}  // namespace modelhop::cli
