#pragma once
// The command line of a worker, the same for modelhop-worker and for the tests' worker.
#include <optional>

#include "worker/process/process.h"

namespace modelhop {

// Sets `config`, or returns the exit code: 0 after --help, 2 for a bad flag (said on stderr).
std::optional<int> parse_arguments(int argc, const char* const* argv, ProcessConfig& config);

}  // namespace modelhop
