#pragma once
// A spec as a command takes it: a file, changed by --set path=value.
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/spec/spec.h"

namespace modelhop::cli {

// The file's text, or its JSON with every "path=value" put in: dotted path, array index allowed; the value is JSON, or
// a string where it is none.
Result<std::string> read_spec(const std::string& path, const std::vector<std::string>& sets);

// Warnings and errors, one a line, on stderr.
void print_problems(const std::string& file, const std::vector<Problem>& problems);

}  // namespace modelhop::cli
