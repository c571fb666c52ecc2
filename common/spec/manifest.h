#pragma once
// What a data set is: written once by import, read by everyone. Format: docs/formats.md, "Manifest".
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"

namespace modelhop {

enum class DType : std::uint8_t { kU8, kI8, kI16, kI32, kI64, kF32, kF64, kF16, kU16, kU32, kBool };
std::size_t size_of(DType dtype);
const char* to_string(DType dtype);  // "uint8", "float32", ...: numpy's names
bool parse(std::string_view text, DType& out);

struct Column {  // "x" or "y"
  std::string name;
  DType dtype{};                    // as stored
  std::vector<std::int64_t> shape;  // of one row: {1, 28, 28}; {} = a scalar
};

struct Shard {       // one HDF5 file: a partition, the validation set or the test set
  std::string file;  // inside the data set's folder: "train-0003.h5"
  std::uint64_t rows{};
  std::uint64_t size_bytes{};  // of the file
  ContentHash hash;            // of the file's bytes
};

enum class TargetKind : std::uint8_t { kClasses, kValues };

struct Manifest {
  std::string name;
  std::vector<Column> columns;  // x, then y
  TargetKind target{};
  std::uint64_t classes{};        // kClasses: labels are 0 .. classes-1
  std::vector<Shard> partitions;  // P of them, in order
  std::optional<Shard> validation, test;
  std::uint64_t seed{};
  bool shuffled{};
  std::string created;  // ISO 8601; not part of the identity
  const Column& x() const { return columns[0]; }
  const Column& y() const { return columns[1]; }
  std::uint64_t train_rows() const;
};

std::string to_json(const Manifest& manifest);           // pretty, stable key order
Result<Manifest> parse_manifest(std::string_view text);  // never trusts a byte
ContentHash identity(const Manifest& manifest);          // over all but name and created: what "same data" means

}  // namespace modelhop
