#include "worker/data/shuffle.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <set>

using namespace modelhop;

TEST_CASE("a shuffle is a permutation and a function of seed, epoch, partition and trial", "[data][shuffle]") {
  std::set<std::vector<std::uint32_t>> orders;
  for (std::uint64_t seed : {1, 2}) {
    for (std::uint32_t epoch : {0, 1, 2}) {
      for (std::uint32_t partition : {0, 1, 2}) {
        for (std::optional<TrialId> trial :
             {std::optional<TrialId>(), std::optional(TrialId{1}), std::optional(TrialId{2})}) {
          const auto order = shuffled_rows(seed, epoch, {partition}, 100, trial);
          REQUIRE(order == shuffled_rows(seed, epoch, {partition}, 100, trial));
          REQUIRE(orders.insert(order).second);
          auto sorted = order;
          std::sort(sorted.begin(), sorted.end());
          for (std::uint32_t i = 0; i < 100; ++i) REQUIRE(sorted[i] == i);
        }
      }
    }
  }
  CHECK(shuffled_rows(1, 0, {0}, 0, std::nullopt).empty());
  CHECK(shuffled_rows(1, 0, {0}, 1, std::nullopt) == std::vector<std::uint32_t>{0});
}

TEST_CASE("the order that a seed means never changes", "[data][shuffle]") {
  // Written down on the day of the first release; a change would make old experiments unrepeatable.
  CHECK(shuffled_rows(7, 3, {2}, 10, std::nullopt) == std::vector<std::uint32_t>{7, 3, 1, 4, 5, 8, 2, 6, 0, 9});
  CHECK(shuffled_rows(7, 3, {2}, 10, TrialId{5}) == std::vector<std::uint32_t>{3, 9, 7, 1, 5, 8, 2, 4, 0, 6});
}

TEST_CASE("every row is equally likely to come first", "[data][shuffle]") {
  std::vector<int> first(8);
  for (std::uint64_t seed = 0; seed < 8000; ++seed) ++first[shuffled_rows(seed, 0, {0}, 8, std::nullopt)[0]];
  for (int count : first) {
    CHECK(count > 850);
    CHECK(count < 1150);
  }
}
