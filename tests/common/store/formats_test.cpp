#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "common/store/journal_format.h"
#include "common/store/witness.h"
#include "common/wire/records.h"
#include "tests/common/documented.h"
#include "tests/common/store/scratch.h"

using namespace modelhop;

namespace {

std::vector<Record> documented_records() {
  return {{1, {1'795'250'460'123}, Booted{3, false}},
          {2, {1'795'250'460'456}, UnitParked{{7}, {345}, "killed 3 workers"}}};
}

}  // namespace

TEST_CASE("the rows in docs/formats.md are what the journal holds", "[journal][docs]") {
  ContentHash check;
  std::string rows;
  for (const Record& record : documented_records()) {
    const std::string body = to_json(record.body);
    check = journal_check(check, record.seq, record.at, type_name(record.body), type_version(record.body), body);
    rows += std::to_string(record.seq) + "|" + std::to_string(record.at.value) + "|" + type_name(record.body) + "|" +
            std::to_string(type_version(record.body)) + "|" + std::to_string(experiment_of(record.body).value) + "|" +
            body + "|" + to_string(check) + "\n";
  }
  INFO(rows);
  CHECK(is_documented("formats.md", "journal", rows));
}

TEST_CASE("the witness in docs/formats.md is what is written", "[journal][docs]") {
  const Scratch scratch;
  ContentHash check;
  for (const Record& record : documented_records()) {
    check = journal_check(check, record.seq, record.at, type_name(record.body), type_version(record.body),
                          to_json(record.body));
  }
  REQUIRE(std::move(Witness::open(scratch.path)).value().write({2, check}).ok());
  std::ifstream in(scratch / "witness", std::ios::binary);
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  CHECK(is_documented("formats.md", "witness", hexdump(bytes)));
}
