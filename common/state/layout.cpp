#include "common/state/layout.h"

#include <algorithm>
#include <set>

#include "common/base/check.h"
#include "common/base/hash.h"

namespace modelhop {
namespace {

void hash_text(Hasher& hasher, std::string_view text) {
  hasher.add_u64(text.size());
  hasher.add(text);
}

ContentHash layout_hash(const StateLayout& layout) {
  Hasher hasher;
  hash_text(hasher, "modelhop.layout.1");
  hasher.add_u64(layout.tensors.size());
  for (const TensorSpec& tensor : layout.tensors) {
    hash_text(hasher, tensor.name);
    hasher.add_u64(static_cast<std::uint64_t>(tensor.section));
    hash_text(hasher, to_string(tensor.dtype));  // its name, since the enum's numbers may move
    hasher.add_u64(tensor.sizes.size());
    for (std::int64_t size : tensor.sizes) hasher.add_u64(static_cast<std::uint64_t>(size));
    hasher.add_u64(tensor.offset_bytes);
  }
  hasher.add_u64(layout.size_bytes);
  return hasher.finish();
}

}  // namespace

bool is_tensor_name(std::string_view name) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kTensorNameBytesMax && std::all_of(name.begin(), name.end(), legal) &&
         !name.starts_with("_pad.");
}

bool tensor_bytes(DType dtype, const std::vector<std::int64_t>& sizes, std::uint64_t& out) {
  if (sizes.size() > kTensorDimensionsMax) return false;
  std::uint64_t bytes = size_of(dtype);
  for (std::int64_t size : sizes) {
    if (size < 1 || static_cast<std::uint64_t>(size) > kArenaBytesMax / bytes) return false;
    bytes *= static_cast<std::uint64_t>(size);
  }
  out = bytes;
  return true;
}

std::uint64_t TensorSpec::size_bytes() const {
  std::uint64_t bytes = 0;
  CHECK(tensor_bytes(dtype, sizes, bytes));
  return bytes;
}

StateLayout StateLayout::make(std::vector<TensorSpec> tensors) {
  StateLayout layout;
  std::set<std::string_view> names;
  Section section = Section::kParameters;
  for (TensorSpec& tensor : tensors) {
    CHECK(is_tensor_name(tensor.name));
    CHECK(names.insert(tensor.name).second);
    CHECK(section <= tensor.section);
    section = tensor.section;
    tensor.offset_bytes = layout.size_bytes;
    layout.size_bytes += aligned(tensor.size_bytes());
    CHECK(layout.size_bytes <= kArenaBytesMax);
  }
  layout.tensors = std::move(tensors);
  layout.hash = layout_hash(layout);
  return layout;
}

}  // namespace modelhop
