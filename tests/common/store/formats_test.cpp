#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "common/store/journal_format.h"
#include "common/wire/records.h"
#include "tests/common/documented.h"

using namespace modelhop;

TEST_CASE("the rows in docs/formats.md are what the journal holds", "[journal][docs]") {
  const Record records[] = {{1, {1'795'250'460'123}, Booted{3}},
                            {2, {1'795'250'460'456}, UnitParked{{7}, {345}, "killed 3 workers"}}};
  ContentHash check;
  std::string rows;
  for (const Record& record : records) {
    const std::string body = to_json(record.body);
    check = journal_check(check, record.seq, record.at, type_name(record.body), type_version(record.body), body);
    rows += std::to_string(record.seq) + "|" + std::to_string(record.at.value) + "|" + type_name(record.body) + "|" +
            std::to_string(type_version(record.body)) + "|" + std::to_string(experiment_of(record.body).value) + "|" +
            body + "|" + to_string(check) + "\n";
  }
  INFO(rows);
  CHECK(is_documented("formats.md", "journal", rows));
}
