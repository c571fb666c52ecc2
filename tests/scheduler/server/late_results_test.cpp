#include "scheduler/server/late_results.h"

#include <catch2/catch_test_macros.hpp>

using namespace modelhop;

namespace {

Incarnation process(std::uint8_t seed) {
  Incarnation out;
  out.bytes.fill(seed);
  return out;
}

UnitDone done(Token token, std::uint64_t unit, std::uint8_t from = 1) {
  UnitReport report;
  report.experiment = ExperimentId{1};
  report.unit = UnitId{unit};
  report.token = token;
  return {process(from), report};
}

LeaseRow lease(Token token, std::uint64_t unit, LeaseOutcome outcome, std::string detail = {}) {
  LeaseRow row;
  row.unit = UnitId{unit};
  row.token = token;
  row.incarnation = process(1);
  row.outcome = outcome;
  row.detail = std::move(detail);
  return row;
}

State state() {
  State out;
  out.workers.emplace_back();
  out.workers[0].name = "w1";
  out.workers[0].incarnation = process(1);
  out.experiments.resize(1);
  out.experiments[0].leases.push_back(lease({1, 1}, 1, LeaseOutcome::kReleased, "it was silent for too long"));
  out.experiments[0].leases.push_back(lease({1, 2}, 2, LeaseOutcome::kFinished));
  out.experiments[0].leases.push_back(lease({1, 3}, 1, LeaseOutcome::kOpen));
  return out;
}

}  // namespace

TEST_CASE("a result of a released lease is noted once, however often it is repeated", "[server][late]") {
  LateResults late;
  const auto first = late.note(state(), done({1, 1}, 1));
  REQUIRE(first);
  CHECK(*first ==
        "late result of e1.u1 under token 1.1 from worker w1: dismissed, not counted (it was silent for too long)");
  CHECK_FALSE(late.note(state(), done({1, 1}, 1)));
}

TEST_CASE("a result that is awaited, and a copy of one that was counted, are not late", "[server][late]") {
  LateResults late;
  CHECK_FALSE(late.note(state(), done({1, 3}, 1)));
  CHECK_FALSE(late.note(state(), done({1, 2}, 2)));
}

TEST_CASE("a result whose lease was released with it is not late when it is repeated", "[server][late]") {
  LateResults late;
  State now = state();
  CHECK_FALSE(late.note(now, done({1, 3}, 1)));
  now.experiments[0].leases[2].outcome = LeaseOutcome::kReleased;
  CHECK_FALSE(late.note(now, done({1, 3}, 1)));
}

TEST_CASE("a result from a process that does not hold the lease, or of no lease at all, is late", "[server][late]") {
  LateResults late;
  CHECK(late.note(state(), done({1, 3}, 1, 2)));
  CHECK(late.note(state(), done({1, 9}, 1)));
  CHECK(late.note(state(), done({1, 1}, 2)));  // the token is of another unit
  UnitDone nowhere = done({1, 1}, 1);
  nowhere.report.experiment = ExperimentId{7};
  nowhere.incarnation = process(3);
  CHECK(late.note(state(), nowhere));
}

TEST_CASE("reports seen are remembered up to a limit", "[server][late]") {
  LateResults late;
  for (std::uint64_t i = 1; i <= kReportsSeenMax + 1; ++i) REQUIRE(late.note(state(), done({2, i}, 1)));
  CHECK(late.note(state(), done({2, 1}, 1)));                      // forgotten
  CHECK_FALSE(late.note(state(), done({2, kReportsSeenMax}, 1)));  // not forgotten
}
