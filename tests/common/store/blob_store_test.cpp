#include "common/store/blob_store.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <thread>

#include "tests/common/store/fault_files.h"
#include "tests/common/store/scratch.h"

using namespace modelhop;
namespace fs = std::filesystem;

namespace {

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Result<Put> put(BlobStore& store, const std::string& name, const std::string& text) {
  const std::span<const std::uint8_t> piece = bytes_of(text);
  return store.create(name, {&piece, 1});
}

std::string get(BlobStore& store, const std::string& name) {
  const auto bytes = store.read(name, 1 << 20);
  return bytes.ok() ? std::string(bytes->begin(), bytes->end()) : bytes.status().message();
}

std::size_t files_under(const std::string& folder) {
  std::size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) count += entry.is_regular_file();
  return count;
}

}  // namespace

TEST_CASE("a blob is written once, from pieces, and never overwritten", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store("file://" + scratch.path + "/store")).value();
  const std::string head = "head", tail = "tail";
  const std::span<const std::uint8_t> pieces[] = {bytes_of(head), {}, bytes_of(tail)};
  CHECK(store->create("states/e1/2/0.4-ab.bin", pieces).value() == Put::kCreated);
  CHECK(put(*store, "states/e1/2/0.4-ab.bin", "other").value() == Put::kExists);
  CHECK(get(*store, "states/e1/2/0.4-ab.bin") == "headtail");
  CHECK(store->stat("states/e1/2/0.4-ab.bin")->size_bytes == 8);
  CHECK(store->local_path("states/e1/2/0.4-ab.bin").ok());
  CHECK(files_under(scratch.path + "/store/tmp") == 0);
}

TEST_CASE("listing a prefix names its blobs in order and nothing else", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  for (const char* name : {"data/b/x", "data/a/y", "data/a/x", "other/z", "data-2/z"})
    REQUIRE(put(*store, name, "1").ok());
  std::vector<std::string> names;
  const std::vector<BlobEntry> entries = store->list("data/").value();
  for (const BlobEntry& entry : entries) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"data/a/x", "data/a/y", "data/b/x"});
  CHECK(store->list("").value().size() == 5);
  CHECK(store->list("data/a/x").value().size() == 1);
  CHECK(store->list("nothing/").value().empty());
}

TEST_CASE("removing a blob removes its empty folders, and removing nothing is ok", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  REQUIRE(put(*store, "a/b/c", "1").ok());
  CHECK(store->remove("a/b/c").ok());
  CHECK_FALSE(fs::exists(scratch / "store/a"));
  CHECK(store->remove("a/b/c").ok());
  CHECK(store->stat("a/b/c").status().code() == Code::kNotFound);
  CHECK(put(*store, "a/b/c", "2").value() == Put::kCreated);
}

TEST_CASE("names that leave the store or its alphabet are refused", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  for (const std::string name :
       {"", "/a", "a/", "a//b", "..", "a/../b", ".", "a/./b", "a b", "a\n", "é", "tmp/x", "tmp"}) {
    INFO(name);
    CHECK(put(*store, name, "1").status().code() == Code::kInvalid);
    CHECK(store->read(name, 10).status().code() == Code::kInvalid);
    CHECK(store->remove(name).code() == Code::kInvalid);
  }
  CHECK_FALSE(put(*store, std::string(kBlobNameBytesMax + 1, 'a'), "1").ok());
}

TEST_CASE("a blob larger than its reader expects is refused before it is read", "[store][limits]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  REQUIRE(put(*store, "a", "12345").ok());
  CHECK(store->read("a", 5).ok());
  CHECK(store->read("a", 4).status().code() == Code::kCorrupt);
  CHECK(store->read("b", 4).status().code() == Code::kNotFound);
}

