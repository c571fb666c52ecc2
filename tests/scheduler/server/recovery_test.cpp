#include "scheduler/server/recovery.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "common/store/archive.h"
#include "common/store/snapshot_file.h"
#include "tests/common/store/scratch.h"
#include "tests/scheduler/server/history.h"

using namespace modelhop;
using modelhop::test::History;

namespace {

using Bytes = std::vector<std::uint8_t>;

// A history, and the state after each of its records.
struct Past {
  explicit Past(std::size_t count) {
    history.create(3, 2);
    while (history.records.size() < count) {
      if (!history.end_lease()) history.create(3, 2);
    }
    history.records.resize(count);
    Core core(CoreConfig{});
    states.push_back(core.save());
    for (const Record& record : history.records) {
      REQUIRE(core.apply(record).ok());
      states.push_back(core.save());
    }
  }
  void write(const std::string& state_dir, std::size_t from, std::size_t to) const {
    auto journal = std::move(open_journal(state_dir)).value();
    append(*journal, from, to);
  }
  void append(Journal& journal, std::size_t from, std::size_t to) const {
    for (std::size_t i = from; i < to; i += 3) {
      const auto first = history.records.begin() + static_cast<std::ptrdiff_t>(i);
      journal.append({first, first + static_cast<std::ptrdiff_t>(std::min<std::size_t>(3, to - i))});
      journal.flush();
    }
  }
  void snapshot(const std::string& state_dir, std::uint64_t seq) const {
    const ContentHash check = stored_check(state_dir, seq).value().value();
    REQUIRE(write_snapshot(state_dir, {{seq, check}, states[seq]}).ok());
  }
  History history;
  std::vector<Bytes> states;  // [seq]
};

Bytes bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& path, const Bytes& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void sql(const std::string& path, const std::string& text) {
  auto database = std::move(Database::open(path, Database::Mode::kCreate)).value();
  REQUIRE(database.run(text).ok());
}

CoreConfig config(bool accept_lost_tail) {
  CoreConfig result;
  result.accept_lost_tail = accept_lost_tail;
  return result;
}

std::string refusal(const std::string& state_dir, bool accept_lost_tail = false) {
  return recover(state_dir, config(accept_lost_tail)).status().message();
}

}  // namespace

TEST_CASE("a start from a snapshot gives the state of the whole journal", "[recovery]") {
  const Past past(60);
  const Scratch scratch;
  past.write(scratch.path, 0, 60);
  const auto expect = [&](std::uint64_t snapshot, std::size_t notes) {
    Result<Recovery> recovery = recover(scratch.path, CoreConfig{});
    INFO(recovery.status().message());
    REQUIRE(recovery.ok());
    CHECK(recovery->core->save() == past.states[60]);
    CHECK(recovery->core->check_index().empty());
    CHECK(recovery->end.seq == 60);
    CHECK(recovery->snapshot == snapshot);
    CHECK(recovery->notes.size() == notes);
  };
  expect(0, 0);
  past.snapshot(scratch.path, 20);
  past.snapshot(scratch.path, 40);
  expect(40, 0);
  put(snapshot_path(scratch.path, 40), {1, 2, 3});
  expect(20, 1);
  put(snapshot_path(scratch.path, 20), {});
  expect(0, 2);
  past.snapshot(scratch.path, 60);  // nothing follows it
  expect(60, 0);
}

TEST_CASE("a snapshot of another history is passed over, though it is whole", "[recovery]") {
  const Past past(60);
  const Scratch scratch, other;
  past.write(scratch.path, 0, 60);
  std::vector<Record> changed = past.history.records;
  changed[0].at.value += 1;
  {
    auto journal = std::move(open_journal(other.path)).value();
    journal->append(changed);
  }
  for (const std::uint64_t seq : {40u, 60u}) {
    const ContentHash check = stored_check(other.path, seq).value().value();
    REQUIRE(write_snapshot(scratch.path, {{seq, check}, past.states[seq]}).ok());
    const Recovery recovery = recover(scratch.path, CoreConfig{}).value();
    CHECK(recovery.snapshot == 0);
    CHECK(recovery.core->save() == past.states[60]);
  }
}

