// modelhop-bench-restart: how long a scheduler takes to read its journal at a start, and what a snapshot and the
// witness cost while it runs. Exit 1: a start took longer than --limit-ms. usage: modelhop-bench-restart FOLDER
// [--records N] [--limit-ms M]
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "common/store/snapshot_file.h"
#include "scheduler/server/recovery.h"
#include "tests/scheduler/server/history.h"

namespace modelhop {
namespace {

constexpr int kRuns = 5;

double ms_since(Instant before) { return static_cast<double>(monotonic_now() - before) / kMillisecond; }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double time_start(const std::string& folder, std::uint64_t snapshot) {
  std::vector<double> times;
  for (int i = 0; i < kRuns; ++i) {
    const Instant before = monotonic_now();
    const Result<Recovery> recovery = recover(folder, CoreConfig{});
    times.push_back(ms_since(before));
    if (!recovery.ok() || recovery->snapshot != snapshot) {
      std::fprintf(stderr, "%s\n", recovery.ok() ? "another snapshot was read" : recovery.status().message().c_str());
      std::exit(1);
    }
  }
  return median(times);
}

// One record a commit, as a service under light load has it; its witness is timed right after it.
void print_commits(const std::string& folder, const std::vector<Record>& records) {
  std::vector<double> commits, witnesses;
  auto journal = std::move(open_journal(folder)).value();
  Witness witness = std::move(Witness::open(folder + "-witness")).value();
  for (std::size_t i = 0; i < std::min<std::size_t>(500, records.size()); ++i) {
    Instant before = monotonic_now();
    journal->append({records[i]});
    journal->flush();
    commits.push_back(ms_since(before));
    before = monotonic_now();
    if (!witness.write({i, {}}).ok()) std::exit(1);
    witnesses.push_back(ms_since(before));
  }
  std::printf("commit of one record           %8.3f ms (witness included)\n", median(commits));
  std::printf("witness alone                  %8.4f ms\n", median(witnesses));
}

int main_with(const std::string& folder, std::uint64_t count, double limit_ms) {
  const auto write = [&](const std::string& name, const std::vector<Record>& records) {
    auto journal = std::move(open_journal(folder + name)).value();
    for (std::size_t i = 0; i < records.size(); i += 1'000) {
      const auto first = records.begin() + static_cast<std::ptrdiff_t>(i);
      journal->append({first, first + static_cast<std::ptrdiff_t>(std::min<std::size_t>(1'000, records.size() - i))});
    }
  };
  test::History history;
  history.run_to(count / 2);
  const std::vector<std::uint8_t> half = history.core.save();
  const std::uint64_t half_seq = history.core.state().seq;
  history.run_to(count);
  write("/journal", history.records);
  std::printf("records                        %8zu\n", history.records.size());
  std::printf("journal.db                     %8.1f MB\n",
              static_cast<double>(std::filesystem::file_size(folder + "/journal/journal.db")) / 1e6);
  const double whole_ms = time_start(folder + "/journal", 0);
  std::printf("start, no snapshot             %8.0f ms\n", whole_ms);

  std::vector<double> saves;
  std::vector<std::uint8_t> state;
  for (int i = 0; i < kRuns; ++i) {
    const Instant before = monotonic_now();
    state = history.core.save();
    saves.push_back(ms_since(before));
  }
  std::printf("save(), on the loop            %8.1f ms, %.1f MB\n", median(saves),
              static_cast<double>(state.size()) / 1e6);
  const auto snapshot = [&](std::uint64_t seq, const std::vector<std::uint8_t>& bytes) {
    const auto check = stored_check(folder + "/journal", seq);
    const Instant before = monotonic_now();
    if (!write_snapshot(folder + "/journal", {{seq, **check}, bytes}).ok()) std::exit(1);
    return ms_since(before);
  };
  snapshot(half_seq, half);
  const double half_ms = time_start(folder + "/journal", half_seq);
  std::printf("start, snapshot at the half    %8.0f ms (the most a start replays)\n", half_ms);
  std::printf("snapshot, off the loop         %8.1f ms\n", snapshot(history.core.state().seq, state));
  const double newest_ms = time_start(folder + "/journal", history.core.state().seq);
  std::printf("start, snapshot at the end     %8.0f ms\n", newest_ms);
  std::filesystem::create_directories(folder + "/commits-witness");
  print_commits(folder + "/commits", history.records);
  return std::max({whole_ms, half_ms, newest_ms}) > limit_ms ? 1 : 0;
}

}  // namespace
}  // namespace modelhop

int main(int argc, char** argv) {
  std::uint64_t records = 100'000;
  double limit_ms = 2'000;
  for (int i = 2; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--records") == 0) records = std::stoull(argv[i + 1]);
    if (std::strcmp(argv[i], "--limit-ms") == 0) limit_ms = std::stod(argv[i + 1]);
  }
  if (argc < 2) {
    std::fprintf(stderr, "usage: modelhop-bench-restart FOLDER [--records N] [--limit-ms M]\n");
    return 2;
  }
  return modelhop::main_with(argv[1], records, limit_ms);
}
