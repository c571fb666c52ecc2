#include "cli/spec_input.h"

#include <fmt/format.h>

#include "cli/json_input.h"
#include "common/base/limits.h"
#include "scheduler/api/json_text.h"

namespace modelhop::cli {
namespace {

Status set_path(Json& spec, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == 0 || equals == std::string::npos) return invalid("--set " + assignment + ": write it as path=value");
  const std::string path = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  Json* at = &spec;
  unsigned depth = 0;
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t end = std::min(path.find('.', from), path.size());
    const std::string key = path.substr(from, end - from);
    if (key.empty() || ++depth > kJsonDepthMax) return invalid("--set " + path + ": no path of dotted keys");
    if (at->is_array()) {
      const auto index = parse_u64(key);
      if (!index || *index >= at->size()) {
        return invalid("--set " + path + ": \"" + key + "\" must be an index below " + std::to_string(at->size()));
      }
      at = &(*at)[*index];
    } else if (at->is_object() || at->is_null()) {
      at = &(*at)[key];
    } else {
      return invalid("--set " + path + ": nothing can stand below \"" + path.substr(0, from == 0 ? 0 : from - 1) +
                     "\"");
    }
    from = end + 1;
  }
  auto value = parse_json(text, "value", kJsonDepthMax);
  *at = value.ok() ? std::move(*value) : Json(text);
  return {};
}

}  // namespace

Result<std::string> read_spec(const std::string& path, const std::vector<std::string>& sets) {
  ASSIGN_OR_RETURN(std::string text, read_file(path, kSpecBytesMax));
  if (sets.empty()) return text;
  ASSIGN_OR_RETURN(Json spec, parse_json(text, path, kJsonDepthMax));
  if (!spec.is_object()) return invalid(path + ": a spec is a JSON object");
  for (const auto& assignment : sets) RETURN_IF_ERROR(set_path(spec, assignment));
  return dump(spec);
}

void print_problems(const std::string& file, const std::vector<Problem>& problems) {
  const std::string text = format_problems(file, problems);
  fmt::print(stderr, "{}{}", text, text.empty() || text.ends_with('\n') ? "" : "\n");
}

}  // namespace modelhop::cli
