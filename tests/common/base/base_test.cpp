#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "common/base/hash.h"
#include "common/base/histogram.h"
#include "common/base/ids.h"
#include "common/base/rng.h"
#include "common/base/time.h"
#include "common/base/visit_order.h"

using namespace modelhop;

TEST_CASE("philox matches the known answers of Random123", "[base][rng]") {
  // Source: Random123's kat_vectors, philox4x32 10 rounds.
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a keyed stream is a function of seed, purpose and key", "[base][rng]") {
  KeyedRng a(7, Purpose::kSearch, 3, 1), b(7, Purpose::kSearch, 3, 1);
  for (int i = 0; i < 100; ++i) REQUIRE(a.next_u32() == b.next_u32());
  std::set<std::uint64_t> firsts;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    for (std::uint64_t trial = 0; trial < 16; ++trial) {
      for (std::uint64_t index = 0; index < 16; ++index) {
        firsts.insert(KeyedRng(seed, Purpose::kSearch, trial, index).next_u64());
        firsts.insert(KeyedRng(seed, Purpose::kDropout, trial, index).next_u64());
      }
    }
  }
  CHECK(firsts.size() == 4 * 16 * 16 * 2);
}

TEST_CASE("draws below a bound cover it evenly", "[base][rng]") {
  KeyedRng rng(1, Purpose::kShuffle);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts[rng.below(7)];
  for (int count : counts) {
    CHECK(count > 9'600);
    CHECK(count < 10'400);
  }
  CHECK(rng.below(1) == 0);
}

TEST_CASE("normal draws have mean 0 and variance 1", "[base][rng]") {
  KeyedRng rng(1, Purpose::kSearch);
  double sum = 0, squares = 0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.next_normal();
    sum += x;
    squares += x * x;
  }
  CHECK(std::abs(sum / kDraws) < 0.02);
  CHECK(std::abs(squares / kDraws - 1) < 0.03);
}

TEST_CASE("ids print as people type them and parse back", "[base][ids]") {
  ExperimentId e;
  TrialId t;
  UnitId u;
  REQUIRE(parse("e7.12", e, t));
  CHECK(to_string(e, t) == "e7.12");
  REQUIRE(parse("e7.u345", e, u));
  CHECK(to_string(e, u) == "e7.u345");
  REQUIRE(parse("e18446744073709551615", e));
  for (const char* bad :
       {"", "e", "7", "e0", "e-1", "e+1", "e07", "e7.", "e7.x", "e7.12 ", "e18446744073709551616", "E7"}) {
    INFO(bad);
    CHECK_FALSE(parse(bad, e));
    CHECK_FALSE(parse(bad, e, t));
  }
  CHECK(e.value == 18446744073709551615ull);
  Token token;
  REQUIRE(parse("3.17", token));
  CHECK(to_string(token) == "3.17");
  ContentHash hash;
  REQUIRE(parse("000102030405060708090a0b0c0d0e0f", hash));
  CHECK(to_string(hash) == "000102030405060708090a0b0c0d0e0f");
  CHECK_FALSE(parse("000102030405060708090a0b0c0d0e0F", hash));
  CHECK_FALSE(parse("00", hash));
}

TEST_CASE("hashing pieces equals hashing the whole", "[base][hash]") {
  Hasher hasher;
  hasher.add("model");
  hasher.add("hop");
  CHECK(hasher.finish() == hash_bytes("modelhop"));
  // XXH3-128 of the empty string with seed 0, as xxhsum -H128 prints it.
  CHECK(to_string(hash_bytes("")) == "99aa06d3014798d86001c324468d497f");
}

TEST_CASE("trials created one after another start far apart", "[base][visit_order]") {
  CHECK(offset_order(1) == std::vector<std::uint32_t>{0});
  CHECK(offset_order(4) == std::vector<std::uint32_t>{0, 2, 1, 3});
  CHECK(offset_order(8) == std::vector<std::uint32_t>{0, 4, 2, 6, 1, 3, 5, 7});
  for (std::uint32_t p = 1; p <= 40; ++p) {
    const auto order = offset_order(p);
    CHECK(std::set<std::uint32_t>(order.begin(), order.end()).size() == p);
  }
}

TEST_CASE("an epoch visits every partition once", "[base][visit_order]") {
  for (std::uint32_t p = 1; p <= 9; ++p) {
    for (std::uint64_t trial = 1; trial <= 20; ++trial) {
      const std::uint32_t offset = offset_of_trial({trial}, p);
      for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
        std::set<std::uint32_t> seen;
        for (std::uint64_t k = 0; k < p; ++k) seen.insert(partition_of_visit(offset, epoch * p + k, p).value);
        CHECK(seen.size() == p);
      }
    }
  }
}

TEST_CASE("times print as ISO 8601 in UTC", "[base][time]") {
  CHECK(to_iso8601({0}) == "1970-01-01T00:00:00.000Z");
  CHECK(to_iso8601({1'795'250'460'123}) == "2026-11-21T08:41:00.123Z");
}

TEST_CASE("a histogram's bounds belong to the bucket below, and its sum does not wrap", "[base][histogram]") {
  Histogram histogram;
  histogram.add(0);
  histogram.add(Histogram::kBoundsNs[0]);
  histogram.add(Histogram::kBoundsNs[0] + 1);
  histogram.add(Histogram::kBoundsNs.back() + 1);
  CHECK(histogram.counts[0] == 2);
  CHECK(histogram.counts[1] == 1);
  CHECK(histogram.counts.back() == 1);
  CHECK(histogram.sum_ns == 2 * Histogram::kBoundsNs[0] + 1 + Histogram::kBoundsNs.back() + 1);
  CHECK(std::is_sorted(Histogram::kBoundsNs.begin(), Histogram::kBoundsNs.end()));
  histogram.add(UINT64_MAX);
  histogram.add(UINT64_MAX);
  CHECK(histogram.sum_ns == UINT64_MAX);
  CHECK(histogram.counts.back() == 3);
}
