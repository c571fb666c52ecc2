#pragma once
// A shard's HDF5 file: datasets "/x" and "/y". The only place that calls HDF5, which is not thread-safe: every call is
// made under one lock, and its own error printing is off.
// Format: docs/formats.md, "Manifest and data set".
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/spec/manifest.h"

namespace modelhop {

// A whole shard file in memory, its rows still zero: they go to column(), then bytes() to disk. So our own code writes
// (and meets a full disk), and hashes without reading again; HDF5 never sees an error it could trip over at its exit.
// Equal arguments give equal bytes: HDF5 keeps no times in it. Threads: one at a time.
class ShardImage {
 public:
  static Result<ShardImage> make(const std::vector<Column>& columns, std::uint64_t rows);
  ShardImage(ShardImage&& other) noexcept;
  ShardImage& operator=(ShardImage&&) = delete;
  ~ShardImage();
  std::span<std::uint8_t> bytes() { return bytes_; }
  std::span<std::uint8_t> column(std::size_t index) { return columns_[index]; }

 private:
  ShardImage() = default;
  std::int64_t file_ = -1;  // HDF5's handle, which owns the memory
  std::span<std::uint8_t> bytes_;
  std::vector<std::span<std::uint8_t>> columns_;
};

// Where a column's rows stand in the file; none where the layout is chunked or compact.
struct ColumnPlace {
  std::optional<std::uint64_t> offset;
};
// Opens the file and checks that it has just these columns with these dtypes, shapes and rows. kCorrupt otherwise.
// `path` must have been checked against its hash before: HDF5 is not hardened against forged files.
Result<std::vector<ColumnPlace>> find_columns(const std::string& path, const std::vector<Column>& columns,
                                              std::uint64_t rows);

// Reads a whole column through HDF5, for layouts that have no one offset.
Status read_column(const std::string& path, const Column& column, std::vector<std::uint8_t>& out);

}  // namespace modelhop
