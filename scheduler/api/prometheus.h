#pragma once
// The core's state as Prometheus text (format 0.0.4). No trial or experiment labels. Names: docs/api.md, "Metrics".
#include <string>

#include "scheduler/api/api.h"

namespace modelhop {

std::string prometheus_text(const Core& core, const ApiContext& context);

}  // namespace modelhop
