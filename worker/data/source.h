#pragma once
// What an import reads: arrays as a file held them, in little-endian bytes, and where each element stood for messages.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/spec/manifest.h"

namespace modelhop {

inline constexpr std::size_t kSourceDimensionsMax = 8;        // rows included
inline constexpr std::uint64_t kSourceBytesMax = 1ull << 42;  // of one array; keeps products far from overflow

struct SourceArray {
  std::string file;
  DType dtype{};
  std::vector<std::int64_t> sizes;  // rows first
  std::vector<std::uint8_t> bytes;  // C order
  std::uint64_t data_at{};          // of the first element in the (unpacked) file
  std::uint64_t rows() const { return static_cast<std::uint64_t>(sizes[0]); }
  std::uint64_t row_elements() const;
  // "row 3 (byte 2368)": where element i stood.
  std::string where(std::uint64_t element) const;
};

struct SourceSet {
  SourceArray x, y;
};

struct Source {
  SourceSet train;
  std::optional<SourceSet> test;
};

// One file. kNotFound; kInvalid with file name and offset for any byte that is not in the format.
Result<SourceArray> read_idx(const std::string& path);  // gzipped or not, told by its first bytes
Result<SourceArray> read_npy(const std::string& path);

// The files of ImportRequest::paths and test_paths, found by name. Images of IDX become rows of {1,H,W} and {C,H,W}.
Result<Source> read_idx_source(const std::vector<std::string>& paths, const std::vector<std::string>& test_paths);
Result<Source> read_npy_source(const std::vector<std::string>& paths, const std::vector<std::string>& test_paths);

// Elements times `dtype`'s width. False: a size below 1, or more than kSourceBytesMax.
bool source_bytes(DType dtype, const std::vector<std::int64_t>& sizes, std::uint64_t& out);

}  // namespace modelhop
