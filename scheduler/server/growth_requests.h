#pragma once
// Requests that let an experiment grow: a fork of a trial, and higher limits. Each may be asked again: a fork under the
// same Idempotency-Key, limits because they say what they are to be.
#include <string>

#include "scheduler/server/requests.h"

namespace modelhop {

// POST /trials/{t}:fork {"set": {path: value}, "checkpoint": "e7.12@0.8", "epochs": n}; each may be absent.
void fork_trial(const Backends& backends, const std::string& name, const ApiRequest& request, const Done& done);

// POST /experiments/{e}:extend {"max_trials": n, "time_budget": "2h", "epochs": n}; at least one.
void extend_experiment(const Backends& backends, const std::string& name, const std::string& body, const Done& done);

}  // namespace modelhop
