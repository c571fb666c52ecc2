#pragma once
// Following an experiment to its end on stderr, in the words that `run` and `exp rerun` share.
#include <cstdint>
#include <optional>
#include <string>

#include "cli/cli.h"

namespace modelhop {
class LocalCluster;
}

namespace modelhop::cli {

std::string workers_text(unsigned workers);  // "1 worker", "3 workers"

// The experiment as it ended; none: interrupted. The first Ctrl-C drains the cluster, the second ends it; each is said.
// `told`: records up to this seq are not shown as lines. `backend`: of the cluster's service.
Result<std::optional<Json>> follow_here(const Cli& cli, LocalCluster& cluster, Backend& backend, const Json& experiment,
                                        std::uint64_t told);
// The same for an experiment of a server, which an interrupt leaves alone. A server that restarts is waited for.
Result<std::optional<Json>> follow_there(const Cli& cli, Backend& backend, const Json& experiment);

}  // namespace modelhop::cli
