#pragma once
// Requests that change what runs: pause, resume, stop, cancel, delete, retry, drain, remove, and PATCH of an
// experiment. Each is yes again where it is so already, so a client that lost the answer may ask again.
#include <string>

#include "scheduler/server/requests.h"

namespace modelhop {

// "experiments", "trials" or "workers"; the name within; the verb after its ':' ("delete" for DELETE).
void control_request(const Backends& backends, const std::string& what, const std::string& name,
                     const std::string& verb, const Done& done);

// PATCH of name, notes, labels and priority, as JSON.
void change_experiment(const Backends& backends, const std::string& name, const std::string& body, const Done& done);

}  // namespace modelhop
