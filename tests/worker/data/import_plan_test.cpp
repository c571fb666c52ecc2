#include "worker/data/import_plan.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <numeric>

#include "common/base/limits.h"

using namespace modelhop;

namespace {

ImportRequest request_of(std::uint32_t partitions, std::uint64_t round_to = 0,
                         std::optional<std::uint64_t> validation = {}) {
  ImportRequest request;
  request.partitions = partitions;
  request.round_to = round_to;
  request.validation_rows = validation;
  request.seed = 3;
  return request;
}

std::vector<std::uint64_t> sizes(const ImportRequest& request, std::uint64_t rows) {
  const auto plan = plan_import(request, rows);
  REQUIRE(plan.ok());
  return plan->partition_rows;
}

}  // namespace

TEST_CASE("partitions differ by at most the rounding, and the last takes what fills no block", "[data][plan]") {
  using Sizes = std::vector<std::uint64_t>;
  CHECK(sizes(request_of(4, 0, 0), 10) == Sizes{3, 3, 2, 2});
  CHECK(sizes(request_of(4, 1, 0), 8) == Sizes{2, 2, 2, 2});
  CHECK(sizes(request_of(4), 60'000) == Sizes{13'500, 13'500, 13'500, 13'500});
  CHECK(sizes(request_of(4, 64), 60'000) == Sizes{13'504, 13'504, 13'504, 13'488});
  CHECK(sizes(request_of(2, 10, 0), 45) == Sizes{20, 25});
  for (std::uint64_t round : {1, 2, 7, 32}) {
    for (std::uint32_t partitions : {1u, 2u, 3u, 8u}) {
      for (std::uint64_t rows : {256u, 257u, 300u, 1023u}) {
        const Sizes found = sizes(request_of(partitions, round, 0), rows);
        const auto [least, most] = std::minmax_element(found.begin(), found.end());
        INFO(rows << " rows, " << partitions << " partitions, rounded to " << round);
        REQUIRE(std::accumulate(found.begin(), found.end(), std::uint64_t{0}) == rows);
        REQUIRE(*most - *least <= round);
        for (std::size_t i = 0; i + 1 < found.size(); ++i) REQUIRE(found[i] % round == 0);
      }
    }
  }
}

TEST_CASE("validation takes a tenth, or what is asked for", "[data][plan]") {
  CHECK(plan_import(request_of(1), 109)->validation_rows == 10);
  CHECK(plan_import(request_of(1, 0, 0), 109)->validation_rows == 0);
  CHECK(plan_import(request_of(1, 0, 50), 109)->validation_rows == 50);
  CHECK(plan_import(request_of(1), 9)->validation_rows == 0);
  const auto plan = plan_import(request_of(1), 50);
  std::vector<std::uint32_t> order = plan->order;
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (std::uint32_t i = 0; i < 50; ++i) CHECK(order[i] == i);
}

TEST_CASE("a plan that leaves a partition empty is refused by the flag to change", "[data][plan][limit]") {
  const auto refusal = [](const ImportRequest& request, std::uint64_t rows) {
    const auto plan = plan_import(request, rows);
    REQUIRE_FALSE(plan.ok());
    REQUIRE(plan.status().code() == Code::kInvalid);
    return plan.status().message();
  };
  CHECK(refusal(request_of(0), 100).find("--partitions 0") != std::string::npos);
  CHECK(refusal(request_of(kPartitionsMax + 1), 100'000).find("--partitions 4097: from 1 to 4096") !=
        std::string::npos);
  CHECK(plan_import(request_of(kPartitionsMax), 100'000).ok());
  CHECK(refusal(request_of(5, 0, 0), 4).find("too few for --partitions 5") != std::string::npos);
  CHECK(refusal(request_of(1, 0, 100), 100).find("100 for validation leave 0") != std::string::npos);
  CHECK(refusal(request_of(1, 0, UINT64_MAX), 100).find("leave 0") != std::string::npos);
  CHECK(refusal(request_of(2, 64), 100).find("of at least --round-to 64") != std::string::npos);
  CHECK(refusal(request_of(1, UINT64_MAX), 100).find("--round-to") != std::string::npos);
  CHECK(refusal(request_of(1), kDatasetRowsMax + 1).find("at most 4294967295") != std::string::npos);
}
