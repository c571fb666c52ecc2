#include "worker/hop/hop.h"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "common/base/hash.h"
#include "tests/common/state/example_state.h"
#include "tests/common/store/scratch.h"
#include "tests/worker/hop/published.h"

using namespace modelhop;

namespace {

constexpr StateNaming kNaming{1, 4};

struct Fixture {
  Scratch scratch;
  std::unique_ptr<BlobStore> store = std::move(open_store(scratch.path)).value();
  std::unique_ptr<StateArena> state = std::make_unique<StateArena>(example_state());
  StateRef named{{7}, {12}, 1, {}, {}, {}, 0};

  std::string path(const StateRef& ref) { return store->local_path(state_blob_name(ref, kNaming)).value(); }
};

void keep(Hop& hop, const ContentHash& hash, std::unique_ptr<StateArena> state) {
  hop.keep(std::make_shared<KeptState>(hash, std::move(state)));
}

}  // namespace

TEST_CASE("a published state comes from the store with the same bytes and hash", "[hop]") {
  Fixture f;
  Hop hop(*f.store, 1 << 20);
  const StateRef ref = publish(hop, f.named, *f.state, kNaming).value();
  CHECK(ref.hash == state_hash(*f.state));
  CHECK(ref.at == f.state->cursor);
  CHECK(ref.size_bytes == std::filesystem::file_size(f.path(ref)));
  auto fetched = std::move(hop.fetch(ref, example_layout(), kNaming)).value();
  CHECK(fetched.path == HopPath::kStore);
  CHECK(fetched.state->cursor == f.state->cursor);
  CHECK(state_hash(*fetched.state) == ref.hash);
}

TEST_CASE("a kept state stays, once, and then comes from the store", "[hop]") {
  Fixture f;
  Hop hop(*f.store, 1 << 20);
  const StateRef ref = publish(hop, f.named, *f.state, kNaming).value();
  keep(hop, ref.hash, std::move(f.state));
  CHECK(hop.kept_bytes() > 0);
  CHECK(std::move(hop.fetch(ref, example_layout(), kNaming)).value().path == HopPath::kStay);
  CHECK(hop.kept_bytes() == 0);
  CHECK(std::move(hop.fetch(ref, example_layout(), kNaming)).value().path == HopPath::kStore);
}

TEST_CASE("kept states never hold more than their limit, and the oldest go first", "[hop][limits]") {
  Fixture f;
  const std::uint64_t size = f.state->bytes().size();
  Hop hop(*f.store, 2 * size);
  std::vector<StateRef> refs;
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto state = std::make_unique<StateArena>(example_state());
    state->cursor.step = 100 + i;
    refs.push_back(publish(hop, f.named, *state, kNaming).value());
    keep(hop, refs.back().hash, std::move(state));
    CHECK(hop.kept_bytes() <= 2 * size);
  }
  CHECK(std::move(hop.fetch(refs[0], example_layout(), kNaming)).value().path == HopPath::kStore);
  CHECK(std::move(hop.fetch(refs[1], example_layout(), kNaming)).value().path == HopPath::kStay);
  CHECK(std::move(hop.fetch(refs[2], example_layout(), kNaming)).value().path == HopPath::kStay);
  Hop none(*f.store, size - 1);
  keep(none, refs[0].hash, std::make_unique<StateArena>(example_state()));
  CHECK(none.kept_bytes() == 0);
}

TEST_CASE("publishing a state again is no error, and mends one that the disk spoiled", "[hop]") {
  Fixture f;
  Hop hop(*f.store, 0);
  const StateRef ref = publish(hop, f.named, *f.state, kNaming).value();
  CHECK(publish(hop, f.named, *f.state, kNaming).value() == ref);
  {
    std::fstream file(f.path(ref), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-3, std::ios::end);
    file.put('\x55');
  }
  CHECK(hop.fetch(ref, example_layout(), kNaming).status().code() == Code::kCorrupt);
  CHECK(publish(hop, f.named, *f.state, kNaming).value() == ref);
  CHECK(hop.fetch(ref, example_layout(), kNaming).ok());
}

TEST_CASE("a lost, foreign or mistaken state is refused by name", "[hop]") {
  Fixture f;
  Hop hop(*f.store, 0);
  const StateRef ref = publish(hop, f.named, *f.state, kNaming).value();
  auto other = std::make_unique<StateArena>(example_state());
  other->cursor.step = 99;
  const StateRef wrong = publish(hop, f.named, *other, kNaming).value();
  std::filesystem::copy_file(f.path(wrong), f.path(ref), std::filesystem::copy_options::overwrite_existing);
  CHECK(hop.fetch(ref, example_layout(), kNaming).status().message().find("holds state") != std::string::npos);
  REQUIRE(f.store->remove(state_blob_name(ref, kNaming)).ok());
  CHECK(hop.fetch(ref, example_layout(), kNaming).status().code() == Code::kNotFound);
  StateRef elsewhere = ref;
  elsewhere.layout = hash_bytes("another");
  CHECK(hop.fetch(elsewhere, example_layout(), kNaming).status().code() == Code::kCorrupt);
}

TEST_CASE("a state that is being saved stays in memory past every limit, and a copy of it trains on", "[hop][saver]") {
  Fixture f;
  Hop hop(*f.store, 0);
  const StateRef ref = Hop::name(f.named, *f.state);
  const auto kept = std::make_shared<KeptState>(ref.hash, std::move(f.state));
  kept->saving = true;
  hop.keep(kept);
  CHECK(hop.kept_bytes() > 0);
  auto fetched = std::move(hop.fetch(ref, example_layout(), kNaming)).value();
  CHECK(fetched.path == HopPath::kStay);
  REQUIRE(kept->arena != nullptr);
  CHECK(fetched.state->bytes().data() != kept->arena->bytes().data());
  CHECK(state_hash(*fetched.state) == ref.hash);
}
