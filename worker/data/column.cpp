#include "worker/data/column.h"

#include <cmath>
#include <cstring>

#include "worker/data/half.h"

namespace modelhop {
namespace {

template <class T>
T element(std::span<const std::uint8_t> bytes, std::uint64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
LabelRange range_of(std::span<const std::uint8_t> bytes) {
  LabelRange range;
  range.min = range.max = static_cast<std::int64_t>(+element<T>(bytes, 0));  // +: an int8 is a number, no character
  for (std::uint64_t i = 1; i < bytes.size() / sizeof(T); ++i) {
    const auto value = static_cast<std::int64_t>(+element<T>(bytes, i));
    if (value < range.min) {
      range.min = value;
      range.min_at = i;
    }
    if (value > range.max) {
      range.max = value;
      range.max_at = i;
    }
  }
  return range;
}

template <class T, class Finite>
std::optional<std::uint64_t> first_without(std::span<const std::uint8_t> bytes, Finite finite) {
  for (std::uint64_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    if (!finite(element<T>(bytes, i))) return i;
  }
  return std::nullopt;
}

}  // namespace

bool row_bytes(const Column& column, std::uint64_t& out) {
  std::uint64_t bytes = size_of(column.dtype);
  for (std::int64_t size : column.shape) {
    if (size < 1 || static_cast<std::uint64_t>(size) > kColumnBytesMax / bytes) return false;
    bytes *= static_cast<std::uint64_t>(size);
  }
  out = bytes;
  return true;
}

bool column_bytes(const Column& column, std::uint64_t rows, std::uint64_t& out) {
  std::uint64_t row = 0;
  if (!row_bytes(column, row) || rows < 1 || rows > kColumnBytesMax / row) return false;
  out = rows * row;
  return true;
}

bool is_float(DType dtype) { return dtype == DType::kF16 || dtype == DType::kF32 || dtype == DType::kF64; }
bool is_integer(DType dtype) { return !is_float(dtype); }

Result<LabelRange> label_range(DType dtype, std::span<const std::uint8_t> bytes) {
  if (bytes.size() < size_of(dtype)) return invalid("no labels");
  switch (dtype) {
    case DType::kU8:
    case DType::kBool:
      return range_of<std::uint8_t>(bytes);
    case DType::kI8:
      return range_of<std::int8_t>(bytes);
    case DType::kI16:
      return range_of<std::int16_t>(bytes);
    case DType::kI32:
      return range_of<std::int32_t>(bytes);
    case DType::kI64:
      return range_of<std::int64_t>(bytes);
    case DType::kU16:
      return range_of<std::uint16_t>(bytes);
    case DType::kU32:
      return range_of<std::uint32_t>(bytes);
    case DType::kF16:
    case DType::kF32:
    case DType::kF64:
      break;
  }
  return invalid(std::string(to_string(dtype)) + " is no type of labels");
}

std::optional<std::uint64_t> first_not_finite(DType dtype, std::span<const std::uint8_t> bytes) {
  switch (dtype) {
    case DType::kF16:
      return first_without<std::uint16_t>(bytes, half_is_finite);
    case DType::kF32:
      return first_without<float>(bytes, [](float value) { return std::isfinite(value); });
    case DType::kF64:
      return first_without<double>(bytes, [](double value) { return std::isfinite(value); });
    default:
      return std::nullopt;
  }
}

}  // namespace modelhop
