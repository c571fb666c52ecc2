#include "worker/process/arguments.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/base/limits.h"
#include "common/base/version.h"

namespace modelhop {
namespace {

constexpr unsigned kThreadsMax = 1024;

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "worker";
}

// Half of the machine's memory: the rest is for models, states and everybody else.
std::uint64_t default_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) /
         2;
}

std::string default_data_dir(const std::string& name) {
  namespace fs = std::filesystem;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path root = state != nullptr && *state != '\0' ? fs::path(state)
                        : home != nullptr                  ? fs::path(home) / ".local/state"
                                                           : fs::path("/var/lib");
  return (root / "modelhop" / "workers" / name).string();
}

bool is_worker_name(const std::string& name) {
  if (name.empty() || name.size() > kNameBytesMax || name[0] == '.') return false;
  return name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
         std::string::npos;
}

}  // namespace

std::optional<int> parse_arguments(int argc, const char* const* argv, ProcessConfig& config) {
  config.name = host_name();
  config.memory_bytes = default_memory();
  CLI::App app(
      "A worker of modelhop: trains what its scheduler leases to it.\n"
      "Also: modelhop-worker job (runs one job from stdin; used by modelhop itself).");
  app.set_version_flag("--version", std::string("modelhop-worker ") + kModelhopVersion);
  app.add_option("--scheduler", config.scheduler, "The scheduler's address, tcp://HOST:PORT")
      ->required()
      ->envname("MODELHOP_SCHEDULER");
  app.add_option("--name", config.name, "Stays the same over restarts; default: this machine's name");
  app.add_option("--device", config.device, "cpu");
  app.add_option("--threads", config.threads, "Intra-op threads; results depend on it")
      ->check(CLI::Range(1u, kThreadsMax));
  app.add_option("--data-dir", config.data_dir, "Where copies of partitions are kept; one worker each");
  app.add_option("--memory", config.memory_bytes,
                 "For resident partitions: bytes, or 512MB, 4GB; default: half of the machine's")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--store", config.store, "The scheduler's store: a path or file:///path")
      ->required()
      ->envname("MODELHOP_STORE");
  app.add_option("--key", config.key,
                 "FILE of this worker's key (modelhop keys generate NAME, beside the scheduler); a scheduler lets only "
                 "workers with a key in, unless it runs with --insecure-loopback")
      ->envname("MODELHOP_KEY");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!is_worker_name(config.name)) {
    std::fprintf(stderr, "--name \"%s\": wants 1 to %zu of [A-Za-z0-9._-], not beginning with '.'\n",
                 config.name.c_str(), kNameBytesMax);
    return 2;
  }
  if (config.device != "cpu") {
    std::fprintf(stderr, "--device %s: this program trains on cpu only\n", config.device.c_str());
    return 2;
  }
  if (config.data_dir.empty()) config.data_dir = default_data_dir(config.name);
  return std::nullopt;
}

}  // namespace modelhop
