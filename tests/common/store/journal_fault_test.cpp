// journal.db under a disk that refuses or crashes at any call.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>

#include "common/base/time.h"
#include "common/store/file_system.h"
#include "common/store/journal.h"
#include "tests/common/store/fault_vfs.h"
#include "tests/common/store/scratch.h"

using namespace modelhop;

namespace {

constexpr std::uint64_t kBatches = 60, kBatchRecords = 3;
constexpr int kCrashed = 77;

// The n-th record: a function of its number. Large enough that the log is written back several times.
Record record_number(std::uint64_t seq) {
  const char fill = static_cast<char>('a' + seq % 26);
  if (seq % 7 != 0) return {seq, {1000}, UnitParked{{1}, {seq}, std::string(300, fill)}};
  ExperimentCreated large;
  large.experiment = {1};
  large.spec_sent = std::string(150'000, fill);
  return {seq, {1000}, large};
}

// Tells of folders that were synced; all else is the real file system's.
class FolderSyncs final : public FileSystem {
 public:
  explicit FolderSyncs(std::function<void()> synced) : synced_(std::move(synced)) { use_file_system(this); }
  ~FolderSyncs() override { use_file_system(nullptr); }
  int open(const std::string& path, int flags, unsigned mode) override { return real().open(path, flags, mode); }
  ssize_t write(int file, const void* bytes, std::size_t n) override { return real().write(file, bytes, n); }
  ssize_t pwrite(int file, const void* bytes, std::size_t n, off_t at) override {
    return real().pwrite(file, bytes, n, at);
  }
  int fsync(int file) override {
    struct ::stat info {};
    const int result = real().fsync(file);
    if (result == 0 && ::fstat(file, &info) == 0 && S_ISDIR(info.st_mode)) synced_();
    return result;
  }
  int close(int file) override { return real().close(file); }
  int mkdir(const std::string& path) override { return real().mkdir(path); }
  int rmdir(const std::string& path) override { return real().rmdir(path); }
  int rename(const std::string& from, const std::string& to) override { return real().rename(from, to); }
  int rename_exclusive(const std::string& from, const std::string& to) override {
    return real().rename_exclusive(from, to);
  }
  int unlink(const std::string& path) override { return real().unlink(path); }

 private:
  static FileSystem& real() { return real_file_system(); }
  const std::function<void()> synced_;
};

// Written by a child, read by its parent, whatever ended the child.
struct Shared {
  std::atomic<std::uint64_t> acknowledged{0}, calls{0};
  std::atomic<std::int64_t> fault_at{0};
};

class SharedPage {
 public:
  SharedPage() : page_(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    REQUIRE(page_ != MAP_FAILED);
    new (page_) Shared;
  }
  ~SharedPage() { ::munmap(page_, sizeof(Shared)); }
  Shared* operator->() { return static_cast<Shared*>(page_); }

 private:
  void* page_;
};

void write_journal(const std::string& state_dir, SharedPage& shared) {
  auto journal = open_journal(state_dir);
  if (!journal.ok()) {
    std::fprintf(stderr, "%s\n", journal.status().message().c_str());
    ::_exit(1);
  }
  (*journal)->on_durable([&](std::uint64_t seq) { shared->acknowledged = seq; });
  for (std::uint64_t batch = 0; batch < kBatches; ++batch) {
    std::vector<Record> records;
    for (std::uint64_t i = 1; i <= kBatchRecords; ++i) records.push_back(record_number(batch * kBatchRecords + i));
    (*journal)->append(std::move(records));
    (*journal)->flush();
  }
}

// Runs the workload in a child with a fault at call `at`; its exit status. `crash`: where the disk's contents go.
int run_child(const std::string& state_dir, std::uint64_t at, int error, SharedPage& shared,
              const std::vector<std::string>& crash, unsigned seed) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int quiet = ::open((state_dir + ".err").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    ::dup2(quiet, STDERR_FILENO);
    FaultVfs* vfs = nullptr;
    FaultVfs::Plan plan{at, error, [&](const std::string&) {
                          shared->fault_at = monotonic_now().ns;
                          if (error != 0) return;
                          std::mt19937 random(seed);
                          for (const std::string& folder : crash) vfs->after_crash(folder, random);
                          ::_exit(kCrashed);
                        }};
    vfs = new FaultVfs(plan);
    const FolderSyncs syncs([&] { vfs->folder_synced(); });
    write_journal(state_dir, shared);
    shared->calls = vfs->calls();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Every record that is there is the one that was written; at least `least` are.
void check_prefix(const std::string& state_dir, std::uint64_t least) {
  std::uint64_t count = 0;
  bool as_written = true;
  const Status status = read_journal(state_dir, [&](const Record& record) {
    as_written = as_written && to_json(record) == to_json(record_number(++count));
    return Status();
  });
  if (!status.ok() && least == 0 && count == 0) {  // it was not begun; a start begins it
    const auto journal = open_journal(state_dir);
    INFO(journal.status().message());
    REQUIRE(journal.ok());
    CHECK((*journal)->durable_seq() == 0);
    return;
  }
  INFO(status.message());
  CHECK(status.ok());
  CHECK(as_written);
  CHECK(count >= least);
}

std::uint64_t calls_of_journal() {
  const MemoryScratch scratch;
  SharedPage shared;
  REQUIRE(run_child(scratch / "state", 0, 0, shared, {}, 0) == 0);
  return shared->calls;
}

// All calls of the opening, and some of the many that follow.
std::vector<std::uint64_t> some_calls(std::uint64_t calls, std::size_t drawn, std::mt19937& random) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t at = 1; at <= std::min<std::uint64_t>(calls, 40); at += 1 + random() % 2) out.push_back(at);
  for (std::size_t i = 0; i < drawn; ++i) out.push_back(41 + random() % (calls - 40));
  return out;
}

}  // namespace

