#pragma once
// What encoder and decoder of a state file's JSON header share. Format: docs/formats.md, "State".
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/spec/manifest.h"

namespace modelhop::state_header {

// The header's first bytes, so that the digits of its own hash stand at a fixed place.
inline constexpr std::string_view kOpening = "{\"__metadata__\":{\"header_hash\":\"";
inline constexpr std::size_t kHashAt = kOpening.size();
inline constexpr std::size_t kHashDigits = 32;

struct DTypeName {
  DType dtype;
  const char* name;
};
inline constexpr DTypeName kDTypeNames[] = {
    {DType::kU8, "U8"},   {DType::kI8, "I8"},   {DType::kI16, "I16"},   {DType::kI32, "I32"},
    {DType::kI64, "I64"}, {DType::kF32, "F32"}, {DType::kF64, "F64"},   {DType::kF16, "F16"},
    {DType::kU16, "U16"}, {DType::kU32, "U32"}, {DType::kBool, "BOOL"},
};
const char* dtype_name(DType dtype);

// XXH3-128, as 32 hex digits, of the header (spaces included) with the digits of the hash itself as '0'.
// REQUIRES: header.size() >= kHashAt + kHashDigits.
std::string hash_of(std::span<const std::uint8_t> header);

}  // namespace modelhop::state_header
