// Routes: a path to the view that answers it.
#include <algorithm>
#include <cmath>

#include "scheduler/api/api.h"
#include "scheduler/api/export.h"
#include "scheduler/api/find.h"
#include "scheduler/api/page.h"
#include "scheduler/api/prometheus.h"
#include "scheduler/api/views.h"

namespace modelhop {
namespace {

struct Call {
  ViewContext view;
  const ApiRequest& request;
  const State& state() const { return view.state(); }
  // Empty: not given.
  std::string query(const std::string& key) const {
    const auto found = request.query.find(key);
    return found == request.query.end() ? "" : found->second;
  }
};

ApiResponse ok(const Json& json) { return {200, "application/json", dump(json)}; }

ApiResponse no_such(const std::string& what, const std::string& name) {
  return problem(404, "not found", "no " + what + " \"" + name + "\" here");
}

ApiResponse bad_query(const std::string& key, const std::string& why) {
  return problem(400, "bad request", "query \"" + key + "\": " + why);
}

struct Limits {
  std::size_t limit{kPageDefault};
  std::optional<PageKey> after;
  std::optional<ApiResponse> refused;
};

Limits limits_of(const Call& call) {
  Limits out;
  if (const std::string text = call.query("limit"); !text.empty()) {
    const auto limit = parse_u64(text);
    if (!limit || *limit < 1 || *limit > kPageMax) {
      out.refused = bad_query("limit", "a number from 1 to " + std::to_string(kPageMax) + ", got " + text);
      return out;
    }
    out.limit = *limit;
  }
  if (const std::string text = call.query("cursor"); !text.empty()) {
    out.after = parse_cursor(text);
    if (!out.after)
      out.refused = bad_query("cursor", "none that this API gave out; leave it out to start at the first page");
  }
  return out;
}

ApiResponse page_response(const Page& page, Json items) {
  return ok({{"items", std::move(items)}, {"next", page.next ? Json(*page.next) : Json(nullptr)}});
}

ApiResponse experiments(const Call& call) {
  const Limits limits = limits_of(call);
  if (limits.refused) return *limits.refused;
  std::vector<PageItem> rows;
  for (const ExperimentRow& row : call.state().experiments) {
    if (row.state == ExperimentState::kDeleted) continue;
    if (const std::string name = call.query("name"); !name.empty() && row.name != name) continue;
    if (const std::string state = call.query("state"); !state.empty() && state != to_string(row.state)) continue;
    rows.push_back({{0, -static_cast<double>(row.id.value), "", row.id.value}, &row});  // newest first
  }
  const Page page = page_of(std::move(rows), limits.after, limits.limit);
  Json items = Json::array();
  for (const PageItem& item : page.items)
    items.push_back(experiment_summary(call.view, *static_cast<const ExperimentRow*>(item.row)));
  return page_response(page, std::move(items));
}

// "value" puts the best first, whatever the goal; "-value" the worst. Trials without a value come last either way.
std::optional<PageKey> sort_key(const std::string& sort, const ExperimentRow& experiment, const TrialRow& trial) {
  const bool down = sort.starts_with('-');
  const std::string by = down ? sort.substr(1) : sort;
  PageKey key{0, 0, "", trial.id.value};
  if (by.empty() || by == "id") {
    key.number = static_cast<double>(trial.id.value);
  } else if (by == "value") {
    const Milestone* counted = experiment.spec ? counted_milestone(*experiment.spec, trial) : nullptr;
    key.rank = counted == nullptr ? 2 : std::isnan(counted->value) ? 1 : 0;
    if (key.rank == 0) key.number = experiment.spec->maximize ? -counted->value : counted->value;
  } else if (by == "epochs" || by == "visits") {
    key.number = static_cast<double>(trial.visits);
  } else if (by == "state") {
    key.number = static_cast<double>(trial.state);
  } else {
    return std::nullopt;
  }
  if (down) key.number = -key.number;
  return key;
}

std::optional<std::vector<bool>> states_of(const std::string& text) {
  if (text.empty()) return std::vector<bool>(8, true);
  std::vector<bool> wanted(8, false);
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find(',', from), text.size());
    bool found = false;
    for (std::size_t s = 0; s < wanted.size(); ++s) {
      if (text.substr(from, end - from) != to_string(static_cast<TrialState>(s))) continue;
      wanted[s] = found = true;
    }
    if (!found) return std::nullopt;
    from = end + 1;
  }
  return wanted;
}

