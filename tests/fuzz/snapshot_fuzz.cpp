// Any bytes as a snapshot's state: refused, or a state that a core can hold, look at and save as those very bytes. A
// spec is taken as it is written; what another version left to defaults, or wrote otherwise (-0), a core writes anew.
#include "common/base/check.h"
#include "scheduler/core/core.h"

using namespace modelhop;

namespace {

CoreHooks hooks() {
  CoreHooks out = default_hooks();
  out.load_spec = [load = out.load_spec](std::string_view expanded) -> Result<std::shared_ptr<const Spec>> {
    ASSIGN_OR_RETURN(std::shared_ptr<const Spec> spec, load(expanded));
    if (spec->expanded != expanded) return corrupt("a spec that is written otherwise");
    return spec;
  };
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Core core({}, hooks());
  if (!core.load({data, size}).ok()) return 0;
  const std::vector<std::uint8_t> saved = core.save();
  CHECK(std::equal(saved.begin(), saved.end(), data, data + size));
  (void)core.check_invariants();
  (void)core.check_index();
  (void)core.snapshot();
  return 0;
}
