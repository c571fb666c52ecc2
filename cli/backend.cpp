#include "cli/backend.h"

#include <fmt/format.h>

#include "common/client/http_client.h"

namespace modelhop::cli {

std::vector<Problem> problems_of(const Json& answer) {
  std::vector<Problem> out;
  for (const char* key : {"errors", "warnings"}) {
    const Json& list = member(answer, key);
    for (const Json& problem : list.is_array() ? list : Json::array()) {
      const Json& warning = member(problem, "warning");
      out.push_back(
          {text_of(problem, "pointer"), text_of(problem, "detail"), warning.is_boolean() && warning.get<bool>()});
    }
  }
  return out;
}

Status status_of(const ApiResponse& response) {
  if (response.status < 400) return {};
  std::string detail;
  if (const auto json = parse_json(response.body, "answer"); json.ok()) {
    detail = text_of(*json, "detail");
  }
  if (detail.empty()) detail = "HTTP " + std::to_string(response.status);
  switch (response.status) {
    case 404:
      return not_found(detail);
    case 401:
    case 403:
    case 405:
    case 409:
      return conflict(detail);
    default:
      if (response.status < 500) return invalid(detail);
      return {response.status == 503 || response.status == 504 ? Code::kUnreachable : Code::kInternal, detail};
  }
}

Result<Json> send(Backend& backend, const ApiRequest& request) {
  ASSIGN_OR_RETURN(const ApiResponse response, backend.ask(request));
  RETURN_IF_ERROR(status_of(response));
  if (response.body.empty()) return Json::object();
  return parse_json(response.body, "the answer of " + backend.describe());
}

Result<Json> get(Backend& backend, const std::string& path, const std::map<std::string, std::string>& query) {
  return send(backend, {"GET", path, query, "", ""});
}

Result<std::vector<Json>> get_all(Backend& backend, const std::string& path, std::map<std::string, std::string> query,
                                  std::size_t limit) {
  std::vector<Json> out;
  while (out.size() < limit) {
    query["limit"] = std::to_string(std::min<std::size_t>(limit - out.size(), 1000));
    ASSIGN_OR_RETURN(const Json page, get(backend, path, query));
    const Json& items = items_of(page);
    out.insert(out.end(), items.begin(), items.end());
    const std::string next = text_of(page, "next");
    if (next.empty() || items.empty()) break;
    query["cursor"] = next;
  }
  return out;
}

std::string experiment_path(const std::string& id) { return "/api/v1/experiments/" + percent_encode(id); }

Result<Json> find_experiment(Backend& backend, const std::string& name, bool quiet) {
  std::string wanted = name;
  if (wanted.empty()) {
    ASSIGN_OR_RETURN(const Json page, get(backend, "/api/v1/experiments", {{"limit", "1"}}));
    if (items_of(page).empty()) return not_found("no experiment in " + backend.describe());
    wanted = text_of(items_of(page)[0], "id");
    if (!quiet) fmt::print(stderr, "{} ({}), the newest experiment\n", wanted, text_of(items_of(page)[0], "name"));
  }
  ASSIGN_OR_RETURN(Json found, get(backend, experiment_path(wanted)));
  if (!quiet && text_of(found, "id") != wanted) {
    fmt::print(stderr, "{} is {}, the newest of that name\n", wanted, text_of(found, "id"));
  }
  return found;
}

Result<std::unique_ptr<Backend>> open_backend(const Settings& settings) {
  const Setting& server = settings.get("server");
  const Setting& state_dir = settings.get("state_dir");
  if (server.origin == Origin::kFlag && state_dir.origin == Origin::kFlag) {
    return invalid("--server asks a running scheduler, --state-dir reads a stopped one's directory; give one of them");
  }
  return state_dir.origin > server.origin ? open_state_dir(state_dir.value, settings.store()) : open_http(server.value);
}

}  // namespace modelhop::cli
