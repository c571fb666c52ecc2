// Any bytes: each decoder refuses them, or reads a message that encodes to those very bytes. The journal's record
// parser takes the same bytes as a record's body: refused, or read and written back stably.
#include <cstdlib>
#include <string_view>

#include "common/base/check.h"
#include "common/wire/messages.h"
#include "common/wire/records.h"

using namespace modelhop;

namespace {

constexpr std::string_view kTypes[] = {
    "booted",           "worker_joined",      "worker_left",   "dataset_registered",
    "partition_placed", "experiment_created", "trial_created", "trial_evaluated",
    "unit_leased",      "unit_finished",      "unit_released", "experiment_state_changed"};

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
  const std::string_view type = kTypes[data[0] % std::size(kTypes)];
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (const auto record = parse_record(type, 1, body); record.ok()) {
    const std::string text = to_json(*record);
    const auto back = parse_record(type, 1, text);
    CHECK(back.ok());
    CHECK(to_json(*back) == text);
  }
  return 0;
}