ApiResponse trials(const Call& call, const ExperimentRow& experiment) {
  const Limits limits = limits_of(call);
  if (limits.refused) return *limits.refused;
  const auto wanted = states_of(call.query("state"));
  if (!wanted) {
    return bad_query("state",
                     "of PENDING, RUNNING, PAUSED, COMPLETED, STOPPED, FAILED, CANCELED, INVALID, with commas between");
  }
  std::vector<PageItem> rows;
  for (const TrialRow& trial : experiment.trials) {
    if (!(*wanted)[static_cast<std::size_t>(trial.state)]) continue;
    const auto key = sort_key(call.query("sort"), experiment, trial);
    if (!key) return bad_query("sort", "one of id, value, epochs, state, or -id ... for the other way round");
    rows.push_back({*key, &trial});
  }
  const Page page = page_of(std::move(rows), limits.after, limits.limit);
  Json items = Json::array();
  for (const PageItem& item : page.items) {
    items.push_back(trial_summary(call.state(), experiment, *static_cast<const TrialRow*>(item.row)));
  }
  return page_response(page, std::move(items));
}

ApiResponse gantt(const Call& call, const ExperimentRow& experiment) {
  Limits limits = limits_of(call);
  if (limits.refused) return *limits.refused;
  if (call.query("limit").empty()) limits.limit = kPageMax;
  WallMs from{}, to{std::numeric_limits<std::int64_t>::max()};
  for (auto [key, out] : {std::pair{"from", &from}, std::pair{"to", &to}}) {
    if (const std::string text = call.query(key); !text.empty()) {
      const auto time = parse_time(text);
      if (!time) return bad_query(key, "milliseconds since 1970, or a time like 2026-11-21T08:41:00Z");
      *out = *time;
    }
  }
  std::vector<PageItem> rows;
  for (std::size_t i = 0; i < experiment.leases.size(); ++i) {
    const LeaseRow& lease = experiment.leases[i];
    const bool open = lease.outcome == LeaseOutcome::kOpen;
    if (lease.from >= to || (!open && lease.to < from)) continue;
    rows.push_back({{0, static_cast<double>(i), "", i}, &lease});
  }
  const Page page = page_of(std::move(rows), limits.after, limits.limit);
  Json items = Json::array();
  for (const PageItem& item : page.items) {
    items.push_back(bar_json(call.state(), experiment, *static_cast<const LeaseRow*>(item.row)));
  }
  return page_response(page, std::move(items));
}

ApiResponse export_response(const Call& call, const ExperimentRow& experiment) {
  const std::string format = call.query("format"), rows = call.query("rows");
  if (!format.empty() && format != "csv" && format != "jsonl") return bad_query("format", "csv or jsonl");
  if (!rows.empty() && rows != "trials" && rows != "units" && rows != "points") {
    return bad_query("rows", "trials, units or points");
  }
  const bool jsonl = format == "jsonl";
  return {200, jsonl ? "application/jsonl" : "text/csv; charset=utf-8",
          export_rows(call.state(), experiment,
                      rows == "units"    ? ExportRows::kUnits
                      : rows == "points" ? ExportRows::kPoints
                                         : ExportRows::kTrials,
                      jsonl ? ExportFormat::kJsonl : ExportFormat::kCsv)};
}

ApiResponse experiment_checkpoints(const State& state, const ExperimentRow& experiment) {
  Json items = Json::array();
  for (const TrialRow& trial : experiment.trials) {
    for (const StateRef* ref : states_of(trial)) items.push_back(checkpoint_json(state, experiment, trial, *ref));
  }
  return ok({{"items", std::move(items)}, {"next", nullptr}});
}

ApiResponse spec(const Call& call, const ExperimentRow& experiment) {
  const std::string as = call.query("as");
  if (!as.empty() && as != "sent" && as != "expanded") return bad_query("as", "sent or expanded");
  if (as == "sent" || !experiment.spec) return {200, "application/json", experiment.spec_sent};
  return {200, "application/json", experiment.spec->expanded};
}

ApiResponse experiment(const Call& call, const std::vector<std::string>& path) {
  const ExperimentRow* row = find_experiment(call.state(), path[1]);
  if (row == nullptr) return no_such("experiment", path[1]);
  if (path.size() == 2) return ok(experiment_view(call.view, *row));
  if (path.size() == 3) {
    if (path[2] == "trials") return trials(call, *row);
    if (path[2] == "best") return ok(best_view(call.view, *row));
    if (path[2] == "gantt") return gantt(call, *row);
    if (path[2] == "idle") return ok(idle_view(call.view, *row));
    if (path[2] == "why") return ok(why_view(call.view, *row));
    if (path[2] == "spec") return spec(call, *row);
    if (path[2] == "checkpoints") return experiment_checkpoints(call.state(), *row);
    if (path[2] == "export") return export_response(call, *row);
  }
  return no_such("page", call.request.path);
}

