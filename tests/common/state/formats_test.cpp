#include "tests/common/documented.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "tests/common/state/example_state.h"

using namespace modelhop;

TEST_CASE("the state in docs/formats.md is what is written", "[state][docs]") {
  StateArena state(std::make_shared<const StateLayout>(
      StateLayout::make({{.name = "0.bias", .section = Section::kParameters, .dtype = DType::kF32, .sizes = {2}}})));
  const float values[] = {0.5f, -2.0f};
  std::memcpy(state.tensor(0), values, sizeof values);
  state.cursor = {.epoch = 0, .visit = 1, .batch = 0, .step = 20, .samples = 1280};
  CHECK(is_documented("formats.md", "state", hexdump(file_of(state, ref_of(state)))));
}
