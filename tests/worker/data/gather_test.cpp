#include "worker/data/gather.h"

#include <bit>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>

#include "worker/data/half.h"

using namespace modelhop;

namespace {

template <class T>
std::vector<std::uint8_t> bytes_of(const std::vector<T>& values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Manifest manifest_of(DType x, std::vector<std::int64_t> x_shape, DType y, std::vector<std::int64_t> y_shape = {}) {
  Manifest manifest;
  manifest.columns = {{"x", x, std::move(x_shape)}, {"y", y, std::move(y_shape)}};
  return manifest;
}

template <class T>
struct Stored;
template <>
struct Stored<std::uint8_t> {
  static constexpr DType dtype = DType::kU8;
};
template <>
struct Stored<std::int8_t> {
  static constexpr DType dtype = DType::kI8;
};
template <>
struct Stored<std::int16_t> {
  static constexpr DType dtype = DType::kI16;
};
template <>
struct Stored<std::int32_t> {
  static constexpr DType dtype = DType::kI32;
};
template <>
struct Stored<std::int64_t> {
  static constexpr DType dtype = DType::kI64;
};
template <>
struct Stored<std::uint16_t> {
  static constexpr DType dtype = DType::kU16;
};
template <>
struct Stored<std::uint32_t> {
  static constexpr DType dtype = DType::kU32;
};
template <>
struct Stored<float> {
  static constexpr DType dtype = DType::kF32;
};
template <>
struct Stored<double> {
  static constexpr DType dtype = DType::kF64;
};

}  // namespace

TEMPLATE_TEST_CASE("every stored type is gathered as float, transforms one after another", "[data][gather]",
                   std::uint8_t, std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint16_t, std::uint32_t,
                   float, double) {
  using T = TestType;
  // 3 rows of 2 channels of 2 values
  const std::vector<T> x{0, 1, 2, 3, 4, 5, 100, 101, 7, 8, 9, 10};
  const std::vector<T> y{3, 0, 1};
  const Partition data(3, bytes_of(x), bytes_of(y));
  const Manifest manifest = manifest_of(Stored<T>::dtype, {2, 2}, Stored<T>::dtype);
  const std::vector<std::uint32_t> rows{2, 0, 2, 1};
  std::vector<float> out(16), plain(16);

  Gather(manifest, {}).x(data, rows, plain.data());
  CHECK(plain == std::vector<float>{7, 8, 9, 10, 0, 1, 2, 3, 7, 8, 9, 10, 4, 5, 100, 101});

  Transform scale, normalize;
  scale.op = TransformOp::kScale;
  scale.factor = 0.00392156862745098;
  normalize.op = TransformOp::kNormalize;
  normalize.mean = {0.25, 0.5};
  normalize.std = {0.3530};
  Gather(manifest, {scale, normalize}).x(data, rows, out.data());
  for (std::size_t i = 0; i < 16; ++i) {
    const float mean = (i / 2) % 2 == 0 ? 0.25f : 0.5f;
    const float expected = (plain[i] * static_cast<float>(0.00392156862745098) - mean) / static_cast<float>(0.3530);
    REQUIRE(std::bit_cast<std::uint32_t>(out[i]) == std::bit_cast<std::uint32_t>(expected));
  }

  Gather(manifest, {}).values(data, rows, out.data());
  CHECK(std::vector<float>(out.begin(), out.begin() + 4) == std::vector<float>{1, 3, 1, 0});
  if constexpr (std::is_integral_v<T>) {
    std::vector<std::int64_t> classes(4);
    Gather(manifest, {}).classes(data, rows, classes.data());
    CHECK(classes == std::vector<std::int64_t>{1, 3, 1, 0});
  }
}

TEST_CASE("halves become the floats they are", "[data][gather]") {
  CHECK(half_to_float(0x3c00) == 1.0f);
  CHECK(half_to_float(0xc000) == -2.0f);
  CHECK(half_to_float(0x7bff) == 65504.0f);
  CHECK(half_to_float(0x0001) == std::ldexp(1.0f, -24));
  CHECK(half_to_float(0x03ff) == std::ldexp(1023.0f, -24));
  CHECK(half_to_float(0x0400) == std::ldexp(1.0f, -14));
  CHECK(std::bit_cast<std::uint32_t>(half_to_float(0x8000)) == 0x80000000u);
  CHECK(std::isinf(half_to_float(0x7c00)));
  CHECK(std::isnan(half_to_float(0x7e00)));
  for (std::uint32_t bits = 0; bits < 0x8000; ++bits) {  // against the definition, every finite one
    const int exponent = static_cast<int>(bits >> 10), fraction = static_cast<int>(bits & 0x3ff);
    if (exponent == 31) continue;
    const float expected = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                         : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    REQUIRE(half_to_float(static_cast<std::uint16_t>(bits)) == expected);
  }
  const Partition data(2, bytes_of(std::vector<std::uint16_t>{0x3c00, 0xc000}),
                       bytes_of(std::vector<std::uint16_t>{0x3800, 0x4200}));
  const Gather gather(manifest_of(DType::kF16, {1}, DType::kF16), {});
  std::vector<float> out(2);
  gather.x(data, std::vector<std::uint32_t>{1, 0}, out.data());
  CHECK(out == std::vector<float>{-2, 1});
  gather.values(data, std::vector<std::uint32_t>{1, 0}, out.data());
  CHECK(out == std::vector<float>{3, 0.5});
}

TEST_CASE("targets of several values are gathered whole", "[data][gather]") {
  const Partition data(2, bytes_of(std::vector<float>{1, 2}), bytes_of(std::vector<std::uint8_t>{1, 0, 1, 0, 0, 1}));
  const Gather gather(manifest_of(DType::kF32, {1}, DType::kU8, {3}), {});
  CHECK(gather.y_elements() == 3);
  std::vector<float> out(6);
  gather.values(data, std::vector<std::uint32_t>{1, 0}, out.data());
  CHECK(out == std::vector<float>{0, 0, 1, 1, 0, 1});
}
