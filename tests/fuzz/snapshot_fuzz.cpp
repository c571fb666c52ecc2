// Any bytes as a snapshot's state: refused, or a state that a core can hold, look at and save as those very bytes.
#include "common/base/check.h"
#include "scheduler/core/core.h"

using namespace modelhop;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Core core(CoreConfig{});
  if (!core.load({data, size}).ok()) return 0;
  const std::vector<std::uint8_t> saved = core.save();
  CHECK(std::equal(saved.begin(), saved.end(), data, data + size));
  (void)core.check_invariants();
  (void)core.check_index();
  (void)core.snapshot();
  return 0;
}
