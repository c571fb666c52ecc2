#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "worker/model/dropout_mask.h"

using namespace modelhop;

namespace {
std::vector<std::uint8_t> mask(std::uint64_t trial, std::uint64_t step, std::uint32_t place, double p,
                               std::size_t count) {
  std::vector<std::uint8_t> kept(count);
  dropout_mask(KeyedRng(7, Purpose::kDropout, trial, step), place, p, kept);
  return kept;
}
}  // namespace

TEST_CASE("a dropout mask keeps a share of 1 - p", "[model]") {
  for (const double p : {0.1, 0.5, 0.9}) {
    std::size_t kept = 0;
    for (const std::uint8_t one : mask(1, 0, 0, p, 100'000)) kept += one;
    CHECK(std::fabs(static_cast<double>(kept) / 100'000 - (1 - p)) < 0.01);
  }
  for (const std::uint8_t one : mask(1, 0, 0, 1.0, 1000)) REQUIRE(one == 0);
  for (const std::uint8_t one : mask(1, 0, 0, 0.0, 1000)) REQUIRE(one == 1);
}

TEST_CASE("a dropout mask follows from trial, step, layer and element alone", "[model]") {
  const auto whole = mask(1, 5, 2, 0.5, 1003);
  CHECK(whole == mask(1, 5, 2, 0.5, 1003));
  const auto part = mask(1, 5, 2, 0.5, 501);  // an element's bit does not depend on the layer's size
  CHECK(std::equal(part.begin(), part.end(), whole.begin()));
  CHECK(whole != mask(2, 5, 2, 0.5, 1003));
  CHECK(whole != mask(1, 6, 2, 0.5, 1003));
  CHECK(whole != mask(1, 5, 3, 0.5, 1003));
}

TEST_CASE("what is dropped is zero even where it was infinite, and the rest is scaled", "[model]") {
  const std::vector<float> x{1, std::numeric_limits<float>::infinity(), -2, 4};
  std::vector<float> y(4);
  apply_dropout(x.data(), {1, 0, 1, 0}, 0.5, y.data());
  CHECK(y == std::vector<float>{2, 0, -4, 0});
}