ApiResponse trial(const Call& call, const std::string& id) {
  const auto [row, found] = find_trial(call.state(), id);
  if (found == nullptr) return no_such("trial", id);
  return ok(trial_view(call.view, *row, *found));
}

ApiResponse checkpoint(const Call& call, const std::string& id) {
  const auto [row, owner, ref] = find_checkpoint(call.state(), id);
  if (ref == nullptr) {
    return owner == nullptr
               ? no_such("trial", id.substr(0, id.rfind('@')))
               : problem(404, "not found", "no checkpoint \"" + id + "\": its state is not in the store (any more)");
  }
  return ok(checkpoint_json(call.state(), *row, *owner, *ref));
}

ApiResponse workers(const Call& call) {
  Json items = Json::array();
  for (const WorkerRow& row : call.state().workers) {
    if (row.admission != Admission::kRemoved) items.push_back(worker_json(call.view, row));
  }
  return ok({{"items", std::move(items)}, {"next", nullptr}});
}

ApiResponse datasets(const Call& call) {
  Json items = Json::array();
  for (const auto& [name, row] : call.state().datasets) items.push_back(dataset_json(call.state(), row));
  return ok({{"items", std::move(items)}, {"next", nullptr}});
}

ApiResponse ready(const Call& call) {
  if (!call.view.api.live) return problem(503, "not ready", "this is a stopped service's directory");
  return ok({{"status", "ready"}});
}

// Parts between slashes, decoded; empty where an escape is bad.
std::optional<std::vector<std::string>> parts_of(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t end = std::min(path.find('/', from), path.size());
    if (end > from) {
      auto part = percent_decode(std::string_view(path).substr(from, end - from));
      if (!part) return std::nullopt;
      out.push_back(std::move(*part));
    }
    from = end + 1;
  }
  return out;
}

ApiResponse route(const Call& call, std::vector<std::string> path) {
  const std::string& first = path[0];
  const std::size_t size = path.size();
  if (size == 1 && first == "status") return ok(status_view(call.view));
  if (size == 1 && first == "healthz") return ok({{"status", "ok"}});
  if (size == 1 && first == "readyz") return ready(call);
  if (size == 1 && first == "metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8", prometheus_text(call.view.core, call.view.api)};
  }
  if (size == 1 && first == "experiments") return experiments(call);
  if (first == "experiments") return experiment(call, path);
  if (size == 2 && first == "trials") return trial(call, path[1]);
  if (size == 2 && first == "checkpoints") return checkpoint(call, path[1]);
  if (size == 1 && first == "workers") return workers(call);
  if (size == 2 && first == "workers") {
    const WorkerRow* row = find_worker(call.state(), path[1]);
    return row == nullptr ? no_such("worker", path[1]) : ok(worker_json(call.view, *row));
  }
  if (size == 1 && first == "datasets") return datasets(call);
  if (size == 2 && first == "datasets") {
    const auto row = call.state().datasets.find(path[1]);
    return row == call.state().datasets.end() ? no_such("data set", path[1])
                                              : ok(dataset_json(call.state(), row->second));
  }
  if (size == 2 && first == "schema" && path[1] == "spec.json") {
    return {200, "application/schema+json", std::string(spec_schema())};
  }
  return no_such("page", call.request.path);
}

}  // namespace

ApiResponse answer(const Core& core, const ApiContext& context, const ApiRequest& request) {
  auto path = parts_of(request.path);
  if (!path) return problem(400, "bad request", "the path holds a % that two hex digits do not follow");
  if (path->size() >= 2 && (*path)[0] == "api" && (*path)[1] == "v1") {
    path->erase(path->begin(), path->begin() + 2);
  } else if (path->size() != 1 || ((*path)[0] != "healthz" && (*path)[0] != "readyz" && (*path)[0] != "metrics")) {
    return no_such("page", request.path);  // the three that probes and scrapers expect at the root
  }
  if (path->empty()) return no_such("page", request.path);
  if (request.method != "GET") {
    return problem(405, "method not allowed", request.method + " " + request.path + ": only GET is answered here");
  }
  const Call call{{core, context}, request};
  return route(call, std::move(*path));
}

ApiResponse problem(int status, const std::string& title, const std::string& detail) {
  return {status, "application/problem+json",
          dump(Json{{"type", "about:blank"}, {"title", title}, {"status", status}, {"detail", detail}})};
}

}  // namespace modelhop