TEST_CASE("what a killed writer left in tmp is removed once it is old", "[store]") {
  const Scratch scratch;
  REQUIRE(open_store(scratch / "store").ok());
  std::ofstream(scratch / "store/tmp/1-old-0") << "x";
  std::ofstream(scratch / "store/tmp/1-new-0") << "x";
  const utimbuf old{::time(nullptr) - 90'000, ::time(nullptr) - 90'000};
  REQUIRE(::utime((scratch / "store/tmp/1-old-0").c_str(), &old) == 0);
  REQUIRE(open_store(scratch / "store").ok());
  CHECK_FALSE(fs::exists(scratch / "store/tmp/1-old-0"));
  CHECK(fs::exists(scratch / "store/tmp/1-new-0"));
}

TEST_CASE("a write that the disk refuses names the blob and leaves nothing behind", "[store]") {
  const Scratch scratch;
  const pid_t child = ::fork();
  if (child == 0) {  // the limit is the process's
    ::signal(SIGXFSZ, SIG_IGN);
    auto store = std::move(open_store(scratch / "store")).value();
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = put(*store, "big/blob", std::string(5000, 'x')).status();
    const bool named = status.code() == Code::kEnvironment && status.message().find("big/blob") != std::string::npos;
    ::_exit(named && files_under(scratch / "store") == 0 ? 0 : 1);
  }
  int result = 0;
  ::waitpid(child, &result, 0);
  CHECK(result == 0);
}

TEST_CASE("of many writers of one name exactly one creates it", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  std::atomic<int> created{0}, existed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        const auto done = put(*store, "n/" + std::to_string(i), "same");
        if (done.ok()) ++(*done == Put::kCreated ? created : existed);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(created == 20);
  CHECK(existed == 60);
}

TEST_CASE("listing while blobs and their folders come and go is no error", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  std::atomic<bool> done{false};
  std::thread other([&] {
    for (int i = 0; i < 200; ++i) {
      const std::string name = "n/" + std::to_string(i % 5) + "/x";
      if (!put(*store, name, "1").ok() || !store->remove(name).ok()) break;
    }
    done = true;
  });
  bool ok = true;
  while (!done) ok &= store->list("").ok();
  other.join();
  CHECK(ok);
  CHECK(store->list("")->empty());
}

TEST_CASE("a store that cannot be is refused by name", "[store]") {
  const Scratch scratch;
  CHECK(open_store("s3://bucket").status().code() == Code::kInvalid);
  CHECK(open_store("").status().code() == Code::kInvalid);
  std::ofstream(scratch / "file") << "x";
  CHECK(open_store(scratch / "file").status().message().find("file") != std::string::npos);
}

TEST_CASE("a scan gives a folder's blobs in order of name, in pieces, and each once", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  // '-' and '.' come before '/', and '0' after it: whole names are compared, not their parts.
  const std::vector<std::string> names = {"states/c1-x/a",      "states/c1.x",         "states/c1/e1-b/1",
                                          "states/c1/e1.b",     "states/c1/e1/1/0.1",  "states/c1/e1/1/0.2",
                                          "states/c1/e1/2/0.1", "states/c1/e10/1/0.1", "states/c10/e1/1/0.1"};
  for (const std::string& name : names) REQUIRE(put(*store, name, name).ok());
  for (const std::size_t max : {1, 2, 3, 6, 7}) {
    std::vector<std::string> found;
    for (std::string after;;) {
      const Result<BlobScan> piece = store->scan("states/c1/", after, max);
      REQUIRE(piece.ok());
      CHECK(piece->entries.size() <= max);
      for (const BlobEntry& entry : piece->entries) {
        CHECK(entry.size_bytes == entry.name.size());
        found.push_back(entry.name);
      }
      if (piece->complete) break;
      REQUIRE_FALSE(piece->entries.empty());
      after = piece->entries.back().name;
    }
    CHECK(found == std::vector<std::string>(names.begin() + 2, names.begin() + 8));
  }
  CHECK(store->scan("", "", 100)->entries.size() == names.size());
  CHECK(store->scan("states/c7/", "", 100)->entries.empty());
  CHECK(store->scan("../", "", 100).status().code() == Code::kInvalid);
}

