#include "scheduler/core/totals.h"

namespace modelhop {

const char* to_string(Ignored reason) {
  static constexpr const char* kNames[kIgnoredReasons] = {"stale_token", "old_boot", "unknown_incarnation",
                                                          "newer_boot"};
  return kNames[static_cast<std::size_t>(reason)];
}

}  // namespace modelhop
