#include "scheduler/server/requests.h"

#include <charconv>

#include "common/base/limits.h"
#include "common/base/version.h"
#include "common/state/state_file.h"
#include "scheduler/api/find.h"
#include "scheduler/api/json_text.h"
#include "scheduler/api/views.h"
#include "scheduler/server/control_requests.h"
#include "scheduler/server/garbage_requests.h"
#include "scheduler/server/growth_requests.h"
#include "scheduler/server/spec_requests.h"
#include "scheduler/server/store_view.h"

namespace modelhop {
namespace {

constexpr std::string_view kRoot = "/api/v1/";

ApiContext live_context(Loop& loop) {
  return {monotonic_now(), wall_now(), true, kModelhopVersion, true, &loop.figures_on_loop()};
}

void on_side(const Backends& backends, const Done& done, std::function<void()> task) {
  if (!backends.side.post(std::move(task))) done(busy());
}

void on_loop(const Backends& backends, const Done& done, Loop::Task task) {
  if (!backends.loop.post(std::move(task))) done(stopping());
}

// What the state alone answers. It leaves when all that it shows is durable.
void read(const Backends& backends, ApiRequest request, const Done& done) {
  on_loop(backends, done, [request = std::move(request), done](Loop& loop) {
    loop.when_durable_on_loop(
        [done, response = answer(loop.core_on_loop(), live_context(loop), request)] { done(response); });
  });
}

void create_experiment(const Backends& backends, ApiRequest request, const Done& done) {
  on_side(backends, done, [backends, request = std::move(request), done] {
    CheckedSpec checked = check_spec(backends.store, request.body);
    if (checked.refused) return done(*checked.refused);
    on_loop(backends, done, [request, checked = std::move(checked), done](Loop& loop) {
      const RequestId id = loop.expect_reply_on_loop([checked, done](const Reply& reply) {
        if (!reply.status.ok()) return done(problem_of(reply.status));
        done({201, "application/json",
              dump({{"id", to_string(reply.experiment)},
                    {"name", checked.parsed.spec->name},
                    {"warnings", problems_json(checked.parsed.problems)}})});
      });
      loop.step_on_loop(
          CreateExperiment{id, request.idempotency_key, request.body, checked.parsed.spec, checked.dataset});
    });
  });
}

// The store says which data sets there are; the core, who holds them.
void datasets(const Backends& backends, const std::string& name, const Done& done) {
  on_side(backends, done, [backends, name, done] {
    std::vector<DatasetRegistered> found;
    const std::vector<std::string> names =
        name.empty() ? dataset_names(backends.store) : std::vector<std::string>{name};
    for (const std::string& one : names) {
      const Result<Manifest> manifest = read_manifest(backends.store, one);
      if (manifest.ok()) {
        found.push_back(registered(*manifest));
      } else if (!name.empty()) {
        return done(problem_of(manifest.status()));
      }
    }
    on_loop(backends, done, [found = std::move(found), name, done](Loop& loop) {
      const State& state = loop.core_on_loop().state();
      Json items = Json::array();
      for (const DatasetRegistered& info : found) {
        const auto row = state.datasets.find(info.name);
        const bool known = row != state.datasets.end() && row->second.info.identity == info.identity;
        items.push_back(dataset_json(state, known ? row->second : DatasetRow{info, {}}));
      }
      if (!name.empty()) return done({200, "application/json", dump(items[0])});
      done({200, "application/json", dump({{"items", std::move(items)}, {"next", nullptr}})});
    });
  });
}

void content(const Backends& backends, const std::string& id, const Done& done) {
  on_loop(backends, done, [backends, id, done](Loop& loop) {
    const State& state = loop.core_on_loop().state();
    const auto [row, owner, found] = find_checkpoint(state, id);
    if (found == nullptr) return done(problem(404, "not found", "no checkpoint \"" + id + "\" here"));
    if (!is_durable(*owner, *found)) {
      return done(problem(409, "conflict", id + " is not in the store yet: its worker is saving it; try again"));
    }
    const std::string blob = state_blob_name(*found, {state.cluster, row->partitions});
    if (found->size_bytes > backends.content_bytes_max) {
      return done(problem(413, "too large",
                          id + " is " + std::to_string(found->size_bytes) + " bytes, and HTTP gives at most " +
                              std::to_string(backends.content_bytes_max) + "; copy it from the store: " + blob));
    }
    on_side(backends, done, [backends, blob, done, size = found->size_bytes] {
      const Result<std::vector<std::uint8_t>> bytes = backends.store.read(blob, size);
      if (!bytes.ok()) return done(problem_of(bytes.status()));
      done({200, "application/octet-stream", std::string(bytes->begin(), bytes->end())});
    });
  });
}

// A page of an experiment's records after a seq. Read on the side thread: the older ones lie in the archive.
void records(const Backends& backends, const std::string& name, const ApiRequest& request, const Done& done) {
  const auto number = [&](const char* key, std::uint64_t otherwise) -> std::optional<std::uint64_t> {
    const auto given = request.query.find(key);
    if (given == request.query.end()) return otherwise;
    std::uint64_t value = 0;
    const char* end = given->second.data() + given->second.size();
    const auto parsed = std::from_chars(given->second.data(), end, value);
    return parsed.ec == std::errc() && parsed.ptr == end ? std::optional(value) : std::nullopt;
  };
  const auto after = number("after", 0), limit = number("limit", 100);
  if (!after || !limit || *limit == 0 || *limit > 1'000) {
    return done(problem(400, "bad request", "after is a record's seq, and limit a number from 1 to 1000"));
  }
  on_loop(backends, done, [backends, name, done, after = *after, limit = *limit](Loop& loop) {
    const ExperimentRow* row = find_experiment(loop.core_on_loop().state(), name);
    if (row == nullptr) return done(problem(404, "not found", "no experiment \"" + name + "\" here"));
    on_side(backends, done, [backends, done, after, limit, id = row->id] {
      if (const std::uint64_t first = backends.service->gone_before(after, id); first != 0) {
        return done(problem(410, "gone",
                            "records before " + std::to_string(first) +
                                " are kept no longer; ask for the experiment as it is, and go on with ?after=" +
                                std::to_string(first - 1)));
      }
      std::string body = "{\"items\":[", next = "null";
      for (const RecordLine& line : backends.service->records(after, id, limit)) {
        body += (next == "null" ? "" : ",") + line.json;
        next = std::to_string(line.seq);
      }
      done({200, "application/json", body + "],\"next\":" + next + "}"});
    });
  });
}

// Splits "NAME:verb". False: there is no verb.
bool split_verb(const std::string& part, std::string& name, std::string& verb) {
  const std::size_t colon = part.rfind(':');
  if (colon == std::string::npos) return false;
  name = part.substr(0, colon);
  verb = part.substr(colon + 1);
  return true;
}

}  // namespace

ApiResponse busy() { return problem(503, "busy", "too many requests wait; try again in a moment"); }

ApiResponse stopping() { return problem(503, "stopping", "the service is about to end"); }

void handle_request(Backends backends, ApiRequest request, const Done& done) {
  const std::string path = request.path.starts_with(kRoot) ? request.path.substr(kRoot.size()) : "";
  const std::size_t slash = path.find('/');
  const std::string first = path.substr(0, slash);
  const std::string raw = slash == std::string::npos ? "" : path.substr(slash + 1);
  const std::string second = percent_decode(raw).value_or(raw);
  std::string name, verb;
  if (request.method == "GET") {
    if (first == "datasets" && second.find('/') == std::string::npos) return datasets(backends, second, done);
    constexpr std::string_view kRecords = "/records";
    if (first == "experiments" && second.ends_with(kRecords)) {
      return records(backends, second.substr(0, second.size() - kRecords.size()), request, done);
    }
    constexpr std::string_view kContent = "/content";
    if (first == "checkpoints" && second.ends_with(kContent)) {
      return content(backends, second.substr(0, second.size() - kContent.size()), done);
    }
  }
  if (request.method == "POST") {
    if (request.idempotency_key.size() > kNameBytesMax) {
      return done(problem(400, "bad request", "Idempotency-Key: at most " + std::to_string(kNameBytesMax) + " bytes"));
    }
    if (path == "experiments") return create_experiment(backends, std::move(request), done);
    if (path == "checkpoints:gc") return collect_garbage(backends, request.body, done);
    if (path == "specs:validate" || path == "specs:preview") {
      return on_side(backends, done,
                     [backends, done, body = std::move(request.body), preview = path == "specs:preview"] {
                       done(preview ? preview_spec(backends.store, body) : validate_spec(backends.store, body));
                     });
    }
    const bool has_verbs = first == "experiments" || first == "trials" || first == "workers";
    if (has_verbs && split_verb(second, name, verb)) {
      if (first == "trials" && verb == "fork") return fork_trial(backends, name, request, done);
      if (first == "experiments" && verb == "extend") {
        return extend_experiment(backends, name, request.body, done);
      }
      return control_request(backends, first, name, verb, done);
    }
  }
  if (request.method == "PATCH" && first == "experiments" && !second.empty() && second.find('/') == std::string::npos) {
    return change_experiment(backends, second, request.body, done);
  }
  if (request.method == "DELETE" && first == "experiments" && !second.empty() &&
      second.find('/') == std::string::npos) {
    return control_request(backends, first, second, "delete", done);
  }
  read(backends, std::move(request), done);
}

}  // namespace modelhop
