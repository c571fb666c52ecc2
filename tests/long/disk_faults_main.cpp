// modelhop-disk-faults: a 200-unit run in one process (the real server, journal, store and workers; a trainer that
// costs nothing), once for every call k that changes a file and for a full (ENOSPC) and a broken (EIO) disk at that
// call.
//   journal  journal.db: the process ends within a second, and the same command again gives the undisturbed export
//   state    the other files of the state directory: it ends and is right after a restart, or goes on and is right
//   store    the store and the workers' data directories: the run ends right, or was refused as it started
// usage: modelhop-disk-faults journal|state|store [--stride N] [--first K] [--jobs N]
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <thread>

#include "common/base/time.h"
#include "scheduler/api/json_text.h"
#include "scheduler/server/server.h"
#include "tests/common/store/fault_files.h"
#include "tests/common/store/fault_vfs.h"
#include "tests/common/store/scratch.h"
#include "tests/worker/process/fake_trainer.h"
#include "worker/data/dataset.h"
#include "worker/process/process.h"

using namespace modelhop;
namespace fs = std::filesystem;

namespace {

constexpr unsigned kWorkers = 2, kPartitions = 10, kEpochs = 4;  // and five trials: 200 units
constexpr std::int64_t kRunNs = 120 * kSecond;
constexpr int kRight = 0, kEnded = 1, kWrong = 3, kStuck = 4;

std::string spec_text() {
  return R"({"version":1,"name":"faults","seed":7,"dataset":{"name":"tiny"},
    "model":{"type":"sequential","layers":[{"type":"linear","out_features":3}]},
    "training":{"epochs":)" +
         std::to_string(kEpochs) +
         R"(,"batch_size":4,"loss":"cross_entropy","metrics":["accuracy"],"optimizer":{"name":"sgd","lr":0.1}},
    "algorithm":{"name":"grid"},"metric":{"name":"val_loss","goal":"minimize"},
    "parameters":{"training.optimizer.lr":{"values":[0.1,0.01,0.001,0.2,0.02]}}})";
}

// .npy of version 1.0.
void write_array(const std::string& path, const std::string& kind, const std::string& shape, const std::string& bytes) {
  std::string header = "{'descr': '" + kind + "', 'fortran_order': False, 'shape': (" + shape + ",), }";
  header += std::string(63 - (10 + header.size()) % 64, ' ') + "\n";
  std::ofstream(path, std::ios::binary) << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(header.size() & 255)
                                        << static_cast<char>(header.size() >> 8) << header << bytes;
}

bool make_dataset(const std::string& folder) {
  fs::create_directories(folder + "/raw");
  std::string x, y;
  for (int i = 0; i < 110; ++i) {
    for (int k = 0; k < 8; ++k) x += static_cast<char>(i * 7 + k * 31);
    y += static_cast<char>(i % 3);
  }
  write_array(folder + "/raw/x.npy", "|u1", "110, 8", x);
  write_array(folder + "/raw/y.npy", "|u1", "110", y);
  ImportRequest request;
  request.name = "tiny";
  request.from = ImportFrom::kNpy;
  request.paths = {folder + "/raw"};
  request.partitions = kPartitions;
  request.validation_rows = 10;
  const Result<Manifest> imported = import_dataset(folder + "/disk/store", request);
  if (!imported.ok()) std::fprintf(stderr, "%s\n", imported.status().message().c_str());
  return imported.ok();
}

// --- one run, in a process of its own --------------------------------------------------------------------------------

Json ask_json(Server& server, const std::string& method, const std::string& path, const std::string& body,
              int& status) {
  const ApiResponse response =
      server.ask_and_wait({method, "/api/v1/" + path, {}, body, method == "POST" ? "once" : ""});
  status = response.status;
  return Json::parse(response.body, nullptr, false);
}

