#include "worker/data/partition_cache.h"

#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "tests/worker/data/example_data.h"

using namespace modelhop;

namespace {

namespace fs = std::filesystem;

// A store with one data set: 4 partitions and a validation set of 10 rows of 7 bytes each, a test set of 5 rows.
struct Store {
  TempFolder folder;
  DatasetRef dataset;
  Store() {
    write_mnist(folder / "in", 50, 5);
    ImportRequest request = request_of(ImportFrom::kIdx, {folder / "in"}, 4);
    request.validation_rows = 10;
    const auto manifest = import_dataset(folder / "store", request);
    REQUIRE(manifest.ok());
    dataset = {"tiny", identity(*manifest)};
  }
  std::unique_ptr<PartitionCache> cache(std::uint64_t memory_bytes = 1 << 20) {
    auto opened = PartitionCache::open(folder / "store", folder / "local", memory_bytes);
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
  std::string store_file(const std::string& name) const { return folder / ("store/data/tiny/" + name); }
  std::string local_file(const std::string& name) const {
    return folder / ("local/tiny@" + to_string(dataset.identity) + "/" + name);
  }
};

constexpr std::uint64_t kShardBytes = 70;

}  // namespace

TEST_CASE("a partition is copied once, kept in memory and shared", "[data][cache]") {
  Store store;
  auto cache = store.cache();
  REQUIRE(cache->place(store.dataset, {{0}, {2}}).ok());
  CHECK_FALSE(fs::exists(store.local_file("train-0000.h5")));
  const auto first = cache->get(store.dataset, {0});
  REQUIRE(first.ok());
  CHECK((*first)->rows() == 10);
  CHECK(cache->live_bytes() == kShardBytes);
  CHECK(read_bytes(store.local_file("train-0000.h5")) == read_bytes(store.store_file("train-0000.h5")));
  CHECK(*cache->get(store.dataset, {0}) == *first);
  CHECK((*cache->validation(store.dataset))->rows() == 10);
  CHECK((*cache->test(store.dataset))->rows() == 5);

  fs::remove_all(store.folder / "store/data/tiny/train-0000.h5");  // the copy suffices, also for the next process
  cache.reset();
  CHECK(store.cache()->get(store.dataset, {0}).ok());
}

TEST_CASE("a damaged copy is made again; a damaged original is a named fault", "[data][cache][corrupt]") {
  Store store;
  auto cache = store.cache(kShardBytes);  // room for one, so each get() of another loads
  REQUIRE(cache->get(store.dataset, {0}).ok());
  REQUIRE(cache->get(store.dataset, {1}).ok());
  Bytes bytes = read_bytes(store.local_file("train-0000.h5"));
  bytes[bytes.size() / 2] ^= 4;
  write_file(store.local_file("train-0000.h5"), bytes);
  REQUIRE(cache->get(store.dataset, {0}).ok());
  CHECK(read_bytes(store.local_file("train-0000.h5")) == read_bytes(store.store_file("train-0000.h5")));

  write_file(store.store_file("train-0002.h5"), bytes);
  const auto bad = cache->get(store.dataset, {2});
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.status().code() == Code::kCorrupt);
  CHECK(contains(bad.status().message(), store.store_file("train-0002.h5") + "' has the hash"));
  CHECK_FALSE(fs::exists(store.local_file("train-0002.h5")));
  CHECK_FALSE(fs::exists(store.local_file("train-0002.h5.part")));
  CHECK(cache->get(store.dataset, {3}).ok());
}

TEST_CASE("the budget holds: the one unused longest goes, what is in use never", "[data][cache][limit]") {
  Store store;
  auto cache = store.cache(2 * kShardBytes);
  std::weak_ptr<const Partition> zero, one;
  {
    const auto a = *cache->get(store.dataset, {0});
    const auto b = *cache->get(store.dataset, {1});
    zero = a;
    one = b;
    CHECK(cache->live_bytes() == 2 * kShardBytes);
    const auto refused = cache->get(store.dataset, {2});
    CHECK(refused.status().code() == Code::kEnvironment);
    CHECK(contains(refused.status().message(), "--memory allows 140"));
  }
  REQUIRE(cache->get(store.dataset, {0}).ok());  // now 1 is the older
  REQUIRE(cache->get(store.dataset, {2}).ok());
  CHECK(one.expired());
  CHECK_FALSE(zero.expired());
  CHECK(cache->live_bytes() == 2 * kShardBytes);
  const auto held = *cache->get(store.dataset, {3});
  REQUIRE(cache->place(store.dataset, {}).ok());
  CHECK(cache->live_bytes() == kShardBytes);  // dropped, but still held here
  cache.reset();
  CHECK(held->rows() == 10);
}

