#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "recorded.h"
#include "scheduler/api/export.h"
#include "scheduler/api/find.h"
#include "scheduler/api/json_text.h"
#include "scheduler/api/page.h"

namespace modelhop {
namespace {

Json json_of(const ApiResponse& response) {
  INFO(response.body);
  REQUIRE(response.status == 200);
  return Json::parse(response.body);
}

TEST_CASE("every page of the API answers a recorded history", "[api]") {
  const test::Recorded recorded;
  REQUIRE(recorded.status().message() == "");
  for (const char* path : {"/status",
                           "/experiments",
                           "/experiments/e1",
                           "/experiments/grid",
                           "/experiments/e1/trials",
                           "/experiments/e1/best",
                           "/experiments/e1/gantt",
                           "/experiments/e1/idle",
                           "/experiments/e1/why",
                           "/experiments/e1/spec",
                           "/experiments/e1/checkpoints",
                           "/trials/e1.2",
                           "/trials/grid.2",
                           "/workers",
                           "/workers/w1",
                           "/datasets",
                           "/datasets/digits",
                           "/healthz",
                           "/readyz",
                           "/schema/spec.json"}) {
    INFO(path);
    const ApiResponse response = recorded.ask(std::string("/api/v1") + path);
    CHECK(response.status == 200);
    CHECK(Json::accept(response.body));
  }
}

TEST_CASE("an experiment shows counts, progress, its best trial and faults", "[api]") {
  test::Recorded recorded;
  recorded.live = false;
  const Json json = json_of(recorded.ask("/api/v1/experiments/e1"));
  CHECK(json["trials"]["COMPLETED"] == 2);
  CHECK(json["trials"]["FAILED"] == 1);
  CHECK(json["visits_done"] == 8);
  CHECK(json["best"]["trial"] == "e1.1");
  CHECK(json["best"]["value"] == 0.9);
  CHECK(json["faults"] == Json({{"user_code", 1}, {"worker_lost", 1}}));
  CHECK(json["metric"] == "val_accuracy");
  CHECK(json["partitions"] == 4);
  CHECK(json["elapsed_s"] > 0);
  CHECK(json["gap"] >= 0);
}

TEST_CASE("trials sort by value with the best first, and those without one last", "[api]") {
  const test::Recorded recorded;
  const Json page = json_of(recorded.ask("/api/v1/experiments/e1/trials", {{"sort", "value"}}));
  std::vector<std::string> ids;
  for (const Json& trial : page["items"]) ids.push_back(trial["id"]);
  CHECK(ids == std::vector<std::string>{"e1.1", "e1.2", "e1.3"});
  CHECK(page["next"].is_null());
}

TEST_CASE("walking pages of one item sees every trial once, in every order", "[api]") {
  const test::Recorded recorded;
  for (const char* sort : {"id", "-id", "value", "-value", "epochs", "state"}) {
    INFO(sort);
    std::multiset<std::string> seen;
    std::string cursor;
    do {
      std::map<std::string, std::string> query{{"sort", sort}, {"limit", "1"}};
      if (!cursor.empty()) query["cursor"] = cursor;
      const Json page = json_of(recorded.ask("/api/v1/experiments/e1/trials", query));
      REQUIRE(page["items"].size() == 1);
      seen.insert(page["items"][0]["id"].get<std::string>());
      cursor = page["next"].is_null() ? "" : page["next"].get<std::string>();
    } while (!cursor.empty() && seen.size() < 10);
    CHECK(seen == std::multiset<std::string>{"e1.1", "e1.2", "e1.3"});
  }
}

TEST_CASE("a bar of the Gantt is a lease attempt, the lost one too", "[api]") {
  const test::Recorded recorded;
  const Json page = json_of(recorded.ask("/api/v1/experiments/e1/gantt"));
  CHECK(page["items"].size() == 10);
  std::size_t released = 0;
  for (const Json& bar : page["items"]) released += bar["outcome"] == "released" ? 1 : 0;
  CHECK(released == 2);
  CHECK(page["items"][0]["worker"] == "w2");
  CHECK(page["items"][3]["kind"] == "train+evaluate");
  const Json late = json_of(recorded.ask("/api/v1/experiments/e1/gantt", {{"from", "99999999999999"}}));
  CHECK(late["items"].empty());
}

TEST_CASE("why says in sentences what failed and what was run again", "[api]") {
  const test::Recorded recorded;
  const std::string text = json_of(recorded.ask("/api/v1/experiments/e1/why"))["why"].dump();
  CHECK(text.find("1 trial failed: loss is") != std::string::npos);
  CHECK(text.find("worker_lost") != std::string::npos);
}

TEST_CASE("an unfinished experiment that no scheduler works on is explained as waiting", "[api]") {
  test::Recorded recorded;
  const auto why = [&] { return json_of(recorded.ask("/api/v1/experiments/e1/why"))["why"].dump(); };
  CHECK(why().find("e1 is RUNNING") != std::string::npos);
  recorded.live = recorded.served = false;
  CHECK(why().find("e1 is WAITING") != std::string::npos);
  CHECK(why().find("No scheduler works on it") != std::string::npos);
  const Json experiment = json_of(recorded.ask("/api/v1/experiments/e1"));
  CHECK(experiment["state"] == "RUNNING");  // what the journal says
  CHECK(experiment["served"] == false);
}

TEST_CASE("a trial shows milestones, units, hops, its recipe and the states to check", "[api]") {
  const test::Recorded recorded;
  const Json json = json_of(recorded.ask("/api/v1/trials/e1.2"));
  CHECK(json["milestones"].size() == 1);
  CHECK(json["units"].size() == 5);
  CHECK(json["hops"].size() == 3);
  CHECK(json["recipe"]["training"]["optimizer"]["lr"] == 0.30000000000000004);
  CHECK(json["metrics"]["val_accuracy"] == 0.75);
  CHECK(json["number"] == 2);
}

TEST_CASE("what is not there, and what is asked wrongly, is a problem document", "[api]") {
  const test::Recorded recorded;
  const auto status = [&](const std::string& path, std::map<std::string, std::string> query = {},
                          const char* method = "GET") {
    const ApiResponse response = recorded.ask(path, std::move(query), method);
    CHECK(response.content_type == "application/problem+json");
    const Json json = Json::parse(response.body);
    CHECK(json["status"] == response.status);
    CHECK(!json["detail"].get<std::string>().empty());
    return response.status;
  };
  CHECK(status("/api/v1/experiments/e2") == 404);
  CHECK(status("/api/v1/experiments/e1/nothing") == 404);
  CHECK(status("/api/v1/trials/e1.4") == 404);
  CHECK(status("/api/v1/trials/x") == 404);
  CHECK(status("/api/v1/checkpoints/e1.1@7.7") == 404);
  CHECK(status("/api/v1/workers/w9") == 404);
  CHECK(status("/elsewhere") == 404);
  CHECK(status("/api/v1") == 404);
  CHECK(status("/api/v1/experiments/%zz") == 400);
  CHECK(status("/api/v1/status", {}, "PUT") == 405);
  CHECK(status("/api/v1/experiments/e1/trials", {{"sort", "colour"}}) == 400);
  CHECK(status("/api/v1/experiments/e1/trials", {{"state", "ASLEEP"}}) == 400);
  CHECK(status("/api/v1/experiments/e1/trials", {{"limit", "0"}}) == 400);
  CHECK(status("/api/v1/experiments/e1/trials", {{"limit", "1001"}}) == 400);
  CHECK(status("/api/v1/experiments/e1/trials", {{"cursor", "nonsense"}}) == 400);
  CHECK(status("/api/v1/experiments/e1/gantt", {{"from", "yesterday"}}) == 400);
  CHECK(status("/api/v1/experiments/e1/export", {{"format", "xml"}}) == 400);
}

TEST_CASE("equal histories export equal bytes, whatever the times and workers were", "[api][export]") {
  const test::Recorded one(1'000'000, "w1"), other(9'000'000'000, "somebody-else");
  const ApiResponse a = one.ask("/api/v1/experiments/e1/export"), b = other.ask("/api/v1/experiments/e1/export");
  CHECK(a.body == b.body);
  CHECK(a.content_type == "text/csv; charset=utf-8");
  const std::string hash = to_string(hash_bytes("state 1 4")), second = to_string(hash_bytes("state 2 4"));
  CHECK(a.body ==
        "trial,state,reason,epochs,training.optimizer.lr,val_loss,val_accuracy,train_loss,train_accuracy,state_hash\n"
        "1,COMPLETED,,1,0.1,0.5,0.9,0.5,0.8," +
            hash +
            "\n"
            "2,COMPLETED,,1,0.30000000000000004,0.25,0.75,0.5,0.8," +
            second +
            "\n"
            "3,FAILED,\"loss is \"\"NaN\"\", at once\",0,1e-07,,,,,\n");
}

TEST_CASE("units and points export as JSON lines, one object a line", "[api][export]") {
  const test::Recorded recorded;
  for (const auto& [rows, count] : std::map<std::string, std::size_t>{{"units", 10}, {"points", 2}, {"trials", 3}}) {
    const std::string text = recorded.ask("/api/v1/experiments/e1/export", {{"format", "jsonl"}, {"rows", rows}}).body;
    std::size_t lines = 0;
    for (std::size_t from = 0; from < text.size(); ++lines) {
      const std::size_t end = text.find('\n', from);
      REQUIRE(end != std::string::npos);
      CHECK(Json::parse(text.substr(from, end - from)).is_object());
      from = end + 1;
    }
    CHECK(lines == count);
  }
}

TEST_CASE("a CSV field is quoted only where RFC 4180 needs it", "[api][export]") {
  CHECK(csv_field("plain") == "plain");
  CHECK(csv_field("a,b") == "\"a,b\"");
  CHECK(csv_field("say \"hi\"") == "\"say \"\"hi\"\"\"");
  CHECK(csv_field("two\nlines") == "\"two\nlines\"");
}

TEST_CASE("numbers are written shortest and read back as the same double", "[api]") {
  CHECK(number_text(0.1) == "0.1");
  CHECK(number_text(1.0 / 3) == "0.3333333333333333");
  CHECK(number_text(5) == "5");
  CHECK(number_text(0.0001) == "0.0001");
  CHECK(number_text(-1e-6) == "-0.000001");
  CHECK(number_text(1e-7) == "1e-07");
  CHECK(number_text(123456789012.5) == "123456789012.5");
  CHECK(number_text(1e20) == "100000000000000000000");
  CHECK(number_text(1e21) == "1e+21");
  for (const double value : {1.7976931348623157e308, 0.1 + 0.2, 1.2345678901234567e-6, -9.876543210987654e20}) {
    CHECK(std::stod(number_text(value)) == value);
  }
  CHECK(number_text(std::numeric_limits<double>::quiet_NaN()) == "NaN");
  CHECK(number_json(-std::numeric_limits<double>::infinity()) == "-Infinity");
}

TEST_CASE("a time is read back as the API writes it", "[api]") {
  CHECK(parse_time(to_iso8601({1'763'714'460'123}))->value == 1'763'714'460'123);
  CHECK(parse_time("2026-11-21T08:41:00Z").has_value());
  CHECK(parse_time("1763714460123")->value == 1'763'714'460'123);
  for (const char* bad : {"", "now", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-21T25:00:00Z",
                          "2026-11-21 08:41:00Z", "99999999999999999999", "-5"}) {
    INFO(bad);
    CHECK(!parse_time(bad));
  }
}

TEST_CASE("a cursor survives its text, and no other text is one", "[api]") {
  const PageKey key{2, -0.125, "a~b", 17};
  CHECK(parse_cursor(to_cursor(key))->tie() == key.tie());
  for (const std::string& bad : {std::string(), std::string("~~~"), std::string("1~x~3~"), std::string("1~nan~3~"),
                                 std::string(kCursorBytesMax + 1, '1')}) {
    CHECK(!parse_cursor(bad));
  }
}

}  // namespace
}  // namespace modelhop
