// Any bytes: each decoder refuses them, or reads a message that encodes to those very bytes. The journal's record
// parser takes the same bytes as a record's body: refused, or read and written back stably.
#include <cstdlib>
#include <string_view>
#include <vector>

#include "common/base/check.h"
#include "common/wire/messages.h"
#include "common/wire/records.h"

using namespace modelhop;

namespace {

// Every type of record, as an empty one.
const std::vector<RecordBody>& types() {
  static const std::vector<RecordBody> all = [] {
    std::vector<RecordBody> bodies;
    [&]<std::size_t... I>(std::index_sequence<I...>) { (bodies.emplace_back(std::in_place_index<I>), ...); }
    (std::make_index_sequence<std::variant_size_v<RecordBody>>{});
    return bodies;
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> bytes(data, size);
  if (const auto message = decode_to_scheduler(bytes); message.ok()) {
    const auto again = encode(*message);
    CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  }
  if (const auto message = decode_to_worker(bytes); message.ok()) {
    const auto again = encode(*message);
    CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  }
  if (size == 0) return 0;
  const RecordBody& kind = types()[data[0] % types().size()];
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (std::uint16_t version = 1; version <= type_version(kind); ++version) {
    const auto record = parse_record(type_name(kind), version, body);
    if (!record.ok()) continue;
    const std::string text = to_json(*record);
    const auto back = parse_record(type_name(kind), type_version(kind), text);
    CHECK(back.ok());
    CHECK(to_json(*back) == text);
  }
  return 0;
}
