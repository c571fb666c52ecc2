#pragma once
// A small state for tests: parameters, buffers (one a scalar int64) and a moment.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "common/state/state_file.h"

namespace modelhop {

inline std::shared_ptr<const StateLayout> example_layout() {
  return std::make_shared<const StateLayout>(StateLayout::make(
      {{.name = "0.weight", .section = Section::kParameters, .dtype = DType::kF32, .sizes = {2, 3}},
       {.name = "1.weight", .section = Section::kParameters, .dtype = DType::kF32, .sizes = {64}},
       {.name = "1.running_mean", .section = Section::kBuffers, .dtype = DType::kF32, .sizes = {2}},
       {.name = "1.num_batches_tracked", .section = Section::kBuffers, .dtype = DType::kI64, .sizes = {}},
       {.name = "sgd.momentum.0.weight", .section = Section::kMoments, .dtype = DType::kF32, .sizes = {2, 3}}}));
}

inline StateArena example_state() {
  StateArena state(example_layout());
  for (std::size_t i : {0u, 1u, 2u, 4u}) {
    for (std::size_t k = 0; k < state.layout().tensors[i].size_bytes() / 4; ++k) {
      const float value = 0.25f * static_cast<float>(k + 1) + static_cast<float>(i);
      std::memcpy(state.tensor(i) + 4 * k, &value, 4);
    }
  }
  const std::int64_t batches = 20;
  std::memcpy(state.tensor(3), &batches, 8);
  state.cursor = {.epoch = 1, .visit = 2, .batch = 3, .step = 20, .samples = 1280};
  return state;
}

inline StateRef ref_of(const StateArena& state) {
  StateRef ref;
  ref.experiment = {7};
  ref.trial = {12};
  ref.lineage = 1;
  ref.at = state.cursor;
  ref.hash = state_hash(state);
  ref.layout = state.layout().hash;
  return ref;
}

inline std::vector<std::uint8_t> file_of(const StateArena& state, const StateRef& ref) {
  std::vector<std::uint8_t> file = encode_state_header(state.layout(), ref);
  file.insert(file.end(), state.bytes().begin(), state.bytes().end());
  return file;
}

}  // namespace modelhop
