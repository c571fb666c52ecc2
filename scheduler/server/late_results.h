#pragma once
// LateResults: says of a result whose lease has ended that it came too late, once however often its worker repeats it.
// The core dismisses such a result and counts nothing; this is what the log says about it.
// Threads: one. Owner: the scheduler's loop.
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/wire/messages.h"
#include "scheduler/core/state.h"

namespace modelhop {

// Reports remembered. A worker repeats an undismissed one within seconds, so its copies are among the newest.
inline constexpr std::size_t kReportsSeenMax = 4'096;

class LateResults {
 public:
  // Before the core sees the report. None: it counts, or it is a copy.
  std::optional<std::string> note(const State& state, const UnitDone& event);

 private:
  std::set<std::pair<Token, Incarnation>> seen_;
};

}  // namespace modelhop
