#pragma once
// What a command ends with. docs/cli.md, "Exit codes".
#include <string>

#include "common/base/status.h"

namespace modelhop::cli {

inline constexpr int kOkExit = 0, kFailedExit = 1, kUsageExit = 2, kNotFoundExit = 3, kUnreachableExit = 4,
                     kConflictExit = 5, kTimeoutExit = 124, kInterruptExit = 130;

inline int exit_code(Code code) {
  switch (code) {
    case Code::kOk:
      return kOkExit;
    case Code::kInvalid:
      return kUsageExit;
    case Code::kNotFound:
      return kNotFoundExit;
    case Code::kUnreachable:
    case Code::kTimeout:  // of a scheduler that does not answer; 124 is a --timeout's own
      return kUnreachableExit;
    case Code::kConflict:
      return kConflictExit;
    case Code::kCorrupt:
    case Code::kEnvironment:
    case Code::kInternal:
      return kFailedExit;
  }
  return kFailedExit;
}

}  // namespace modelhop::cli
