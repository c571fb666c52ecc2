#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "common/base/unit.h"
#include "common/state/layout.h"

namespace modelhop {

// StateArena: all a trial needs to go on, in host memory: parameters, buffers, moments in one zeroed, aligned
// allocation, and the cursor. Gradients sit in another arena that never travels.
// Threads: one at a time. Owner: whoever trains, sends or saves it, by unique_ptr. Its address is fixed for life.
class StateArena {
 public:
  explicit StateArena(std::shared_ptr<const StateLayout> layout);
  StateArena copy() const;
  const StateLayout& layout() const { return *layout_; }
  std::span<std::uint8_t> bytes() { return {data_.get(), layout_->size_bytes}; }
  std::span<const std::uint8_t> bytes() const { return {data_.get(), layout_->size_bytes}; }
  std::uint8_t* tensor(std::size_t index) { return data_.get() + layout_->tensors[index].offset_bytes; }
  Cursor cursor;

 private:
  struct Free {
    void operator()(std::uint8_t* p) const;
  };
  std::shared_ptr<const StateLayout> layout_;
  std::unique_ptr<std::uint8_t[], Free> data_;
};

// Over layout hash, cursor and arena bytes; never over ids, lineage, token, worker, path or time.
ContentHash state_hash(const StateArena& state);

}  // namespace modelhop