TEST_CASE("with the archive trimmed, damaged snapshots are refused by name and seq", "[recovery]") {
  const Past past(60);
  const Scratch scratch;
  {
    auto journal = std::move(open_journal(scratch.path)).value();
    past.append(*journal, 0, 60);
    past.snapshot(scratch.path, 20);
    past.snapshot(scratch.path, 40);
    journal->leave_until(archive_until(scratch.path, 20).value());
  }
  sql(scratch / "journal.db", "SELECT 1");
  for (int i = 0; i < 2; ++i) {
    CHECK(recover(scratch.path, CoreConfig{})->core->save() == past.states[60]);
    REQUIRE(trim_archive(scratch.path, 0).ok());
    if (i == 0) {
      // Whatever had left by then: the writer may have ended first.
      auto journal = std::move(open_journal(scratch.path)).value();
      journal->leave_until({20, stored_check(scratch.path, 20).value().value()});
      for (int wait = 0; wait < 500; ++wait) {
        auto database = std::move(Database::open(scratch / "journal.db", Database::Mode::kRead)).value();
        if (database.number("SELECT min(seq) FROM records").value() == 21) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
  }
  put(snapshot_path(scratch.path, 40), {1});
  CHECK(recover(scratch.path, CoreConfig{})->snapshot == 20);
  put(snapshot_path(scratch.path, 20), {1});
  CHECK(refusal(scratch.path).find("record 1 is missing") != std::string::npos);
  CHECK(refusal(scratch.path).find("snapshot-40") != std::string::npos);
}

TEST_CASE("a tail that was durable and is gone is refused, naming both seqs, unless it is accepted", "[recovery]") {
  const Past past(60);
  const Scratch scratch;
  past.write(scratch.path, 0, 60);
  sql(scratch / "journal.db", "DELETE FROM records WHERE seq > 55");
  CHECK(refusal(scratch.path).find("ends at record 55, but record 60 was durable") != std::string::npos);
  CHECK(refusal(scratch.path).find("--accept-lost-tail") != std::string::npos);
  const Recovery accepted = recover(scratch.path, config(true)).value();
  CHECK(accepted.core->save() == past.states[55]);
  {
    auto journal = std::move(open_journal(std::move(lock_state_dir(scratch.path)).value(), scratch.path,
                                          {kJournalQueueMax, accepted.end}))
                       .value();
    CHECK(journal->durable_seq() == 55);
  }
  CHECK(refusal(scratch.path).empty());  // accepted for good
  std::filesystem::remove(scratch / "witness");
  past.write(scratch.path, 55, 60);
  past.snapshot(scratch.path, 60);
  sql(scratch / "journal.db", "DELETE FROM records WHERE seq > 55");
  std::filesystem::remove(scratch / "witness");  // then the snapshot says it
  CHECK(refusal(scratch.path).find("ends at record 55, but record 60 was durable") != std::string::npos);
}

TEST_CASE("a journal.db that is gone, empty or of another history is refused", "[recovery]") {
  const Past past(30);
  const Scratch scratch, other;
  CHECK(recover(scratch.path, CoreConfig{}).status().code() == Code::kNotFound);
  past.write(scratch.path, 0, 30);
  const Bytes whole = bytes_of(scratch / "journal.db");
  put(scratch / "journal.db", {});
  CHECK(refusal(scratch.path).find("record 30 was durable") != std::string::npos);
  std::filesystem::remove(scratch / "journal.db");
  CHECK(refusal(scratch.path).find("record 30 was durable") != std::string::npos);
  CHECK(recover(scratch.path, config(true)).status().code() == Code::kNotFound);
  std::vector<Record> changed = past.history.records;
  changed[0].at.value += 1;
  {
    auto journal = std::move(open_journal(other.path)).value();
    journal->append(changed);
  }
  put(scratch / "journal.db", bytes_of(other / "journal.db"));
  CHECK(refusal(scratch.path).find("record 30 is another one") != std::string::npos);
  put(scratch / "journal.db", whole);
  CHECK(refusal(scratch.path).empty());
}

TEST_CASE("what the archive has and journal.db lost is not lost", "[recovery]") {
  const Past past(60);
  const Scratch scratch;
  past.write(scratch.path, 0, 60);
  REQUIRE(archive_until(scratch.path, 60).ok());
  sql(scratch / "journal.db", "DELETE FROM records WHERE seq > 10");
  const Recovery recovery = recover(scratch.path, CoreConfig{}).value();
  CHECK(recovery.core->save() == past.states[60]);
  {
    auto journal = std::move(open_journal(std::move(lock_state_dir(scratch.path)).value(), scratch.path,
                                          {kJournalQueueMax, recovery.end}))
                       .value();
    CHECK(journal->durable_seq() == 60);
    Record next = past.history.records.back();
    next.seq = 61;
    next.body = Booted{9, false};
    journal->append({next});
  }
  CHECK(recover(scratch.path, CoreConfig{})->end.seq == 61);
}

namespace {

// A spec is read once, not a million times.
CoreHooks quick_hooks() {
  CoreHooks hooks = default_hooks();
  hooks.load_spec = [seen = std::make_shared<std::map<std::string, std::shared_ptr<const Spec>>>()](
                        std::string_view text) -> Result<std::shared_ptr<const Spec>> {
    std::shared_ptr<const Spec>& spec = (*seen)[std::string(text)];
    if (spec == nullptr) {
      ASSIGN_OR_RETURN(spec, restore_spec(text));
    }
    return spec;
  };
  return hooks;
}

struct Damage {
  std::uint64_t tries{}, same{}, refused{}, shorter{};
};

// Every truncation and every flipped bit of `file` (tests/long/run damage), or some of them. What comes out must be the
// same state or a refusal that names a record. Without a witness file it may also be the state after fewer records: of
// those nobody knew.
enum Tries { kEvery, kSome };
Damage damage(const Past& past, const std::string& source, const std::string& file, bool witness, Tries tries) {
  const bool all = tries == kEvery && std::getenv("MODELHOP_DAMAGE") != nullptr;
  const Scratch scratch;
  std::map<std::string, Bytes> files;
  for (const auto& entry : std::filesystem::directory_iterator(source)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name != "lock" && !name.ends_with("-shm")) files[name] = bytes_of(entry.path());
  }
  if (!witness) files.erase("witness");
  const Bytes whole = files.at(file);
  REQUIRE(whole.size() >= 16'384);
  const CoreHooks hooks = quick_hooks();
  Damage counts;
  const auto attempt = [&](const Bytes& damaged, const std::string& what) {
    std::error_code ignored;
    std::filesystem::remove(scratch / "journal.db-shm", ignored);
    for (const auto& [name, bytes] : files) put(scratch / name, name == file ? damaged : bytes);
    ++counts.tries;
    CAPTURE(file, what);
    Result<Recovery> recovery = recover(scratch.path, CoreConfig{}, hooks);
    if (!recovery.ok()) {
      const std::string& message = recovery.status().message();
      INFO(message);
      if (!witness && recovery.status().code() == Code::kNotFound) {
        ++counts.shorter;
        return;
      }
      REQUIRE(message.find("record ") != std::string::npos);
      ++counts.refused;
      return;
    }
    const Bytes state = recovery->core->save();
    if (state == past.states.back()) {
      ++counts.same;
      return;
    }
    INFO("it ends at record " << recovery->end.seq);
    REQUIRE_FALSE(witness);
    REQUIRE(state == past.states.at(recovery->end.seq));
    ++counts.shorter;
  };
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < (all ? whole.size() : 40); ++i) {
    const std::size_t size = all ? i : random() % whole.size();
    attempt({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}, "cut to " + std::to_string(size));
  }
  for (std::size_t i = 0; i < (all ? whole.size() * 8 : 160); ++i) {
    const std::size_t bit = all ? i : random() % (whole.size() * 8);
    Bytes damaged = whole;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    attempt(damaged, "bit " + std::to_string(bit));
  }
  std::printf("%-12s of %zu bytes, %s: %llu tries, %llu the same state, %llu refused by seq, %llu ended earlier\n",
              file.c_str(), whole.size(), witness ? "witnessed  " : "unwitnessed",
              static_cast<unsigned long long>(counts.tries), static_cast<unsigned long long>(counts.same),
              static_cast<unsigned long long>(counts.refused), static_cast<unsigned long long>(counts.shorter));
  std::fflush(stdout);
  return counts;
}

}  // namespace

TEST_CASE("damage to journal.db is harmless or refused by seq", "[recovery][damage]") {
  const Past past(14);
  const Scratch scratch;
  past.write(scratch.path, 0, 14);
  damage(past, scratch.path, "journal.db", true, kEvery);
  damage(past, scratch.path, "journal.db", false, kSome);
}

TEST_CASE("damage to the log of a journal.db is refused by seq, or known to nobody", "[recovery][damage]") {
  const Past past(14);
  const Scratch scratch;
  past.write(scratch / "killed", 0, 8);
  auto journal = std::move(open_journal(scratch / "killed")).value();
  past.append(*journal, 8, 14);
  std::filesystem::create_directories(scratch / "log");
  for (const std::string name : {"/journal.db", "/journal.db-wal", "/witness"}) {
    std::filesystem::copy_file(scratch / "killed" + name, scratch / "log" + name);
  }
  damage(past, scratch / "log", "journal.db-wal", true, kEvery);
  for (const bool witness : {true, false}) damage(past, scratch / "log", "journal.db", witness, kSome);
  const Damage unwitnessed = damage(past, scratch / "log", "journal.db-wal", false, kSome);
  CHECK(unwitnessed.shorter == unwitnessed.tries);
}

TEST_CASE("damage to a snapshot changes no state", "[recovery][damage]") {
  const Past past(320);
  const Scratch scratch;
  past.write(scratch.path, 0, 320);
  past.snapshot(scratch.path, 290);
  past.snapshot(scratch.path, 300);
  const Damage counts = damage(past, scratch.path, "snapshot-300", true, kEvery);
  CHECK(counts.same == counts.tries);
}
