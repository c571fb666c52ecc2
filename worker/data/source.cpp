#include "worker/data/source.h"

namespace modelhop {

std::uint64_t SourceArray::row_elements() const {
  std::uint64_t count = 1;
  for (std::size_t i = 1; i < sizes.size(); ++i) count *= static_cast<std::uint64_t>(sizes[i]);
  return count;
}

std::string SourceArray::where(std::uint64_t element) const {
  return "row " + std::to_string(element / row_elements()) + " (byte " +
         std::to_string(data_at + element * size_of(dtype)) + ")";
}

bool source_bytes(DType dtype, const std::vector<std::int64_t>& sizes, std::uint64_t& out) {
  std::uint64_t bytes = size_of(dtype);
  for (std::int64_t size : sizes) {
    if (size < 1 || static_cast<std::uint64_t>(size) > kSourceBytesMax / bytes) return false;
    bytes *= static_cast<std::uint64_t>(size);
  }
  out = bytes;
  return true;
}

}  // namespace modelhop
