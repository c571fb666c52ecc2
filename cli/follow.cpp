#include "cli/follow.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>

#include "cli/watch.h"
#include "scheduler/server/local_cluster.h"

namespace modelhop::cli {
namespace {

constexpr int kFollowTries = 10;  // a scheduler that restarts is away for seconds

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using OwnedFile = std::unique_ptr<std::FILE, FileCloser>;

// Where progress goes: nowhere, with -q.
OwnedFile quiet_file(const Cli& cli) { return OwnedFile(cli.quiet ? std::fopen("/dev/null", "w") : nullptr); }
bool wants_view(const Cli& cli) { return !cli.quiet && isatty(STDERR_FILENO) == 1; }

// First Ctrl-C: drain; second: end now.
void end_early(const Cli& cli, LocalCluster& cluster) {
  cli.note("\ndraining: running units stop at their next batch and are saved; press Ctrl-C again to end now");
  cluster.drain();
  while (!cluster.wait_stopped(100)) {
    if (Interrupts::count() < 2) continue;
    cluster.kill();
    cli.note("ended; nothing that was saved is lost");
    break;
  }
  cli.note("run the same command again to go on");
}

}  // namespace

std::string workers_text(unsigned workers) { return fmt::format("{} worker{}", workers, workers == 1 ? "" : "s"); }

Result<std::optional<Json>> follow_here(const Cli& cli, LocalCluster& cluster, Backend& backend, const Json& experiment,
                                        std::uint64_t told) {
  const OwnedFile quiet = quiet_file(cli);
  Watch watch(backend, experiment, told, quiet ? quiet.get() : stderr, wants_view(cli));
  for (;;) {
    if (Interrupts::count() > 0) {
      watch.finish();
      end_early(cli, cluster);
      return std::optional<Json>();
    }
    if (const Status failure = cluster.failure(); !failure.ok()) {
      watch.finish();
      return failure;
    }
    ASSIGN_OR_RETURN(const bool ended, watch.step(100, "Ctrl-C drains and saves; run again to go on"));
    if (ended) break;
  }
  watch.finish();
  return std::optional(watch.experiment());
}

Result<std::optional<Json>> follow_there(const Cli& cli, Backend& backend, const Json& experiment) {
  const OwnedFile quiet = quiet_file(cli);
  Watch watch(backend, experiment, 0, quiet ? quiet.get() : stderr, wants_view(cli));
  int failures = 0;
  while (Interrupts::count() == 0) {
    const auto ended = watch.step(250, "Ctrl-C leaves; the experiment goes on");
    if (ended.ok() && *ended) {
      watch.finish();
      return std::optional(watch.experiment());
    }
    failures = ended.ok() ? 0 : failures + 1;
    if (ended.ok()) continue;
    if (ended.status().code() != Code::kUnreachable || failures > kFollowTries) return ended.status();
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  watch.finish();
  return std::optional<Json>();
}

}  // namespace modelhop::cli
