#pragma once
// A shard's HDF5 file: datasets "/x" and "/y". The only place that calls HDF5, which is not thread-safe: every call is
// made under one lock, and its own error printing is off.
// Format: docs/formats.md, "Manifest and data set".
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/spec/manifest.h"

namespace modelhop {

// A whole shard file in memory, its data still zero: the columns go to their offsets, then the bytes to disk. So the
// bytes are written (and a full disk met) by our own code, and hashed without reading them again.
struct ShardImage {
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint64_t> offsets;  // by column
};
// Equal arguments give equal bytes: HDF5 keeps no times in it.
Result<ShardImage> make_shard_image(const std::vector<Column>& columns, std::uint64_t rows);

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
