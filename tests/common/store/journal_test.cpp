#include "common/store/journal.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>

#include "tests/common/store/scratch.h"

using namespace modelhop;

namespace {

// The n-th record of every test's journal: a function of its number alone.
Record nth(std::uint64_t seq) {
  if (seq % 3 == 0) return {seq, {1000}, Booted{seq}};
  return {seq, {1000}, UnitParked{{1 + seq % 2}, {seq}, std::string(seq % 200, 'x')}};
}

std::vector<Record> range(std::uint64_t first, std::uint64_t last) {
  std::vector<Record> records;
  for (std::uint64_t seq = first; seq <= last; ++seq) records.push_back(nth(seq));
  return records;
}

// How many records are there, each as written.
std::uint64_t count_intact(const std::string& state_dir) {
  std::uint64_t count = 0;
  const Status status = read_journal(state_dir, [&](const Record& record) -> Status {
    ++count;
    if (to_json(record) != to_json(nth(count))) return corrupt("differs");
    return {};
  });
  INFO(status.message());
  REQUIRE(status.ok());
  return count;
}

void change(const std::string& state_dir, const char* sql) {
  sqlite3* handle = nullptr;
  REQUIRE(sqlite3_open((state_dir + "/journal.db").c_str(), &handle) == SQLITE_OK);
  REQUIRE(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(handle);
}

std::string reading(const std::string& state_dir) {
  return read_journal(state_dir, [](const Record&) { return Status(); }).message();
}

void write(const std::string& state_dir, std::uint64_t records) {
  auto journal = std::move(open_journal(state_dir)).value();
  journal->append(range(1, records));
}

}  // namespace

TEST_CASE("what was appended is read back in order, across restarts", "[journal]") {
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch / "state")).value();
    std::atomic<std::uint64_t> told{0};
    journal->on_durable([&](std::uint64_t seq) { told = seq; });
    journal->append(range(1, 3));
    journal->append(range(4, 10'000));
    journal->flush();
    CHECK(journal->durable_seq() == 10'000);
    CHECK(count_intact(scratch / "state") == 10'000);  // beside the live one
  }
  {
    auto journal = std::move(open_journal(scratch / "state")).value();
    CHECK(journal->durable_seq() == 10'000);
    journal->append(range(10'001, 10'002));
  }
  CHECK(count_intact(scratch / "state") == 10'002);
}

TEST_CASE("a state directory has one holder, and the other is told its pid", "[journal]") {
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    const Status refused = open_journal(scratch.path).status();
    CHECK(refused.code() == Code::kConflict);
    CHECK(refused.message().find("pid " + std::to_string(::getpid())) != std::string::npos);
    CHECK(journal_held(scratch.path));
  }
  CHECK_FALSE(journal_held(scratch.path));
  CHECK_FALSE(journal_held(scratch / "nowhere"));
  CHECK(open_journal(scratch.path).ok());
}

TEST_CASE("a journal has an id of its own, which a copy shares and damage is seen in", "[journal]") {
  const Scratch scratch;
  const auto cluster_of = [&](const std::string& name) {
    return std::move(open_journal(scratch / name)).value()->cluster();
  };
  const ClusterId first = cluster_of("a");
  CHECK(first != ClusterId{});
  CHECK(cluster_of("a") == first);
  CHECK(cluster_of("b") != first);
  std::filesystem::copy(scratch / "a", scratch / "copy");
  CHECK(cluster_of("copy") == first);
  change(scratch / "a", "UPDATE cluster SET id = randomblob(16)");
  CHECK(open_journal(scratch / "a").status().code() == Code::kCorrupt);
}

TEST_CASE("append waits when the queue is full, and loses nothing", "[journal][limits]") {
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch.path, 1)).value();
    for (std::uint64_t seq = 1; seq <= 49; seq += 3) journal->append(range(seq, seq + 2));
  }
  CHECK(count_intact(scratch.path) == 51);
}

TEST_CASE("each commit is timed", "[journal]") {
  const Scratch scratch;
  auto journal = std::move(open_journal(scratch.path)).value();
  const auto commits = [&] {
    const Histogram times = journal->commit_times();
    return std::accumulate(times.counts.begin(), times.counts.end(), std::uint64_t{0});
  };
  CHECK(commits() == 0);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    journal->append(range(seq, seq));
    journal->flush();
    CHECK(commits() == seq);
  }
  CHECK(journal->commit_times().sum_ns > 0);
}

TEST_CASE("a writer killed at any moment keeps every record it called durable", "[journal][kill]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 12; ++round) {
    const Scratch scratch;
    int told[2];
    REQUIRE(::pipe(told) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto journal = std::move(open_journal(scratch.path)).value();
      journal->on_durable([&](std::uint64_t seq) {
        if (::write(told[1], &seq, sizeof seq) != sizeof seq) ::_exit(1);
      });
      for (std::uint64_t seq = 1;; seq += 7) {
        journal->append(range(seq, seq + 6));
        ::usleep(500);
      }
    }
    ::close(told[1]);
    ::usleep(20'000 + random() % 80'000);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    std::uint64_t acknowledged = 0, seq = 0;
    while (::read(told[0], &seq, sizeof seq) == sizeof seq) acknowledged = seq;
    ::close(told[0]);
    if (acknowledged == 0) continue;  // killed before its first commit
    const std::uint64_t there = count_intact(scratch.path);
    CHECK(there >= acknowledged);
    CHECK(there % 7 == 0);  // a call is there as a whole or not at all
    auto journal = std::move(open_journal(scratch.path)).value();
    journal->append(range(there + 1, there + 5));
    journal->flush();
    CHECK(count_intact(scratch.path) == there + 5);
  }
}

