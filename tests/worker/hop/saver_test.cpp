#include "worker/hop/saver.h"

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <vector>

#include "tests/common/state/example_state.h"
#include "tests/common/store/scratch.h"
#include "worker/hop/hop.h"

using namespace modelhop;

namespace {

constexpr StateNaming kSaverNaming{1, 4};

// What was saved, as it is told.
class Told {
 public:
  Saver::Saved callback() {
    return [this](Token token, std::uint64_t) {
      std::lock_guard guard(mutex_);
      tokens_.push_back(token.counter);
      changed_.notify_all();
    };
  }
  std::vector<std::uint64_t> wait_for(std::size_t count) {
    std::unique_lock guard(mutex_);
    changed_.wait_for(guard, std::chrono::seconds(30), [&] { return tokens_.size() >= count; });
    return tokens_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::uint64_t> tokens_;
};

std::shared_ptr<KeptState> state_at(std::uint64_t step, StateRef& ref) {
  auto arena = std::make_unique<StateArena>(example_state());
  arena->cursor.step = step;
  ref = Hop::name({{7}, {12}, 1, {}, {}, {}, 0}, *arena);
  return std::make_shared<KeptState>(ref.hash, std::move(arena));
}

}  // namespace

TEST_CASE("states are saved one after another, readable, and told of when they are in the store", "[hop][saver]") {
  Scratch scratch;
  const auto store = std::move(open_store(scratch.path)).value();
  Told told;
  Saver saver(*store, 1 << 30, told.callback());
  std::vector<StateRef> refs(5);
  std::vector<std::shared_ptr<KeptState>> states;
  for (std::uint64_t i = 0; i < refs.size(); ++i) {
    states.push_back(state_at(100 + i, refs[i]));
    REQUIRE(saver.save({1, i}, refs[i], kSaverNaming, states[i]));
  }
  CHECK(told.wait_for(refs.size()) == std::vector<std::uint64_t>{0, 1, 2, 3, 4});
  Hop hop(*store, 0);
  for (std::size_t i = 0; i < refs.size(); ++i) {
    CHECK(hop.fetch(refs[i], example_layout(), kSaverNaming).ok());
    CHECK_FALSE(states[i]->saving);
  }
}

TEST_CASE("a store that fails is asked again until it takes the state", "[hop][saver]") {
  Scratch scratch;
  const auto store = std::move(open_store(scratch.path)).value();
  StateRef ref;
  const auto state = state_at(100, ref);
  const std::filesystem::path folder = std::filesystem::path(scratch.path) / "states";
  {
    std::FILE* file = std::fopen(folder.c_str(), "w");
    std::fclose(file);
  }  // a file stands where the folder must be
  Told told;
  Saver saver(*store, 1 << 30, told.callback());
  REQUIRE(saver.save({1, 1}, ref, kSaverNaming, state));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(state->saving);
  std::filesystem::remove(folder);
  CHECK(told.wait_for(1).size() == 1);
  CHECK(Hop(*store, 0).fetch(ref, example_layout(), kSaverNaming).ok());
}

TEST_CASE("no more waits to be saved than the limits say", "[hop][saver][limits]") {
  Scratch scratch;
  const auto store = std::move(open_store(scratch.path)).value();
  const std::filesystem::path folder = std::filesystem::path(scratch.path) / "states";
  {
    std::FILE* file = std::fopen(folder.c_str(), "w");
    std::fclose(file);
  }
  Told told;
  StateRef ref;
  {
    Saver saver(*store, 1 << 30, told.callback());
    for (std::uint64_t i = 0; i < kSavesWaitingMax; ++i) {
      const auto state = state_at(100 + i, ref);
      CHECK(saver.save({1, i}, ref, kSaverNaming, state));
    }
    const auto state = state_at(999, ref);
    CHECK_FALSE(saver.save({1, 999}, ref, kSaverNaming, state));
    CHECK_FALSE(state->saving);
  }
  Saver small(*store, ref.size_bytes - 1, told.callback());
  CHECK_FALSE(small.save({1, 1}, ref, kSaverNaming, state_at(100, ref)));
}
