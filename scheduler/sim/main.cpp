// modelhop-sim: runs seeds and prints what happened in them. Exit 1: a violation, with the seed that replays it.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>

#include "common/base/marks.h"
#include "scheduler/core/mistakes.h"
#include "scheduler/sim/simulation.h"

namespace modelhop::sim {
namespace {

struct Options {
  std::uint64_t seeds = 1'000, from = 1, threads = 2;
  std::optional<std::uint64_t> seed;
  int mistake = 0;
  bool trace = false, planted = false, all_marks = false, lossy = false;
};

struct Totals {
  std::vector<std::uint32_t> events;
  std::uint64_t hash = 0, first_bad = 0;
  std::array<std::uint64_t, kEventKinds> events_by_kind{};
  std::array<std::uint64_t, kMarks> reached{};
  std::array<std::uint64_t, kFaultKinds> faults{}, seeds_with_fault{};
  std::array<std::uint64_t, std::variant_size_v<RecordBody>> records{};
  std::vector<std::string> violations;
};

void plant(int mistake) {
#ifdef MODELHOP_PLANTED_MISTAKES
  planted_mistake = static_cast<Mistake>(mistake);
#else
  (void)mistake;
#endif
}

Outcome run_seed(std::uint64_t seed, const Options& options) {
  plant(options.mistake);
  return Simulation(options.lossy ? make_lossy_plan(seed) : make_plan(seed), options.trace).run();
}

Totals run_all(const Options& options) {
  Totals totals;
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  const auto work = [&] {
    for (std::uint64_t i = next++; i < options.seeds && !stop; i = next++) {
      const std::uint64_t seed = options.from + i;
      const Outcome outcome = run_seed(seed, options);
      const std::lock_guard lock(mutex);
      totals.events.push_back(static_cast<std::uint32_t>(outcome.events));
      totals.hash += outcome.trace_hash * (2 * seed + 1);  // a sum: threads finish in any order
      for (std::size_t k = 0; k < kEventKinds; ++k) totals.events_by_kind[k] += outcome.events_by_kind[k];
      for (std::size_t k = 0; k < totals.records.size(); ++k) totals.records[k] += outcome.records_by_type[k];
      for (std::size_t k = 0; k < kFaultKinds; ++k) {
        totals.faults[k] += outcome.faults_by_kind[k];
        totals.seeds_with_fault[k] += outcome.faults_by_kind[k] > 0;
      }
      for (std::size_t k = 0; k < kMarks; ++k) totals.reached[k] += std::exchange(marks[k], 0);
      if (outcome.violations.empty()) continue;
      stop = true;
      if (totals.first_bad != 0 && totals.first_bad < seed) continue;
      totals.first_bad = seed;
      totals.violations = outcome.violations;
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < options.threads; ++t) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return totals;
}

const char* record_name(std::size_t index) {
  static const std::vector<const char*> names = [] {
    std::vector<const char*> all;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (all.push_back(type_name(RecordBody(std::in_place_index<I>))), ...);
    }
    (std::make_index_sequence<std::variant_size_v<RecordBody>>{});
    return all;
  }();
  return names[index];
}

void print(Totals& totals) {
  std::sort(totals.events.begin(), totals.events.end());
  std::uint64_t sum = 0;
  for (const std::uint32_t n : totals.events) sum += n;
  std::printf("seeds %zu  events %llu  median %u a seed\n", totals.events.size(), static_cast<unsigned long long>(sum),
              totals.events.empty() ? 0 : totals.events[totals.events.size() / 2]);
  for (std::size_t k = 0; k < kEventKinds; ++k) {
    std::printf("  event  %-26s %12llu\n", to_string(static_cast<EventKind>(k)),
                static_cast<unsigned long long>(totals.events_by_kind[k]));
  }
  for (std::size_t k = 0; k < totals.records.size(); ++k) {
    std::printf("  record %-26s %12llu\n", record_name(k), static_cast<unsigned long long>(totals.records[k]));
  }
  for (std::size_t k = 0; k < kFaultKinds; ++k) {
    std::printf("  fault  %-26s %12llu  in %5.1f %% of seeds\n", to_string(static_cast<FaultKind>(k)),
                static_cast<unsigned long long>(totals.faults[k]),
                100.0 * static_cast<double>(totals.seeds_with_fault[k]) /
                    static_cast<double>(std::max<std::size_t>(totals.events.size(), 1)));
  }
  for (std::size_t k = 0; k < kMarks; ++k) {
    std::printf("  mark   %-30s %8llu\n", to_string(static_cast<Mark>(k)),
                static_cast<unsigned long long>(totals.reached[k]));
  }
  std::printf("trace %016llx\n", static_cast<unsigned long long>(totals.hash));
}

int run_planted(Options options) {
#ifdef MODELHOP_PLANTED_MISTAKES
  int missed = 0;
  for (int mistake = 1; mistake < static_cast<int>(Mistake::kLastMistake); ++mistake) {
    options.mistake = mistake;
    const Totals totals = run_all(options);
    const char* name = to_string(static_cast<Mistake>(mistake));
    if (totals.first_bad == 0) {
      std::printf("mistake %2d %-28s NOT caught in %llu seeds\n", mistake, name,
                  static_cast<unsigned long long>(options.seeds));
      ++missed;
    } else {
      std::printf("mistake %2d %-28s caught by seed %llu: %s\n", mistake, name,
                  static_cast<unsigned long long>(totals.first_bad), totals.violations.front().c_str());
    }
    std::fflush(stdout);
  }
  return missed == 0 ? 0 : 1;
#else
  (void)options;
  std::fprintf(stderr,
               "modelhop-sim: planted mistakes are not in this build; configure with -DMODELHOP_PLANTED_MISTAKES=ON "
               "and run modelhop-sim-planted\n");
  return 2;
#endif
}

constexpr const char* kUsage =
    "usage: modelhop-sim [--seeds N] [--from S] [--threads T] [--all-marks]   run N seeds from S; 1 where a rare path "
    "is missed\n"
    "       modelhop-sim --lossy [--seeds N] ...                N times ten hours of a bad network; 1 where a worker "
    "was "
    "taken for lost\n"
    "       modelhop-sim --seed S [--trace]                     run one seed\n"
    "       modelhop-sim-planted --planted [--seeds N]          show that each planted mistake is caught\n"
    "       modelhop-sim-planted --mistake M ...                run with mistake M\n";

bool parse_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--trace") {
      options.trace = true;
      continue;
    }
    if (flag == "--lossy") {
      options.lossy = true;
      continue;
    }
    if (flag == "--all-marks") {
      options.all_marks = true;
      continue;
    }
    if (flag == "--planted") {
      options.planted = true;
      continue;
    }
    if (i + 1 >= argc) return false;
    std::uint64_t value = 0;
    const char* text = argv[++i];
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
    if (error != std::errc() || *end != '\0') return false;
    if (flag == "--seeds")
      options.seeds = value;
    else if (flag == "--from")
      options.from = value;
    else if (flag == "--threads")
      options.threads = std::clamp<std::uint64_t>(value, 1, 64);
    else if (flag == "--seed")
      options.seed = value;
    else if (flag == "--mistake")
      options.mistake = static_cast<int>(value);
    else
      return false;
  }
  return true;
}

