#pragma once
// Partition: one shard resident in memory, as stored. Immutable; shared by whoever trains on it; any thread.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/spec/manifest.h"

namespace modelhop {

class Partition {
 public:
  Partition(std::uint64_t rows, std::vector<std::uint8_t> x, std::vector<std::uint8_t> y)
      : rows_(rows), x_(std::move(x)), y_(std::move(y)) {}
  std::uint64_t rows() const { return rows_; }
  std::span<const std::uint8_t> x() const { return x_; }  // rows x Column::shape in Column::dtype, C order
  std::span<const std::uint8_t> y() const { return y_; }
  std::uint64_t size_bytes() const { return x_.size() + y_.size(); }

 private:
  std::uint64_t rows_;
  std::vector<std::uint8_t> x_, y_;
};

// Reads a shard's HDF5 file by its data sets' file offsets (H5Dread where the layout has none), after checking size and
// hash. kCorrupt names the file and what differs.
Result<std::shared_ptr<const Partition>> load_partition(const std::string& path, const Shard& shard,
                                                        const Manifest& manifest);

}  // namespace modelhop
