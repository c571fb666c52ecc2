// The store under a disk that refuses, crashes or lies at every call.
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "common/store/blob_store.h"
#include "tests/common/store/fault_files.h"
#include "tests/common/store/scratch.h"

using namespace modelhop;
namespace fs = std::filesystem;

namespace {

std::span<const std::uint8_t> span_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string text_of_blob(BlobStore& store, const std::string& name) {
  const auto bytes = store.read(name, 1 << 20);
  return bytes.ok() ? std::string(bytes->begin(), bytes->end()) : "";
}

// What a name may hold: the values that were begun for it since the last that was said to be durable, and that one.
struct Promise {
  std::set<std::string> allowed{""};  // "": it is not there
};

// Creates, replaces and removes blobs, in new folders and old; what each call returned is kept as a promise.
class Workload {
 public:
  void run(BlobStore& store) {
    for (int i = 0; i < 6; ++i) {
      const std::string name = "states/e" + std::to_string(i / 2) + "/" + std::to_string(i);
      create(store, name, std::string(100 + static_cast<std::size_t>(i) * 700, static_cast<char>('a' + i)));
      if (i % 3 == 2) remove(store, name);
      replace(store, "fence/1", "version " + std::to_string(i) + std::string(50, 'v'));
    }
    create(store, "states/e0/0", std::string(100, 'a'));  // again
  }

  std::map<std::string, Promise> promises;
  std::vector<Status> refusals;

 private:
  void create(BlobStore& store, const std::string& name, const std::string& bytes) {
    Promise& promise = promises[name];
    promise.allowed.insert(bytes);
    const std::span<const std::uint8_t> pieces[] = {span_of(bytes).first(10), span_of(bytes).subspan(10)};
    settle(promise, store.create(name, pieces).status(), bytes);
  }
  void replace(BlobStore& store, const std::string& name, const std::string& bytes) {
    Promise& promise = promises[name];
    promise.allowed.insert(bytes);
    const std::span<const std::uint8_t> piece = span_of(bytes);
    settle(promise, store.replace(name, {&piece, 1}), bytes);
  }
  void remove(BlobStore& store, const std::string& name) {
    Promise& promise = promises[name];
    promise.allowed.insert("");
    settle(promise, store.remove(name), "");
  }
  void settle(Promise& promise, const Status& status, const std::string& value) {
    if (status.ok()) promise.allowed = {value};
    if (!status.ok()) refusals.push_back(status);
  }
};

void check_promises(const std::string& root, const Workload& work) {
  const FaultFiles no_fault(root, {});  // it does not wait for the disk
  auto store = std::move(open_store(root)).value();
  for (const auto& [name, promise] : work.promises) {
    const std::string there = text_of_blob(*store, name);
    INFO(name << " holds " << there.substr(0, 20) << "... of " << there.size() << " bytes");
    CHECK(promise.allowed.contains(there));
  }
  const std::vector<BlobEntry> listed = store->list("").value();
  for (const BlobEntry& entry : listed) CHECK(work.promises.contains(entry.name));
}

std::uint64_t calls_of_workload() {
  const MemoryScratch scratch;
  FaultFiles files(scratch / "store", {});
  Workload work;
  auto store = std::move(open_store(scratch / "store")).value();
  work.run(*store);
  CHECK(work.refusals.empty());
  return files.calls();
}

}  // namespace

TEST_CASE("after a crash at any call a blob is whole or not there, and what was created is there", "[store][fault]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::uint64_t calls = calls_of_workload();
  REQUIRE(calls > 100);
  for (std::uint64_t at = 1; at <= calls; ++at) {
    CAPTURE(at);
    const MemoryScratch scratch;
    Workload work;
    {
      FaultFiles files(scratch / "store", {.at = at});
      if (auto store = open_store(scratch / "store"); store.ok()) work.run(**store);
      REQUIRE(files.crashed());
      for (const char* folder : {"/one", "/two", "/three"}) files.after_crash(scratch.path + folder, random);
    }
    for (const char* folder : {"/one", "/two", "/three"}) check_promises(scratch.path + folder, work);
  }
}

TEST_CASE("a disk that is full or broken at any call refuses cleanly, and later calls go well", "[store][fault]") {
  const std::uint64_t calls = calls_of_workload();
  for (const int error : {ENOSPC, EIO, EROFS}) {
    for (std::uint64_t at = 1; at <= calls; ++at) {
      CAPTURE(error, at);
      const MemoryScratch scratch;
      Workload work;
      {
        FaultFiles files(scratch / "store", {.at = at, .error = error});
        auto store = open_store(scratch / "store");
        if (!store.ok()) {  // it was probing
          CHECK(store.status().code() == Code::kEnvironment);
          continue;
        }
        work.run(**store);
      }
      CHECK(work.refusals.size() <= 1);
      for (const Status& refusal : work.refusals) {
        CHECK(refusal.code() == Code::kEnvironment);
        CHECK(refusal.message().find(std::strerror(error)) != std::string::npos);
      }
      check_promises(scratch / "store", work);
      const FaultFiles no_fault(scratch / "store", {});
      Workload again;
      auto store = std::move(open_store(scratch / "store")).value();
      again.run(*store);
      CHECK(again.refusals.empty());
    }
  }
}

TEST_CASE("a disk that stays full refuses everything by name, and keeps what there was", "[store][fault]") {
  const std::uint64_t calls = calls_of_workload();
  for (std::uint64_t at = 1; at <= calls; at += 7) {
    CAPTURE(at);
    const MemoryScratch scratch;
    Workload work;
    {
      FaultFiles files(scratch / "store", {.at = at, .error = ENOSPC, .and_all_later = true});
      if (auto store = open_store(scratch / "store"); store.ok()) work.run(**store);
    }
    for (const Status& refusal : work.refusals) CHECK(refusal.code() == Code::kEnvironment);
    check_promises(scratch / "store", work);
  }
}

TEST_CASE("the machinery notices a disk that lies about what it synced", "[store][fault]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  int broken = 0;
  for (int round = 0; round < 20; ++round) {
    const MemoryScratch scratch;
    Workload work;
    {
      FaultFiles files(scratch / "store", {.lies = true});
      auto store = std::move(open_store(scratch / "store")).value();
      work.run(*store);
      files.after_crash(scratch / "after", random);
    }
    auto store = open_store(scratch / "after");
    for (const auto& [name, promise] : work.promises) {
      broken += !store.ok() || !promise.allowed.contains(text_of_blob(**store, name));
    }
  }
  CHECK(broken > 20);
}
