#include "scheduler/server/server.h"
#include "tests/scheduler/api/exposition_check.h"
#include "tests/scheduler/server/fixture.h"

using namespace modelhop;

namespace {

test::Exposed metrics(Service& service) {
  const ApiResponse response = ask(service, "GET", "metrics");
  REQUIRE(response.status == 200);
  test::Exposed out = test::read_exposition(response.body);
  for (const std::string& problem : out.problems) FAIL_CHECK(problem);
  return out;
}

}  // namespace

TEST_CASE("a run's metrics are what was leased, moved, stored and recorded, and a restart keeps the journal's",
          "[server][metrics]") {
  const Bench bench(3, 500);
  test::Exposed before;
  {
    const auto cluster = bench.start("state", 2);
    REQUIRE(cluster->submit(example_spec()).ok());
    Service& service = cluster->service();
    REQUIRE(wait_state(service, "e1", "COMPLETED"));
    // What is not kept is deleted after the end; then nothing changes any more.
    const auto deletions_done = [&] {
      before = metrics(service);
      return before["modelhop_journal_records_total{type=\"state_deleted\"}"] ==
             before["modelhop_journal_records_total{type=\"state_delete_intended\"}"];
    };
    REQUIRE(eventually(deletions_done));

    constexpr double kUnits = 6 * 2 * 3;  // trials, epochs, partitions
    CHECK(before.sum("modelhop_units_total", "outcome=\"finished\"") == kUnits);
    CHECK(before["modelhop_units_total{kind=\"train+evaluate\",outcome=\"finished\"}"] == 6 * 2);
    CHECK(before.sum("modelhop_unit_duration_seconds_count") == kUnits);
    CHECK(before.sum("modelhop_unit_duration_seconds_sum") > 0);
    CHECK(before["modelhop_hops_total{path=\"initial\",outcome=\"ok\"}"] == 6);
    CHECK(before.sum("modelhop_hops_total") == kUnits);
    CHECK(before["modelhop_trials{state=\"COMPLETED\"}"] == 6);
    CHECK(before["modelhop_trials_ended_total{how=\"COMPLETED\"}"] == 6);
    CHECK(before["modelhop_experiments{state=\"COMPLETED\"}"] == 1);
    CHECK(before["modelhop_workers_connected"] == 2);

    const Json items = json_of_body(ask(service, "GET", "experiments/e1/checkpoints"))["items"];
    REQUIRE_FALSE(items.empty());
    const double state_bytes = items[0]["size_bytes"];
    CHECK(before["modelhop_checkpoint_bytes_total"] == kUnits * state_bytes);
    CHECK(before["modelhop_hop_bytes_total{path=\"store\"}"] ==
          state_bytes * before["modelhop_hops_total{path=\"store\",outcome=\"ok\"}"]);
    CHECK(before["modelhop_hop_bytes_total{path=\"store\"}"] > 0);
    double on_disk = 0;
    const auto store = std::move(open_store(bench.scratch / "store")).value();
    const std::vector<BlobEntry> states = std::move(store->list("states/")).value();
    for (const BlobEntry& entry : states) on_disk += static_cast<double>(entry.size_bytes);
    CHECK(before["modelhop_store_bytes"] == on_disk);

    CHECK(before["modelhop_slot_seconds_total{cause=\"train\"}"] > 0);
    CHECK(before["modelhop_journal_commit_seconds_count"] > 0);
    CHECK(before["modelhop_journal_commit_seconds_sum"] > 0);
    CHECK(before["modelhop_decision_seconds_count"] >= kUnits);
    CHECK(before["modelhop_loop_lag_seconds_count"] > 0);
    CHECK(before["modelhop_lease_expirations_total"] == 0);
    CHECK(before["modelhop_stale_messages_total{reason=\"bad_frame\"}"] == 0);
    const Json status = json_of_body(ask(service, "GET", "status"));
    CHECK(before.sum("modelhop_journal_records_total") == status["seq"]);
    cluster->drain();
    REQUIRE(cluster->wait_stopped(20'000));
  }
  const auto server = start_server(bench);
  const test::Exposed after = metrics(*server);
  CHECK(after.types == before.types);
  for (const char* family :
       {"modelhop_units_total", "modelhop_unit_duration_seconds_bucket", "modelhop_unit_duration_seconds_sum",
        "modelhop_unit_retries_total", "modelhop_hops_total", "modelhop_hop_bytes_total",
        "modelhop_hop_duration_seconds_sum", "modelhop_checkpoint_bytes_total", "modelhop_store_bytes",
        "modelhop_checkpoint_duration_seconds_sum", "modelhop_trials", "modelhop_trials_ended_total"}) {
    for (const auto& [series, value] : before.values) {
      INFO(series);
      if (series.substr(0, series.find('{')) == family) CHECK(after[series] == value);
    }
  }
  CHECK(after["modelhop_boot_number"] > before["modelhop_boot_number"]);
  CHECK(after["modelhop_slot_seconds_total{cause=\"train\"}"] == 0);
  CHECK(after["modelhop_decision_seconds_count"] < before["modelhop_decision_seconds_count"]);
}