TEST_CASE("a partition larger than the budget is an error that names --memory", "[data][cache][limit]") {
  Store store;
  const auto refused = store.cache(kShardBytes - 1)->get(store.dataset, {0});
  CHECK(refused.status().code() == Code::kEnvironment);
  CHECK(contains(refused.status().message(), "takes 70 bytes of memory, --memory allows 69; raise it"));
}

TEST_CASE("what is no longer placed here leaves memory and disk", "[data][cache]") {
  Store store;
  auto cache = store.cache();
  REQUIRE(cache->place(store.dataset, {{0}, {1}}).ok());
  for (std::uint32_t i : {0, 1}) REQUIRE(cache->get(store.dataset, {i}).ok());
  REQUIRE(cache->validation(store.dataset).ok());
  fs::create_directories(store.folder / ("local/tiny@" + std::string(32, '0')));   // an older import
  fs::create_directories(store.folder / ("local/tiny2@" + std::string(32, '0')));  // another data set
  REQUIRE(cache->place(store.dataset, {{1}}).ok());
  CHECK_FALSE(fs::exists(store.local_file("train-0000.h5")));
  CHECK(fs::exists(store.local_file("train-0001.h5")));
  CHECK(fs::exists(store.local_file("validation.h5")));
  CHECK_FALSE(fs::exists(store.folder / ("local/tiny@" + std::string(32, '0'))));
  CHECK(fs::exists(store.folder / ("local/tiny2@" + std::string(32, '0'))));
  CHECK(cache->live_bytes() == 2 * kShardBytes);
  REQUIRE(delete_dataset(store.folder / "store", "tiny").ok());
  REQUIRE(cache->place(store.dataset, {}).ok());  // needs no store
  CHECK_FALSE(fs::exists(fs::path(store.local_file("x")).parent_path()));
  CHECK(cache->live_bytes() == 0);
}

TEST_CASE("a data set that was imported anew is another one", "[data][cache]") {
  Store store;
  auto cache = store.cache();
  DatasetRef other = store.dataset;
  other.identity.bytes[0] ^= 1;
  const Status status = cache->get(other, {0}).status();
  CHECK(status.code() == Code::kConflict);
  CHECK(contains(status.message(), "the experiment was made with " + to_string(other.identity)));
  CHECK(cache->place(other, {{0}}).code() == Code::kConflict);
  CHECK(cache->get(store.dataset, {4}).status().code() == Code::kInvalid);
  CHECK(cache->place(store.dataset, {{4}}).code() == Code::kInvalid);
  CHECK(cache->get({"none", store.dataset.identity}, {0}).status().code() == Code::kNotFound);
}

TEST_CASE("a data directory belongs to one worker at a time", "[data][cache]") {
  Store store;
  const auto cache = store.cache();
  const auto second = PartitionCache::open(store.folder / "store", store.folder / "local", 1);
  CHECK(second.status().code() == Code::kConflict);
  CHECK(contains(second.status().message(), "give each its own --data-dir"));
}

TEST_CASE("many threads get partitions under a tight budget", "[data][cache][threads]") {
  Store store;
  auto cache = store.cache(2 * kShardBytes);
  std::vector<int> got(2);
  std::vector<std::string> faults(2);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (std::uint32_t round = 0; round < 50; ++round) {
        const auto partition = cache->get(store.dataset, {(round + i) % 4});
        if (!partition.ok()) faults[i] = partition.status().message();
        got[i] += partition.ok() && (*partition)->rows() == 10 && cache->live_bytes() <= 2 * kShardBytes;
      }
    });
  }
  std::thread placing([&] {
    for (int round = 0; round < 20; ++round) {
      if (!cache->place(store.dataset, {{0}, {1}}).ok()) return;
    }
  });
  for (std::thread& thread : threads) thread.join();
  placing.join();
  INFO(faults[0] << "\n" << faults[1]);
  CHECK(got == std::vector<int>{50, 50});
}