TEST_CASE("a scan follows no link and leaves out what is no plain file", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  REQUIRE(put(*store, "states/c1/mine", "x").ok());
  fs::create_directories(scratch / "elsewhere/deep");
  std::ofstream(scratch / "elsewhere/deep/theirs") << "x";
  fs::create_directory_symlink(scratch / "elsewhere", scratch / "store/states/c1/folder");
  fs::create_symlink(scratch / "elsewhere/deep/theirs", scratch / "store/states/c1/file");
  fs::create_directory_symlink(scratch / "store/states/c1", scratch / "store/states/c1/circle");
  REQUIRE(::mkfifo((scratch / "store/states/c1/pipe").c_str(), 0600) == 0);
  std::ofstream(scratch / "store/states/c1/not a name") << "x";
  const Result<BlobScan> found = store->scan("states/c1/", "", 100);
  REQUIRE(found.ok());
  REQUIRE(found->entries.size() == 1);
  CHECK(found->entries[0].name == "states/c1/mine");
}

TEST_CASE("a folder that cannot be read ends a scan with its name, never with a part of the list", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  for (const char* name : {"states/c1/e1/1/a", "states/c1/e2/1/a"}) REQUIRE(put(*store, name, "x").ok());
  for (std::uint64_t call = 1; call <= 5; ++call) {  // five folders are opened
    FaultFiles files(scratch / "store", {call, EIO});
    const Result<BlobScan> found = store->scan("states/c1/", "", 100);
    INFO(call << ": " << found.status().message());
    REQUIRE(found.status().code() == Code::kEnvironment);
    CHECK(found.status().message().find("/store/states/c1/") != std::string::npos);
    CHECK(found.status().message().find("cannot be listed") != std::string::npos);
  }
}

TEST_CASE("what writers left is told with its age by the store's own clock, and removed by name", "[store]") {
  const Scratch scratch;
  auto store = std::move(open_store(scratch / "store")).value();
  std::ofstream(scratch / "store/tmp/1-old-0") << "half";
  const ::utimbuf old{1'000, 1'000};
  REQUIRE(::utime((scratch / "store/tmp/1-old-0").c_str(), &old) == 0);
  const Result<WallMs> now = store->clock();
  REQUIRE(now.ok());
  CHECK(std::abs(now->value - wall_now().value) < 60'000);
  const auto found = store->leftovers(10);
  REQUIRE(found.ok());
  REQUIRE(found->size() == 1);
  CHECK((*found)[0].name == "1-old-0");
  CHECK((*found)[0].size_bytes == 4);
  CHECK((*found)[0].modified.value == 1'000'000);
  CHECK(store->remove_leftover("1-old-0").ok());
  CHECK(store->remove_leftover("1-old-0").ok());
  CHECK(store->remove_leftover("../states/x").code() == Code::kInvalid);
  CHECK(files_under(scratch.path + "/store/tmp") == 0);
}

TEST_CASE("a store that is only looked at is not changed", "[store]") {
  const Scratch scratch;
  CHECK(open_store_to_look(scratch / "none").status().code() == Code::kNotFound);
  CHECK_FALSE(fs::exists(scratch / "none"));
  REQUIRE(put(*std::move(open_store(scratch / "store")).value(), "a/b", "x").ok());
  std::ofstream(scratch / "store/tmp/1-old-0") << "x";
  const ::utimbuf old{1'000, 1'000};
  REQUIRE(::utime((scratch / "store/tmp/1-old-0").c_str(), &old) == 0);
  const auto looked = open_store_to_look(scratch / "store");
  REQUIRE(looked.ok());
  CHECK((*looked)->scan("", "", 10)->entries.size() == 1);
  CHECK(fs::exists(scratch / "store/tmp/1-old-0"));
}
