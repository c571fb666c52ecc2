// 1,000 damaged states, and a crash at every call of a publication: none is taken for what it was.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/common/state/example_state.h"
#include "tests/common/store/fault_files.h"
#include "tests/common/store/scratch.h"
#include "tests/worker/hop/published.h"
#include "worker/hop/hop.h"

using namespace modelhop;

namespace {

constexpr StateNaming kNames{1, 4};
const StateRef kNamed{{7}, {12}, 1, {}, {}, {}, 0};

StateArena state_of_step(std::uint64_t step) {
  StateArena state = example_state();
  state.cursor.step = step;
  return state;
}

std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

Result<StateRef> publish_in(BlobStore& store, const StateRef& named, const StateArena& state, StateNaming naming) {
  Hop hop(store, 0);
  return publish(hop, named, state, naming);
}

// What becomes the fault hash_mismatch of its unit (worker/process/unit_run.cpp), not a result and not another fault.
bool is_detected(const Status& status) { return status.code() == Code::kCorrupt || status.code() == Code::kNotFound; }

}  // namespace

TEST_CASE("of 1,000 damaged states 1,000 are detected, and publishing again mends each", "[hop][damage]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const MemoryScratch scratch;
  auto store = std::move(open_store(scratch.path)).value();
  Hop hop(*store, 0);
  const StateArena state = state_of_step(20), other = state_of_step(21);
  const StateRef ref = publish(hop, kNamed, state, kNames).value();
  const StateRef of_other = publish(hop, kNamed, other, kNames).value();
  StateRef elsewhere = kNamed;
  elsewhere.trial = {13};
  const StateRef of_trial = publish(hop, elsewhere, state_of_step(19), kNames).value();
  const std::string path = store->local_path(state_blob_name(ref, kNames)).value();
  const std::string good = file_text(path),
                    foreign = file_text(store->local_path(state_blob_name(of_other, kNames)).value()),
                    of_another_trial = file_text(store->local_path(state_blob_name(of_trial, kNames)).value());
  std::map<std::string, int> detected;
  int mended = 0;
  for (int i = 0; i < 1'000; ++i) {
    std::string bytes = good, kind;
    switch (i % 8) {
      case 0:
      case 1:
        kind = "flipped";
        bytes[random() % bytes.size()] ^= static_cast<char>(1 << (random() % 8));
        break;
      case 2:
        kind = "cut";
        bytes.resize(random() % bytes.size());
        break;
      case 3:
        kind = "empty";
        bytes.clear();
        break;
      case 4:
        kind = "missing";
        break;
      case 5:
        kind = "another's";
        bytes = i % 16 < 8 ? foreign : of_another_trial;
        break;
      case 6: {
        kind = "two writers";  // without exclusive names: each wrote some pages of it
        const std::size_t at = 1 + random() % (bytes.size() - 1);
        bytes = good.substr(0, at) + foreign.substr(at);
        if (bytes == good || bytes == foreign) bytes += foreign;
        break;
      }
      case 7:
        kind = "torn";  // its length reached the disk, and not all of its bytes
        const std::size_t at = random() % bytes.size();
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(), '\0');
        if (bytes == good) bytes.back() = 1;
        break;
    }
    if (kind == "missing") {
      std::filesystem::remove(path);
    } else {
      write_file(path, bytes);
    }
    INFO(kind << " " << i);
    const Status status = hop.fetch(ref, example_layout(), kNames).status();
    CHECK(is_detected(status));
    CHECK(status.message().find(state_blob_name(ref, kNames)) != std::string::npos);
    detected[kind] += is_detected(status);
    // Training again to the same hash puts it right, under the same name.
    mended += publish(hop, kNamed, state, kNames).value() == ref && hop.fetch(ref, example_layout(), kNames).ok();
    CHECK(file_text(path) == good);
  }
  int sum = 0;
  for (const auto& [kind, count] : detected) sum += count;
  CHECK(detected.size() == 7);
  CHECK(sum == 1'000);
  CHECK(mended == 1'000);
}

TEST_CASE("after a crash at any call of a publication a state is whole or missing, and there if it was reported",
          "[hop][damage]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const StateArena state = state_of_step(20);
  StateRef ref;
  std::uint64_t calls = 0;
  {
    const MemoryScratch scratch;
    const FaultFiles files(scratch / "store", {});
    auto store = std::move(open_store(scratch / "store")).value();
    ref = publish_in(*store, kNamed, state, kNames).value();
    calls = files.calls();
  }
  int whole = 0, missing = 0;
  for (std::uint64_t at = 1; at <= calls; ++at) {
    for (int round = 0; round < 8; ++round) {
      CAPTURE(at, round);
      const MemoryScratch scratch;
      bool reported = false;
      {
        FaultFiles files(scratch / "store", {.at = at});
        if (auto store = open_store(scratch / "store"); store.ok()) {
          reported = publish_in(**store, kNamed, state, kNames).ok();
        }
        files.after_crash(scratch / "after", random);
      }
      const FaultFiles no_fault(scratch / "after", {});
      auto store = std::move(open_store(scratch / "after")).value();
      Hop hop(*store, 0);
      const Status fetched = hop.fetch(ref, example_layout(), kNames).status();
      CHECK((fetched.ok() || (!reported && fetched.code() == Code::kNotFound)));
      ++(fetched.ok() ? whole : missing);
      CHECK(publish(hop, kNamed, state, kNames).value() == ref);
      CHECK(hop.fetch(ref, example_layout(), kNames).ok());
    }
  }
  CHECK(whole > 0);
  CHECK(missing > 0);
}

TEST_CASE("a full or broken disk at any call of a publication is the environment's fault", "[hop][damage]") {
  const StateArena state = state_of_step(20);
  for (const int error : {ENOSPC, EIO, EROFS}) {
    for (std::uint64_t at = 1;; ++at) {
      CAPTURE(error, at);
      const MemoryScratch scratch;
      { REQUIRE(open_store(scratch / "store").ok()); }
      FaultFiles files(scratch / "store", {.at = at, .error = error});
      auto store = open_store(scratch / "store");
      if (!store.ok()) continue;
      Hop hop(**store, 0);
      const Result<StateRef> published = publish(hop, kNamed, state, kNames);
      if (files.calls() < at) break;
      if (!published.ok()) CHECK(published.status().code() == Code::kEnvironment);
      CHECK(publish(hop, kNamed, state, kNames).ok());
    }
  }
}