TEST_CASE("after a crash at any call the journal is a prefix that has all that was said to be durable",
          "[journal][fault]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::uint64_t calls = calls_of_journal();
  REQUIRE(calls > 2000);
  std::uint64_t with_records = 0;
  for (const std::uint64_t at : some_calls(calls, 15, random)) {
    CAPTURE(at);
    const MemoryScratch scratch;
    SharedPage shared;
    const std::vector<std::string> after = {scratch / "one", scratch / "two"};
    const unsigned drawn = static_cast<unsigned>(random());
    REQUIRE(run_child(scratch / "state", at, 0, shared, after, drawn) == kCrashed);
    with_records += shared->acknowledged > 0;
    for (const std::string& folder : after) {
      check_prefix(folder, shared->acknowledged);
      // It goes on from there.
      auto journal = open_journal(folder);
      INFO(journal.status().message());
      REQUIRE(journal.ok());
      const std::uint64_t last = (*journal)->durable_seq();
      CHECK(last >= shared->acknowledged);
      (*journal)->append({record_number(last + 1)});
      (*journal)->flush();
      journal->reset();
      check_prefix(folder, last + 1);
    }
  }
  CHECK(with_records > 5);
}

TEST_CASE("a full or broken disk ends the journal's process within a second at any call, and nothing is lost",
          "[journal][fault]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::uint64_t calls = calls_of_journal();
  for (const int error : {ENOSPC, EIO}) {
    for (const std::uint64_t at : some_calls(calls, 10, random)) {
      CAPTURE(error, at);
      const MemoryScratch scratch;
      SharedPage shared;
      const int status = run_child(scratch / "state", at, error, shared, {}, 0);
      CHECK(monotonic_now().ns - shared->fault_at < kSecond);
      if (status != 0 || shared->acknowledged < kBatches * kBatchRecords) {  // else it was closing: the log stays
        CHECK(status == 1);
        std::ifstream in(scratch / "state.err");
        const std::string said{std::istreambuf_iterator<char>(in), {}};
        CHECK(said.find("journal.db") != std::string::npos);
      }
      check_prefix(scratch / "state", shared->acknowledged);
      CHECK(open_journal(scratch / "state").ok());
    }
  }
}
