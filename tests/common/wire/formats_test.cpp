#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "common/wire/messages.h"
#include "common/wire/records.h"
#include "tests/common/documented.h"
#include "tests/common/wire/filler.h"

using namespace modelhop;

namespace {

template <std::size_t... kIndex>
std::string every_type(std::index_sequence<kIndex...>) {
  std::string out;
  const auto add = [&](const RecordBody& body) {
    out += std::string(type_name(body)) + " " + std::to_string(type_version(body)) + "\n  " + to_json(body) + "\n";
  };
  (add(std::variant_alternative_t<kIndex, RecordBody>{}), ...);
  return out;
}

}  // namespace

TEST_CASE("the frame in docs/formats.md is what is sent", "[wire][docs]") {
  CHECK(is_documented("formats.md", "frame", hexdump(encode(ToWorker(Dismiss{{7}, {345}, {3, 17}, true})))));
}

TEST_CASE("the records in docs/formats.md are what is written", "[wire][docs]") {
  CHECK(
      is_documented("formats.md", "records", every_type(std::make_index_sequence<std::variant_size_v<RecordBody>>())));
}