TEST_CASE("a changed, lost, moved or foreign row stops the reader at its seq", "[journal]") {
  const Scratch scratch;
  write(scratch / "changed", 9);
  change(scratch / "changed", "UPDATE records SET body = '{\"boot\":7}' WHERE seq = 6");
  CHECK(reading(scratch / "changed").find("record 6 or one before it is not what was written") != std::string::npos);
  write(scratch / "lost", 9);
  change(scratch / "lost", "DELETE FROM records WHERE seq = 4");
  CHECK(reading(scratch / "lost").find("record 4 is missing") != std::string::npos);
  write(scratch / "type", 9);
  change(scratch / "type", "UPDATE records SET type = 'hello' WHERE seq = 2");
  CHECK(reading(scratch / "type").find("record 2") != std::string::npos);
  write(scratch / "version", 9);
  change(scratch / "version", "UPDATE records SET version = 99 WHERE seq = 2");
  CHECK(reading(scratch / "version").find("record 2") != std::string::npos);
  CHECK(read_journal(scratch / "changed", [](const Record&) { return invalid("no"); })
            .message()
            .find("record 1 does not fit: no") != std::string::npos);
}

TEST_CASE("every damaged byte of the file is refused, never a crash", "[journal]") {
  const Scratch scratch;
  write(scratch / "state", 40);
  std::string whole;
  {
    std::ifstream in(scratch / "state/journal.db", std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::mt19937 random(5);
  std::filesystem::create_directories(scratch / "copy");
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole;
    const std::size_t at = random() % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (random() % 8)));
    if (round % 10 == 0) damaged.resize(random() % damaged.size());
    std::ofstream(scratch / "copy/journal.db", std::ios::binary) << damaged;
    std::uint64_t count = 0;
    (void)read_journal(scratch / "copy", [&](const Record& record) -> Status {
      REQUIRE(to_json(record) == to_json(nth(++count)));
      return {};
    });
  }
}

TEST_CASE("a file that is no journal is left as it is", "[journal]") {
  const Scratch scratch;
  std::ofstream(scratch / "journal.db") << "this is no database, and longer than a header, so it cannot be mistaken "
                                           "for an empty one by any reader of it";
  CHECK(open_journal(scratch.path).status().code() == Code::kCorrupt);
  CHECK(reading(scratch.path).find("journal.db") != std::string::npos);
  CHECK(reading(scratch / "nowhere").find("holds no journal.db") != std::string::npos);
}

TEST_CASE("a copy in a folder that may not be written is read", "[journal]") {
  const Scratch scratch;
  write(scratch / "state", 5);
  std::filesystem::create_directories(scratch / "copy");
  std::filesystem::copy_file(scratch / "state/journal.db", scratch / "copy/journal.db");
  ::chmod((scratch / "copy").c_str(), 0555);
  CHECK(count_intact(scratch / "copy") == 5);
  ::chmod((scratch / "copy").c_str(), 0755);
}

TEST_CASE("lines are pages of records, of one experiment or of all", "[journal]") {
  const Scratch scratch;
  auto journal = std::move(open_journal(scratch.path)).value();
  auto reader = std::move(open_journal_reader(scratch.path)).value();
  CHECK(reader->lines(0, {}, 10)->empty());
  journal->append(range(1, 30));
  journal->flush();
  const std::vector<JournalLine> page = reader->lines(10, {}, 5).value();
  REQUIRE(page.size() == 5);
  CHECK(page[0].seq == 11);
  for (const JournalLine& line : page) CHECK(line.json == to_json(nth(line.seq)));
  const std::vector<JournalLine> of_second = reader->lines(0, {2}, 1000).value();
  for (const JournalLine& line : of_second) {
    CHECK(line.experiment == ExperimentId{2});
    CHECK(line.type == "unit_parked");
  }
  CHECK(reader->lines(30, {}, 5)->empty());
  CHECK(reader->lines(~0ull, {~0ull}, ~std::size_t{0})->empty());
}

TEST_CASE("a journal that cannot write ends its process with a clear line", "[journal]") {
  const Scratch scratch;
  int output[2];
  REQUIRE(::pipe(output) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(output[1], 2);
    auto journal = std::move(open_journal(scratch.path)).value();
    change(scratch.path, "DROP TABLE records");  // stands for a disk that fails
    journal->append(range(1, 3));
    journal->flush();
    ::_exit(0);
  }
  ::close(output[1]);
  std::string text;
  char piece[512];
  for (ssize_t n = 0; (n = ::read(output[0], piece, sizeof piece)) > 0;)
    text.append(piece, static_cast<std::size_t>(n));
  int result = 0;
  ::waitpid(child, &result, 0);
  CHECK(WIFEXITED(result));
  CHECK(WEXITSTATUS(result) == 1);
  CHECK(text.find("journal.db") != std::string::npos);
  CHECK(text.find("ending now") != std::string::npos);
}
