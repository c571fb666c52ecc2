#pragma once
// POST /checkpoints:gc. The store is listed and its garbage deleted on the side thread, a few at a time so that other
// requests come to their turn; what is garbage is said by the core, on the loop.
#include "scheduler/server/requests.h"

namespace modelhop {

void collect_garbage(const Backends& backends, const std::string& body, const Done& done);

}  // namespace modelhop
