#pragma once
// What a column's bytes hold: their number, their labels, their first value that is not finite.
#include <cstdint>
#include <optional>
#include <span>

#include "common/base/status.h"
#include "common/spec/manifest.h"

namespace modelhop {

inline constexpr std::uint64_t kColumnBytesMax = 1ull << 46;  // of one shard; keeps products far from overflow

// False: more than kColumnBytesMax, or a size below 1.
bool column_bytes(const Column& column, std::uint64_t rows, std::uint64_t& out);
bool row_bytes(const Column& column, std::uint64_t& out);

bool is_integer(DType dtype);  // bool counts as one
bool is_float(DType dtype);

struct LabelRange {
  std::int64_t min{}, max{};
  std::uint64_t min_at{}, max_at{};  // the first element that has it
};
// kInvalid where the dtype is no integer's or there is no element.
Result<LabelRange> label_range(DType dtype, std::span<const std::uint8_t> bytes);

// The first element that is NaN or infinite.
std::optional<std::uint64_t> first_not_finite(DType dtype, std::span<const std::uint8_t> bytes);

}  // namespace modelhop