void work_for_ever(const std::string& address, const std::string& folder, unsigned number) {
  ProcessConfig config;
  config.scheduler = address;
  config.name = "w" + std::to_string(number);
  config.data_dir = folder + "/disk/" + config.name;
  config.store = folder + "/disk/store";
  config.memory_bytes = 16 << 20;
  FakeTrainer trainer(std::chrono::microseconds(0));
  for (;;) {  // as whoever supervises it would
    run_worker(config, trainer);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

int run_here(const std::string& folder, std::string& exported) {
  ServerConfig config;
  config.state_dir = folder + "/state";
  config.store = folder + "/disk/store";
  config.listen = "tcp://127.0.0.1:0";
  config.verbosity = -1;
  config.insecure_loopback = true;
  config.disk_reserve.bytes = 0;
  config.core.workers_expected = kWorkers;
  Result<std::unique_ptr<Server>> started = Server::start(config);
  if (!started.ok()) {
    std::fprintf(stderr, "modelhop: %s\n", started.status().message().c_str());
    return kEnded;
  }
  // Never stopped: the process ends as if it was killed, with its journal open.
  Server* const server = std::move(started).value().release();
  for (unsigned i = 1; i <= kWorkers; ++i) {
    std::thread([server, folder, i] { work_for_ever(server->address(), folder, i); }).detach();
  }
  int status = 0;
  const Instant until = monotonic_now() + kRunNs;
  for (;;) {
    const Json experiment = ask_json(*server, "GET", "experiments/e1", "", status);
    if (status == 404) ask_json(*server, "POST", "experiments", spec_text(), status);
    if (status == 200 && experiment["state"] == "COMPLETED") break;
    if (status == 200 && experiment["state"] != "RUNNING") return kWrong;
    if (monotonic_now() > until) return kStuck;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const ApiResponse csv = server->ask_and_wait({"GET", "/api/v1/experiments/e1/export", {{"format", "csv"}}, "", ""});
  exported = csv.body;
  return csv.status == 200 ? kRight : kWrong;
}

struct Shared {  // between a run and whoever judges it
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::int64_t> fault_at{0};
};

struct Fault {
  std::string where;  // journal, state, store; empty: none
  std::uint64_t at{};
  int error{};
};

// The exit status of the run, and what it exported.
int run_apart(const std::string& folder, const Fault& fault, Shared& shared, std::string& exported) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (std::freopen((folder + "/err").c_str(), "a", stderr) == nullptr) ::_exit(kWrong);
    const auto note = [&](const std::string& what) {
      shared.fault_at = monotonic_now().ns;
      std::fprintf(stderr, "the fault: %s\n", what.c_str());
    };
    std::optional<FaultVfs> vfs;
    std::optional<FaultFiles> files;
    if (fault.where == "journal") vfs.emplace(FaultVfs::Plan{fault.at, fault.error, note});
    if (fault.where == "state" || fault.where == "store") {
      FaultFiles::Plan plan{.at = fault.at, .error = fault.error, .on_fault = note};
      files.emplace(folder + (fault.where == "state" ? "/state" : "/disk"), plan);
    }
    std::string text;
    const int result = run_here(folder, text);
    std::ofstream(folder + "/export") << text << std::flush;
    shared.calls = vfs ? vfs->calls() : files ? files->calls() : 0;
    std::fflush(stderr);
    // Its last records may meet the fault after the export: then the journal's thread is about to end this process.
    if (fault.where == "journal" && result == kRight && shared.fault_at != 0) {
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
    ::_exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  std::ifstream in(folder + "/export");
  exported = std::string(std::istreambuf_iterator<char>(in), {});
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// --- all of them -----------------------------------------------------------------------------------------------------

struct Tally {
  std::atomic<std::uint64_t> runs{0}, not_reached{0}, ended{0}, went_on{0}, wrong{0};
  std::atomic<std::int64_t> slowest_end_ns{0};
};

template <class T>
T& shared_memory() {
  void* page = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) std::abort();
  return *new (page) T;
}

const char* name_of(int error) { return error == ENOSPC ? "ENOSPC" : "EIO"; }

void try_one(const std::string& origin, const Fault& fault, const std::string& expected, Tally& tally) {
  const MemoryScratch scratch;
  Shared& shared = shared_memory<Shared>();
  fs::copy(origin + "/disk", scratch / "disk", fs::copy_options::recursive);
  std::string exported;
  ++tally.runs;
  int result = run_apart(scratch.path, fault, shared, exported);
  const std::int64_t ended_ns = monotonic_now().ns;
  const auto fail = [&](const std::string& what) {
    ++tally.wrong;
    std::ifstream in(scratch / "err");
    const std::string said{std::istreambuf_iterator<char>(in), {}};
    std::printf("%s %s at call %" PRIu64 ": %s\n%s\n", fault.where.c_str(), name_of(fault.error), fault.at,
                what.c_str(), said.substr(said.size() > 2000 ? said.size() - 2000 : 0).c_str());
  };
  if (shared.fault_at == 0) {
    ++tally.not_reached;
  } else if (result == kRight) {
    ++tally.went_on;
    if (fault.where == "journal") fail("it went on");
  } else if (result == kEnded) {
    ++tally.ended;
    const std::int64_t took = ended_ns - shared.fault_at;
    if (took > tally.slowest_end_ns) tally.slowest_end_ns = took;
    if (fault.where == "journal" && took > kSecond)
      fail("it ended after " + std::to_string(took / kMillisecond) + " ms");
    result = run_apart(scratch.path, {}, shared, exported);
  }
  if (result != kRight) fail("exit " + std::to_string(result));
  if (result == kRight && exported != expected) fail("another export:\n" + exported);
  ::munmap(&shared, sizeof shared);
}

int usage() {
  std::fprintf(stderr, "usage: modelhop-disk-faults journal|state|store [--stride N] [--first K] [--jobs N]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t stride = 1, first = 1, jobs = 2;
  if (argc < 2 || argc % 2 != 0) return usage();
  const std::string where = argv[1];
  if (where != "journal" && where != "state" && where != "store") return usage();
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (value == 0) return usage();
    if (flag == "--stride") {
      stride = value;
    } else if (flag == "--first") {
      first = value;
    } else if (flag == "--jobs") {
      jobs = value;
    } else {
      return usage();
    }
  }
  const MemoryScratch origin;
  if (!make_dataset(origin.path)) return 1;
  Shared& shared = shared_memory<Shared>();
  std::string expected;
  {
    const MemoryScratch calm;
    fs::copy(origin / "disk", calm / "disk", fs::copy_options::recursive);
    const Instant before = monotonic_now();
    if (run_apart(calm.path, {where, 0, 0}, shared, expected) != kRight) {
      std::ifstream in(calm / "err");
      std::printf("the undisturbed run failed\n%s\n", std::string(std::istreambuf_iterator<char>(in), {}).c_str());
      return 1;
    }
    std::printf("undisturbed: %u trials, %u units, %" PRIu64 " calls on %s, %.2f s\n", 5u, 5 * kPartitions * kEpochs,
                shared.calls.load(), where.c_str(), static_cast<double>(monotonic_now() - before) / 1e9);
    std::fflush(stdout);
  }
  const std::uint64_t calls = shared.calls;
  Tally& tally = shared_memory<Tally>();
  std::vector<pid_t> lanes;
  for (std::uint64_t lane = 0; lane < jobs; ++lane) {
    const pid_t child = ::fork();
    if (child == 0) {
      std::uint64_t number = 0;
      for (std::uint64_t at = first; at <= calls; at += stride) {
        for (const int error : {ENOSPC, EIO}) {
          if (number++ % jobs == lane) try_one(origin.path, {where, at, error}, expected, tally);
        }
      }
      std::fflush(stdout);
      ::_exit(0);
    }
    lanes.push_back(child);
  }
  bool lanes_ok = true;
  for (const pid_t lane : lanes) {
    int status = 0;
    ::waitpid(lane, &status, 0);
    lanes_ok = lanes_ok && status == 0;
  }
  std::printf("%s: %" PRIu64 " runs with a fault at every %s%" PRIu64 ". call, ENOSPC and EIO; %" PRIu64
              " ended and were right after a restart (the slowest %.0f ms after the fault), %" PRIu64
              " went on and were right, %" PRIu64 " were over before call k; %" PRIu64 " wrong\n",
              where.c_str(), tally.runs.load(), "", stride, tally.ended.load(),
              static_cast<double>(tally.slowest_end_ns) / 1e6, tally.went_on.load(), tally.not_reached.load(),
              tally.wrong.load());
  return lanes_ok && tally.wrong == 0 && tally.runs > tally.not_reached ? 0 : 1;
}
