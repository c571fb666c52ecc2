#include <catch2/catch_test_macros.hpp>
#include <fstream>

#include "exposition_check.h"
#include "recorded.h"
#include "scheduler/api/exposition.h"
#include "scheduler/api/prometheus.h"

namespace modelhop {
namespace {

using test::Exposed;
using test::read_exposition;

std::string text_of(const test::Recorded& recorded) {
  ServiceFigures figures;
  figures.commit.add(2'000'000);
  figures.decision.add(20'000);
  figures.lag.add(0);
  figures.bad_frames = 3;
  const ApiContext context{{kSecond}, {1}, true, "0.1.0", true, &figures};
  return prometheus_text(recorded.core(), context);
}

Exposed exposed(const std::string& text) {
  Exposed out = read_exposition(text);
  for (const std::string& problem : out.problems) FAIL_CHECK(problem);
  return out;
}

TEST_CASE("the metrics of a recorded history are what its records add up to", "[api][metrics]") {
  const test::Recorded recorded;
  REQUIRE(recorded.status().message() == "");
  const Exposed got = exposed(text_of(recorded));
  CHECK(got["modelhop_build_info{version=\"0.1.0\"}"] == 1);
  CHECK(got["modelhop_boot_number"] == 1);
  CHECK(got["modelhop_experiments{state=\"RUNNING\"}"] == 1);
  CHECK(got["modelhop_trials{state=\"COMPLETED\"}"] == 2);
  CHECK(got["modelhop_trials{state=\"FAILED\"}"] == 1);
  CHECK(got.sum("modelhop_trials") == 3);
  CHECK(got.sum("modelhop_trials_ended_total") == 3);
  CHECK(got["modelhop_units_total{kind=\"train\",outcome=\"finished\"}"] == 6);
  CHECK(got["modelhop_units_total{kind=\"train+evaluate\",outcome=\"finished\"}"] == 2);
  CHECK(got["modelhop_units_total{kind=\"train\",outcome=\"released\"}"] == 2);
  CHECK(got["modelhop_unit_duration_seconds_count{kind=\"train\"}"] == 6);
  CHECK(got["modelhop_unit_duration_seconds_sum{kind=\"train\"}"] == 6);  // a second between records
  CHECK(got["modelhop_unit_retries_total{fault=\"worker_lost\"}"] == 1);
  CHECK(got["modelhop_unit_retries_total{fault=\"user_code\"}"] == 1);
  CHECK(got["modelhop_unit_retries_total{fault=\"data\"}"] == 0);
  CHECK(got["modelhop_hops_total{path=\"initial\",outcome=\"ok\"}"] == 2);
  CHECK(got["modelhop_hops_total{path=\"store\",outcome=\"ok\"}"] == 6);
  CHECK(got["modelhop_hops_total{path=\"stay\",outcome=\"ok\"}"] == 0);
  CHECK(got.sum("modelhop_hops_total", "failed") == 0);
  CHECK(got["modelhop_hop_bytes_total{path=\"store\"}"] == 6 * 4096);
  CHECK(got["modelhop_hop_bytes_total{path=\"initial\"}"] == 0);
  CHECK(got["modelhop_hop_duration_seconds_count{path=\"store\"}"] == 6);
  CHECK(got["modelhop_checkpoint_bytes_total"] == 8 * 4096);
  CHECK(got["modelhop_checkpoint_duration_seconds_count"] == 8);
  CHECK(got["modelhop_store_bytes"] == 8 * 4096);
  CHECK(got["modelhop_journal_records_total{type=\"unit_finished\"}"] == 8);
  CHECK(got["modelhop_journal_records_total{type=\"unit_parked\"}"] == 0);
  CHECK(got.sum("modelhop_journal_records_total") == static_cast<double>(recorded.core().state().seq));
  CHECK(got["modelhop_journal_commit_seconds_sum"] == 0.002);
  CHECK(got["modelhop_decision_seconds_bucket{le=\"0.00005\"}"] == 1);
  CHECK(got["modelhop_decision_seconds_bucket{le=\"0.00001\"}"] == 0);
  CHECK(got["modelhop_loop_lag_seconds_count"] == 1);
  CHECK(got["modelhop_stale_messages_total{reason=\"bad_frame\"}"] == 3);
  CHECK(got["modelhop_stale_messages_total{reason=\"stale_token\"}"] == 0);
  CHECK(got["modelhop_lease_expirations_total"] == 0);
  for (const auto& [series, value] : got.values) CHECK(series.find("e1") == std::string::npos);
}

TEST_CASE("a stopped service's directory has the journal's metrics and no others", "[api][metrics]") {
  const test::Recorded recorded;
  const ApiResponse response = recorded.ask("/metrics");
  REQUIRE(response.status == 200);
  const Exposed got = exposed(response.body);
  CHECK(got["modelhop_units_total{kind=\"train\",outcome=\"finished\"}"] == 6);
  CHECK(!got.types.contains("modelhop_decision_seconds"));
}

TEST_CASE("docs/api.md lists every metric that there is, and no other", "[api][metrics]") {
  std::ifstream file(std::string(MODELHOP_SOURCE_DIR) + "/docs/api.md");
  std::string docs(std::istreambuf_iterator<char>(file), {});
  docs.erase(0, docs.find("## Metrics"));
  std::set<std::string> listed;
  for (std::size_t at = docs.find("`modelhop_"); at != std::string::npos; at = docs.find("`modelhop_", at + 1)) {
    listed.insert(docs.substr(at + 1, docs.find_first_of("`{", at + 1) - at - 1));
  }
  const test::Recorded recorded;
  std::set<std::string> written{"modelhop_http_requests_total", "modelhop_bound_gap_ratio"};  // the web server's; live
  for (const auto& [family, type] : exposed(text_of(recorded)).types) written.insert(family);
  CHECK(listed == written);
}

TEST_CASE("labels and help texts are escaped, and the reader finds what is not well-formed", "[api][metrics]") {
  Exposition out;
  out.gauge("a", "back\\slash and\nline");
  out.sample({{"name", "a \"quoted\\\" name\n"}}, 0.5);
  const std::string text = out.take();
  CHECK(text == "# HELP a back\\\\slash and\\nline\n# TYPE a gauge\na{name=\"a \\\"quoted\\\\\\\" name\\n\"} 0.5\n");
  CHECK(read_exposition(text).problems.empty());
  for (const char* bad :
       {"a 1\n", "# HELP a b\n# TYPE a gauge\nb 1\n", "# HELP a b\n# TYPE a gauge\na 1\na 1\n",
        "# HELP a b\n# TYPE a gauge\na{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1\n",
        "# HELP a b\n# TYPE a counter\na 1\n", "# HELP a b\n# TYPE a gauge\na one\n",
        "# HELP a b\n# TYPE a gauge\na{x=1} 1\n", "# HELP a b\n# TYPE a gauge\na 1", "# HELP a b\na 1\n",
        "# HELP a b\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
        "# HELP a b\n# TYPE a gauge\na 1\n# HELP a b\n# TYPE a gauge\na{x=\"1\"} 1\n"}) {
    INFO(bad);
    CHECK_FALSE(read_exposition(bad).problems.empty());
  }
}

}  // namespace
}  // namespace modelhop
