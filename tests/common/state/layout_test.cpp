#include <catch2/catch_test_macros.hpp>
#include <cstdint>

#include "common/base/hash.h"
#include "tests/common/state/example_state.h"

using namespace modelhop;

TEST_CASE("a layout places its tensors one after another at multiples of 256", "[state][layout]") {
  const auto layout = example_layout();
  std::vector<std::uint64_t> offsets;
  for (const TensorSpec& tensor : layout->tensors) offsets.push_back(tensor.offset_bytes);
  CHECK(offsets == std::vector<std::uint64_t>{0, 256, 512, 768, 1024});
  CHECK(layout->size_bytes == 1280);
  CHECK(layout->tensors[3].size_bytes() == 8);  // a scalar
}

TEST_CASE("a layout's hash depends on each name, section, dtype, size and their order", "[state][layout]") {
  const TensorSpec a{.name = "a", .section = Section::kParameters, .dtype = DType::kF32, .sizes = {2, 3}};
  const TensorSpec b{.name = "b", .section = Section::kParameters, .dtype = DType::kF32, .sizes = {4}};
  const ContentHash hash = StateLayout::make({a, b}).hash;
  CHECK(hash == StateLayout::make({a, b}).hash);
  CHECK(hash != StateLayout::make({b, a}).hash);
  CHECK(hash != StateLayout::make({a}).hash);
  const auto with = [&](auto change) {
    TensorSpec changed = b;
    change(changed);
    return StateLayout::make({a, changed}).hash;
  };
  CHECK(hash != with([](TensorSpec& t) { t.name.back() = 'c'; }));
  CHECK(hash != with([](TensorSpec& t) { t.section = Section::kBuffers; }));
  CHECK(hash != with([](TensorSpec& t) { t.dtype = DType::kI32; }));
  CHECK(hash != with([](TensorSpec& t) { t.sizes = {2, 2}; }));
  CHECK(hash == with([](TensorSpec& t) { t.offset_bytes = 99; }));  // make() computes it
}

TEST_CASE("a tensor's bytes are refused above the limits and below one element", "[state][layout][limit]") {
  std::uint64_t bytes = 0;
  CHECK(tensor_bytes(DType::kF32, {1 << 19, 1 << 19}, bytes));
  CHECK(bytes == kArenaBytesMax);
  CHECK_FALSE(tensor_bytes(DType::kF32, {1 << 19, (1 << 19) + 1}, bytes));
  CHECK_FALSE(tensor_bytes(DType::kF64, {INT64_MAX, INT64_MAX, 8}, bytes));
  CHECK_FALSE(tensor_bytes(DType::kF32, {3, 0}, bytes));
  CHECK_FALSE(tensor_bytes(DType::kF32, {-1, -1}, bytes));
  CHECK(tensor_bytes(DType::kF32, std::vector<std::int64_t>(kTensorDimensionsMax, 1), bytes));
  CHECK_FALSE(tensor_bytes(DType::kF32, std::vector<std::int64_t>(kTensorDimensionsMax + 1, 1), bytes));
  CHECK(is_tensor_name(std::string(kTensorNameBytesMax, 'a')));
  CHECK_FALSE(is_tensor_name(std::string(kTensorNameBytesMax + 1, 'a')));
  for (const char* name : {"", "a\"b", "a b", "a\\b", "_pad.0", "__metadata__\n"}) CHECK_FALSE(is_tensor_name(name));
}

TEST_CASE("an arena is zero and aligned", "[state][arena]") {
  StateArena state(example_layout());
  CHECK(reinterpret_cast<std::uintptr_t>(state.bytes().data()) % kTensorAlignment == 0);
  CHECK(state.bytes().size() == 1280);
  for (std::uint8_t byte : state.bytes()) REQUIRE(byte == 0);
  const StateArena empty(std::make_shared<const StateLayout>(StateLayout::make({})));
  CHECK(empty.bytes().empty());
}

TEST_CASE("a state's hash depends on layout, cursor and every byte, and on nothing else", "[state][arena]") {
  StateArena state = example_state();
  const ContentHash hash = state_hash(state);
  CHECK(state_hash(example_state()) == hash);
  const auto differs = [&](auto change) {
    StateArena other = example_state();
    change(other);
    return state_hash(other) != hash;
  };
  CHECK(differs([](StateArena& s) { ++s.cursor.epoch; }));
  CHECK(differs([](StateArena& s) { ++s.cursor.visit; }));
  CHECK(differs([](StateArena& s) { ++s.cursor.batch; }));
  CHECK(differs([](StateArena& s) { ++s.cursor.step; }));
  CHECK(differs([](StateArena& s) { ++s.cursor.samples; }));
  for (std::size_t i = 0; i < state.bytes().size(); ++i) {
    state.bytes()[i] ^= 1;
    REQUIRE(state_hash(state) != hash);
    state.bytes()[i] ^= 1;
  }
}