int main_with(const Options& options) {
  if (options.planted) return run_planted(options);
  const auto started = std::chrono::steady_clock::now();
  Options one = options;
  if (options.seed) {
    one.from = *options.seed;
    one.seeds = one.threads = 1;
  }
  Totals totals = run_all(one);
  print(totals);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::fprintf(stderr, "%.1f s\n", seconds);
  if (totals.first_bad == 0 && options.lossy) {
    const std::uint64_t falsely = totals.reached[static_cast<std::size_t>(Mark::kSilentLost)] +
                                  totals.reached[static_cast<std::size_t>(Mark::kLeaseExpired)];
    std::printf("%llu hours, every fifth message lost, up to 500 ms late: %llu leases or workers falsely given up\n",
                static_cast<unsigned long long>(one.seeds) * kLossyHours, static_cast<unsigned long long>(falsely));
    const bool trained = totals.faults[static_cast<std::size_t>(FaultKind::kMessageLost)] > 10'000 * one.seeds;
    if (!trained) std::printf("too few messages were lost to show anything\n");
    return falsely > 0 || !trained ? 1 : 0;
  }
  if (totals.first_bad == 0) {
    const auto missed = std::count(totals.reached.begin(), totals.reached.end(), 0);
    if (missed > 0 && options.all_marks) std::printf("%td marks were not reached\n", missed);
    return missed > 0 && options.all_marks ? 1 : 0;
  }
  for (const std::string& violation : totals.violations) std::printf("violation: %s\n", violation.c_str());
  std::printf("replay with: modelhop-sim --seed %llu --trace\n", static_cast<unsigned long long>(totals.first_bad));
  return 1;
}

}  // namespace
}  // namespace modelhop::sim

int main(int argc, char** argv) {
  modelhop::sim::Options options;
  if (!modelhop::sim::parse_options(argc, argv, options)) {
    std::fputs(modelhop::sim::kUsage, stderr);
    return 2;
  }
  return modelhop::sim::main_with(options);
}
