#pragma once
// Jobs: work that needs LibTorch is done by `modelhop-worker job`, a process of its own: a JSON request on its standard
// input, JSON lines on its standard output.
#include <functional>
#include <string>

#include "cli/json_input.h"

namespace modelhop::cli {

// `program`, or modelhop-worker beside this executable where it is empty.
std::string worker_program(const std::string& program);

// Runs the job to its end; `on_line` is called for each line of its output. Not ok: the program is missing, or it
// failed (its own words are on stderr), or it wrote no JSON.
Status run_job(const std::string& program, const Json& request, const std::function<Status(const Json&)>& on_line);

}  // namespace modelhop::cli
