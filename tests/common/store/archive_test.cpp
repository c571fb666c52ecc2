#include "common/store/archive.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <random>

#include "common/store/journal.h"
#include "common/store/snapshot_file.h"
#include "tests/common/store/scratch.h"

using namespace modelhop;

namespace {

// Records of experiments 1 and 2, and of the cluster.
Record numbered(std::uint64_t seq) {
  if (seq % 5 == 0) return {seq, {1000}, Booted{seq, false}};
  return {seq, {1000}, UnitParked{{1 + seq % 2}, {seq}, std::string(seq % 50, 'x')}};
}

std::vector<Record> numbered_range(std::uint64_t first, std::uint64_t last) {
  std::vector<Record> records;
  for (std::uint64_t seq = first; seq <= last; ++seq) records.push_back(numbered(seq));
  return records;
}

// All records, once each and in order, by both readers.
void check_whole(const std::string& state_dir, std::uint64_t count) {
  std::uint64_t seq = 0;
  const Status status = read_journal(state_dir, [&](const Record& record) -> Status {
    ++seq;
    return to_json(record) == to_json(numbered(seq)) ? Status() : corrupt("differs");
  });
  INFO(status.message());
  REQUIRE(status.ok());
  CHECK(seq == count);
  auto reader = std::move(open_journal_reader(state_dir)).value();
  std::uint64_t after = 0;
  for (;;) {  // in pages that end in the middle of a segment
    const std::vector<JournalLine> page = reader->lines(after, {}, 7).value();
    if (page.empty()) break;
    for (const JournalLine& line : page) {
      REQUIRE(line.seq == after + 1);
      CHECK(line.json == to_json(numbered(line.seq)));
      after = line.seq;
    }
  }
  CHECK(after == count);
  CHECK(reader->gone_before(0, {}).value() == 0);
}

std::uint64_t rows_in(const std::string& path) {
  auto database = std::move(Database::open(path, Database::Mode::kRead)).value();
  return database.number("SELECT count(*) FROM records").value();
}

void wait_until_left(const std::string& state_dir, std::uint64_t rows) {
  for (int i = 0; i < 500 && rows_in(state_dir + "/journal.db") != rows; ++i) ::usleep(10'000);
  REQUIRE(rows_in(state_dir + "/journal.db") == rows);
}

void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("records move to segments, and are read in order as if they had not", "[journal][archive]") {
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    journal->append(numbered_range(1, 5'000));
    journal->flush();
    const JournalEnd first = archive_until(scratch.path, 2'500).value();
    CHECK(first.seq == 2'500);
    check_whole(scratch.path, 5'000);  // in both
    journal->leave_until(first);
    wait_until_left(scratch.path, 2'500);
    check_whole(scratch.path, 5'000);
    journal->leave_until(archive_until(scratch.path, 4'999).value());
    journal->append(numbered_range(5'001, 5'003));  // goes before what still leaves
    wait_until_left(scratch.path, 4);
    check_whole(scratch.path, 5'003);
    journal->leave_until(archive_until(scratch.path, 5'003).value());
    wait_until_left(scratch.path, 0);
  }
  check_whole(scratch.path, 5'003);
  const std::vector<Segment> segments = list_segments(scratch.path);
  REQUIRE(segments.size() == 3);
  CHECK(segments[1].from == 2'501);
  CHECK(segments[1].to == 4'999);
  auto journal = std::move(open_journal(scratch.path)).value();  // goes on from an empty journal.db
  CHECK(journal->durable_seq() == 5'003);
  journal->append(numbered_range(5'004, 5'010));
  journal->flush();
  check_whole(scratch.path, 5'010);
}

TEST_CASE("a process killed at any point of a compaction loses and doubles no record", "[journal][archive][kill]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const Scratch scratch;
  std::uint64_t count = 0;
  for (int round = 0; round < 15; ++round) {
    int told[2];
    REQUIRE(::pipe(told) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto journal = std::move(open_journal(scratch.path)).value();
      for (std::uint64_t seq = journal->durable_seq() + 1;; seq += 3'000) {
        journal->append(numbered_range(seq, seq + 2'999));
        journal->flush();
        const std::uint64_t end = seq + 2'999;
        if (::write(told[1], &end, sizeof end) != sizeof end) ::_exit(1);
        auto archived = archive_until(scratch.path, end - 100);
        if (!archived.ok()) ::_exit(2);
        journal->leave_until(*archived);
      }
    }
    ::close(told[1]);
    std::uint64_t end = 0;
    if (::read(told[0], &end, sizeof end) == sizeof end) count = end;
    ::usleep(random() % 60'000);
    ::kill(child, SIGKILL);
    int result = 0;
    ::waitpid(child, &result, 0);
    CHECK(WIFSIGNALED(result));
    while (::read(told[0], &end, sizeof end) == sizeof end) count = end;
    ::close(told[0]);
    const JournalEnd last = read_journal(scratch.path, JournalEnd{}, [](const Record&) { return Status(); }).value();
    CHECK(last.seq >= count);
    CHECK(last.seq % 3'000 == 0);
    count = last.seq;
    if (round % 5 == 4) check_whole(scratch.path, count);
  }
}

TEST_CASE("each crash point of a compaction, by hand", "[journal][archive]") {
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    journal->append(numbered_range(1, 50));
  }
  // Half a segment under its temporary name.
  std::filesystem::create_directories(scratch / "archive");
  overwrite(scratch / "archive/.segment.new", "half of it");
  overwrite(scratch / "archive/.segment.new-journal", "and its log");
  check_whole(scratch.path, 50);
  // It is there, and nothing has left.
  REQUIRE(archive_until(scratch.path, 20).ok());
  check_whole(scratch.path, 50);
  // The same again: what is archived is known, and archived no second time.
  CHECK(archive_until(scratch.path, 20).value().seq == 20);
  CHECK(list_segments(scratch.path).size() == 1);
  // Some have left: a base before the segment's end.
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    journal->leave_until({12, stored_check(scratch.path, 12).value().value()});
    wait_until_left(scratch.path, 38);
  }
  check_whole(scratch.path, 50);
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    journal->leave_until(archive_until(scratch.path, 20).value());
    wait_until_left(scratch.path, 30);
  }
  check_whole(scratch.path, 50);
}

TEST_CASE("a damaged record is not archived, and stays where it is", "[journal][archive][bad]") {
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    journal->append(numbered_range(1, 50));
  }
  {
    auto database = std::move(Database::open(scratch / "journal.db", Database::Mode::kCreate)).value();
    REQUIRE(database.run("UPDATE records SET body = '{}' WHERE seq = 7").ok());
  }
  CHECK(archive_until(scratch.path, 20).status().message().find("record 7") != std::string::npos);
  CHECK(list_segments(scratch.path).empty());
  CHECK(archive_until(scratch.path, 6).value().seq == 6);
}

TEST_CASE("a damaged or missing segment is refused at its seq", "[journal][archive][bad]") {
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    journal->append(numbered_range(1, 90));
    journal->flush();
    REQUIRE(archive_until(scratch.path, 30).ok());
    journal->leave_until(archive_until(scratch.path, 60).value());
    wait_until_left(scratch.path, 30);
  }
  const std::string path = list_segments(scratch.path).at(1).path, whole = contents(path);
  const auto reading = [&] { return read_journal(scratch.path, [](const Record&) { return Status(); }).message(); };
  CHECK(reading().empty());
  std::filesystem::remove(path);
  CHECK(reading().find("record 31 is missing") != std::string::npos);
  overwrite(path, whole.substr(0, whole.size() / 2));
  CHECK(reading().find("record ") != std::string::npos);
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
    overwrite(path, damaged);
    std::uint64_t seq = 0;
    const Status status = read_journal(scratch.path, [&](const Record& record) -> Status {
      REQUIRE(to_json(record) == to_json(numbered(++seq)));
      return {};
    });
    CHECK((status.ok() ? seq == 90 : status.message().find("record ") != std::string::npos));
  }
}

TEST_CASE("the archive keeps so many records, and says what is gone", "[journal][archive][limits]") {
  const Scratch scratch;
  auto journal = std::move(open_journal(scratch.path)).value();
  journal->append(numbered_range(1, 100));
  journal->flush();
  for (const std::uint64_t to : {20u, 40u, 60u}) journal->leave_until(archive_until(scratch.path, to).value());
  wait_until_left(scratch.path, 40);
  auto reader = std::move(open_journal_reader(scratch.path)).value();
  REQUIRE(trim_archive(scratch.path, 60).ok());
  CHECK(list_segments(scratch.path).size() == 3);
  REQUIRE(trim_archive(scratch.path, 40).ok());
  CHECK(list_segments(scratch.path).size() == 2);
  CHECK(reader->gone_before(0, {}).value() == 21);
  CHECK(reader->gone_before(19, {}).value() == 21);
  CHECK(reader->gone_before(20, {}).value() == 0);
  CHECK(reader->gone_before(0, {1}).value() == 21);
  CHECK(reader->lines(0, {}, 1)->at(0).seq == 21);
  REQUIRE(trim_archive(scratch.path, 0).ok());
  CHECK(list_segments(scratch.path).empty());
  CHECK(reader->gone_before(0, {}).value() == 61);
  CHECK(reader->lines(3, {}, 1)->at(0).seq == 61);
  CHECK(read_journal(scratch.path, [](const Record&) { return Status(); }).message().find("record 1 is missing") !=
        std::string::npos);
  const JournalEnd base{60, stored_check(scratch.path, 60).value().value()};
  CHECK(read_journal(scratch.path, base, [](const Record&) { return Status(); }).value().seq == 100);
}

TEST_CASE("an experiment that began after what is gone has lost nothing", "[journal][archive]") {
  const Scratch scratch;
  auto journal = std::move(open_journal(scratch.path)).value();
  std::vector<Record> records = numbered_range(1, 30);
  records[24].body = ExperimentCreated{{7}, "{}", "{}", "data", {}, ""};
  records[26].body = UnitParked{{7}, {1}, ""};
  journal->append(records);
  journal->flush();
  for (const std::uint64_t to : {10u, 20u}) journal->leave_until(archive_until(scratch.path, to).value());
  wait_until_left(scratch.path, 10);
  REQUIRE(trim_archive(scratch.path, 10).ok());
  auto reader = std::move(open_journal_reader(scratch.path)).value();
  CHECK(reader->gone_before(0, {7}).value() == 0);
  CHECK(reader->gone_before(0, {1}).value() == 11);
  CHECK(reader->lines(0, {7}, 10)->size() == 2);
}

TEST_CASE("the records of deleted experiments leave the archive, the others stay", "[journal][archive]") {
  const Scratch scratch;
  auto journal = std::move(open_journal(scratch.path)).value();
  journal->append(numbered_range(1, 100));
  journal->flush();
  journal->leave_until(archive_until(scratch.path, 50).value());
  wait_until_left(scratch.path, 50);
  REQUIRE(archive_until(scratch.path, 80).ok());  // not yet left: untouched
  REQUIRE(drop_experiments(scratch.path, {{2}}).ok());
  auto reader = std::move(open_journal_reader(scratch.path)).value();
  std::uint64_t expected = 0;
  const std::vector<JournalLine> lines = reader->lines(0, {}, 1'000).value();
  for (const JournalLine& line : lines) {
    do {
      ++expected;
    } while (expected <= 50 && experiment_of(numbered(expected).body) == ExperimentId{2});
    REQUIRE(line.seq == expected);
    CHECK(line.json == to_json(numbered(line.seq)));
  }
  CHECK(expected == 100);
  CHECK(list_segments(scratch.path).at(0).to == 50);
  CHECK(reader->gone_before(0, {}).value() == 0);
}

TEST_CASE("a witness comes back as it was written, and a damaged one is none", "[journal][witness]") {
  const Scratch scratch;
  CHECK_FALSE(read_witness(scratch.path).value().has_value());
  auto witness = std::move(Witness::open(scratch.path)).value();
  CHECK_FALSE(read_witness(scratch.path).value().has_value());
  const JournalEnd end{300, hash_bytes(std::string_view("300"))};
  REQUIRE(witness.write({299, {}}).ok());
  REQUIRE(witness.write(end).ok());
  CHECK(read_witness(scratch.path).value() == end);
  const std::string whole = contents(scratch / "witness");
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] ^= static_cast<char>(1 << bit % 8);
    overwrite(scratch / "witness", damaged);
    CHECK(read_witness(scratch.path).status().code() == Code::kCorrupt);
  }
  for (std::size_t size = 1; size <= whole.size() + 1; ++size) {
    if (size == whole.size()) continue;
    overwrite(scratch / "witness", (whole + "x").substr(0, size));
    CHECK(read_witness(scratch.path).status().code() == Code::kCorrupt);
  }
}

TEST_CASE("the witness names the last durable record before anybody hears of it", "[journal][witness]") {
  const Scratch scratch;
  auto journal = std::move(open_journal(scratch.path)).value();
  std::atomic<int> late{0};
  journal->on_durable([&](std::uint64_t seq) { late += read_witness(scratch.path).value()->seq != seq; });
  for (std::uint64_t seq = 1; seq <= 20; ++seq) {
    journal->append(numbered_range(seq, seq));
    journal->flush();
    const JournalEnd end = read_witness(scratch.path).value().value();
    CHECK(end.seq == seq);
    CHECK(end.check == stored_check(scratch.path, seq).value());
  }
  journal.reset();
  CHECK(late == 0);
}

TEST_CASE("a snapshot comes back as it was written, and any damage is found", "[snapshot]") {
  const Scratch scratch;
  const Snapshot snapshot{{50, hash_bytes(std::string_view("50"))}, {1, 2, 3, 4, 5}};
  REQUIRE(write_snapshot(scratch.path, snapshot).ok());
  const Snapshot read = read_snapshot(scratch.path, 50).value();
  CHECK(read.end == snapshot.end);
  CHECK(read.state == snapshot.state);
  const std::string path = snapshot_path(scratch.path, 50), whole = contents(path);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    overwrite(path, whole.substr(0, size));
    CHECK_FALSE(read_snapshot(scratch.path, 50).ok());
  }
  overwrite(path, whole + "x");
  CHECK_FALSE(read_snapshot(scratch.path, 50).ok());
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] ^= static_cast<char>(1 << bit % 8);
    overwrite(path, damaged);
    CHECK_FALSE(read_snapshot(scratch.path, 50).ok());
  }
  overwrite(snapshot_path(scratch.path, 51), whole);  // under another's name
  CHECK(read_snapshot(scratch.path, 51).status().message().find("of record 50") != std::string::npos);
}

TEST_CASE("the newest two snapshots are kept", "[snapshot]") {
  const Scratch scratch;
  for (const std::uint64_t seq : {5u, 100u, 20u}) REQUIRE(write_snapshot(scratch.path, {{seq, {}}, {}}).ok());
  overwrite(scratch / "snapshot-7x", "");
  overwrite(scratch / ".snapshot.new", "");
  CHECK(list_snapshots(scratch.path) == std::vector<std::uint64_t>{100, 20, 5});
  REQUIRE(remove_old_snapshots(scratch.path).ok());
  CHECK(list_snapshots(scratch.path) == std::vector<std::uint64_t>{100, 20});
  REQUIRE(remove_snapshots_after(scratch.path, 20).ok());
  CHECK(list_snapshots(scratch.path) == std::vector<std::uint64_t>{20});
}
