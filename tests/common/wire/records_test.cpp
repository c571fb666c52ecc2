#include "common/wire/records.h"

#include <catch2/catch_test_macros.hpp>
#include <random>
#include <set>

#include "common/wire/json.h"
#include "tests/common/wire/filler.h"

using namespace modelhop;

namespace {

Result<RecordBody> reread(const RecordBody& body, const std::string& json) {
  return parse_record(type_name(body), type_version(body), json);
}

}  // namespace

TEST_CASE("every record comes back from the journal as it was written", "[wire][records]") {
  const std::uint64_t first = std::random_device{}();
  CAPTURE(first);
  for (std::uint64_t seed = first; seed < first + 200; ++seed) {
    for (const RecordBody& body : one_of_each<RecordBody>(seed)) {
      const std::string json = to_json(body);
      const Result<RecordBody> back = reread(body, json);
      INFO(type_name(body) << " " << back.status().message() << "\n" << json);
      REQUIRE(back.ok());
      REQUIRE(back->index() == body.index());
      REQUIRE(to_json(*back) == json);
    }
  }
}

TEST_CASE("every type of record has its own name", "[wire][records]") {
  std::set<std::string> names;
  for (const RecordBody& body : one_of_each<RecordBody>(1)) names.insert(type_name(body));
  CHECK(names.size() == std::variant_size_v<RecordBody>);
}

TEST_CASE("a record with a missing, unknown or doubled key is refused", "[wire][records]") {
  CHECK(parse_record("booted", 1, R"({"boot":3})").ok());
  CHECK(parse_record("booted", 1, "{}").status().message() == "booted/boot is missing");
  CHECK(parse_record("booted", 1, R"({"boot":3,"extra":1})").status().message().find("a key that its version") !=
        std::string::npos);
  CHECK(parse_record("booted", 1, R"({"boot":3,"boot":3})").status().message().find("a key twice") !=
        std::string::npos);
  for (const char* bad : {"", "[]", "null", "3", "{", R"({"boot":-1})", R"({"boot":1.5})", R"({"boot":"1"})",
                          R"({"boot":18446744073709551616})", R"({"boot":1e999})", "{\"boot\":1}x", "\xff"}) {
    INFO(bad);
    CHECK_FALSE(parse_record("booted", 1, bad).ok());
  }
}

TEST_CASE("an unknown type or a newer version is refused by name", "[wire][records]") {
  CHECK(parse_record("unit_forgotten", 1, "{}").status().message().find("\"unit_forgotten\"") != std::string::npos);
  CHECK(parse_record("booted", 3, R"({"boot":3})").status().message().find("version 3") != std::string::npos);
  CHECK(parse_record("booted", 3, R"({"boot":3})").status().code() == Code::kInvalid);
}

TEST_CASE("deep and large records are refused before they are built", "[wire][records][limits]") {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  CHECK(parse_record("booted", 1, deep).status().message().find("nested deeper than 32") != std::string::npos);
  const std::string objects = [] {
    std::string text;
    for (int i = 0; i < 50'000; ++i) text += "{\"a\":";
    return text;
  }();
  CHECK_FALSE(parse_record("booted", 1, objects).ok());
  CHECK_FALSE(parse_record("booted", 1, std::string(kRecordBytesMax + 1, ' ')).ok());
}

TEST_CASE("every flipped bit of a record is refused or read as what it then says", "[wire][records]") {
  for (const RecordBody& body : one_of_each<RecordBody>(3)) {
    const std::string json = to_json(body);
    for (std::size_t at = 0; at < json.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string flipped = json;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
        const Result<RecordBody> back = reread(body, flipped);
        if (back.ok()) REQUIRE(reread(body, to_json(*back)).ok());
      }
    }
  }
}

TEST_CASE("numbers that JSON lacks are texts, and doubles are exact", "[wire][records]") {
  TrialCreated created{{1}, {2}, {}, 0, 4, "grid 1/2"};
  created.params = {{"a", 0.1}, {"b", std::int64_t{1}}, {"c", 1.0}, {"d", true}, {"e", std::string("nan")}};
  CHECK(
      to_json(RecordBody(created)) ==
      R"({"asked":false,"experiment":"e1","idempotency_key":"","offset":0,"origin":"grid 1/2","params":{"a":0.1,"b":1,"c":1.0,"d":true,"e":"nan"},"request":"00000000000000000000000000000000","target_visits":4,"trial":2})");
  TrialEvaluated evaluated;
  evaluated.value = -std::numeric_limits<double>::infinity();
  CHECK(to_json(RecordBody(evaluated)).find("\"value\":\"-inf\"") != std::string::npos);
}

TEST_CASE("a record's line is its envelope and body", "[wire][records]") {
  const Record record{7, {1'795'250'460'123}, UnitParked{{1}, {9}, "killed 3 workers"}};
  CHECK(
      to_json(record) ==
      R"({"at":"2026-11-21T08:41:00.123Z","body":{"experiment":"e1","reason":"killed 3 workers","unit":9},"experiment":"e1","seq":7,"type":"unit_parked","version":1})");
  CHECK(to_json(Record{1, {0}, Booted{1}}).find("\"experiment\":null") != std::string::npos);
}

TEST_CASE("a record belongs to its experiment or to the cluster", "[wire][records]") {
  CHECK(experiment_of(Booted{1}) == ExperimentId{});
  CHECK(experiment_of(UnitParked{{4}, {1}, ""}) == ExperimentId{4});
  StateDeleted deleted;
  deleted.state.experiment = {5};
  CHECK(experiment_of(deleted) == ExperimentId{5});
}

TEST_CASE("a record of an older version is read as one of today's", "[wire][records]") {
  const Result<RecordBody> old = parse_record("booted", 1, "{\"boot\":3}");
  REQUIRE(old.ok());
  CHECK(std::get<Booted>(*old).boot == 3);
  CHECK_FALSE(std::get<Booted>(*old).accept_lost_tail);
  CHECK_FALSE(parse_record("booted", 1, "{\"boot\":3,\"bout\":3}").ok());
  CHECK_FALSE(parse_record("booted", 1, "[3]").ok());
  CHECK_FALSE(parse_record("booted", 1, "{\"accept_lost_tail\":true,\"boot\":3}").ok());
  CHECK_FALSE(parse_record("booted", 2, "{\"boot\":3}").ok());
  CHECK_FALSE(parse_record("booted", 0, "{\"boot\":3}").ok());
}
