#include "common/state/arena.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "common/base/check.h"
#include "common/base/hash.h"

namespace modelhop {

void StateArena::Free::operator()(std::uint8_t* p) const { ::operator delete[](p, std::align_val_t{kTensorAlignment}); }

StateArena::StateArena(std::shared_ptr<const StateLayout> layout) : layout_(std::move(layout)) {
  CHECK(layout_ != nullptr);
  const std::uint64_t bytes = std::max(layout_->size_bytes, kTensorAlignment);  // data() is never null
  data_.reset(static_cast<std::uint8_t*>(::operator new[](bytes, std::align_val_t{kTensorAlignment})));
  std::memset(data_.get(), 0, bytes);
}

StateArena StateArena::copy() const {
  StateArena out(layout_);
  std::memcpy(out.data_.get(), data_.get(), layout_->size_bytes);
  out.cursor = cursor;
  return out;
}

ContentHash state_hash(const StateArena& state) {
  Hasher hasher;
  hasher.add(state.layout().hash.bytes);
  hasher.add_u64(state.cursor.epoch);
  hasher.add_u64(state.cursor.visit);
  hasher.add_u64(state.cursor.batch);
  hasher.add_u64(state.cursor.step);
  hasher.add_u64(state.cursor.samples);
  hasher.add(state.bytes());
  return hasher.finish();
}

}  // namespace modelhop
