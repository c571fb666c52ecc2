#pragma once
// Backend: who answers the API's requests. A scheduler over HTTP, a stopped service's directory (read-only), or the
// scheduler inside `modelhop run`. All three give the same bytes.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/json_input.h"
#include "cli/settings.h"
#include "scheduler/api/api.h"
#include "scheduler/server/service.h"

namespace modelhop::cli {

class Backend {
 public:
  virtual ~Backend() = default;
  // The answer, whatever its status; a Status where there is none.
  virtual Result<ApiResponse> ask(const ApiRequest& request) = 0;
  // Waits at most `timeout_ms` for records of `experiment` after `after`; none: nothing happened, or nothing ever will.
  virtual Result<std::vector<RecordLine>> follow(ExperimentId experiment, std::uint64_t after,
                                                 std::uint32_t timeout_ms) = 0;
  virtual bool live() const = 0;
  virtual std::string describe() const = 0;  // "http://127.0.0.1:8080", "state directory D"
};

Result<std::unique_ptr<Backend>> open_http(const std::string& server);
// `store`: for what only the store knows.
Result<std::unique_ptr<Backend>> open_state_dir(const std::string& state_dir, const std::string& store = "");
std::unique_ptr<Backend> open_service(Service& service);
// A core as the records up to some seq left it; times and states are shown as of then.
std::unique_ptr<Backend> open_past(std::unique_ptr<Core> core, const std::string& name);
// --server or --state-dir, whichever was given with more weight; the default is the server.
Result<std::unique_ptr<Backend>> open_backend(const Settings& settings);

// GET, parsed. A problem's detail becomes the Status: 404 kNotFound, 409 kConflict, 4xx kInvalid, 5xx kUnreachable.
Result<Json> get(Backend& backend, const std::string& path, const std::map<std::string, std::string>& query = {});
Result<Json> send(Backend& backend, const ApiRequest& request);
// All pages of a list, at most `limit` items.
Result<std::vector<Json>> get_all(Backend& backend, const std::string& path,
                                  std::map<std::string, std::string> query = {}, std::size_t limit = SIZE_MAX);
Status status_of(const ApiResponse& response);
// A spec's errors and warnings in an answer of POST /experiments or /specs:validate.
std::vector<Problem> problems_of(const Json& answer);

// The experiment a user named, or the newest; notes on stderr which one where the words leave it open.
Result<Json> find_experiment(Backend& backend, const std::string& name, bool quiet);
std::string experiment_path(const std::string& id);

}  // namespace modelhop::cli
