// modelhop exp rerun: the same spec, seed and data once more, and whether the same trials, metrics and bits come out.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/profile.h"
#include "cli/rerun_compare.h"
#include "cli/spec_check.h"
#include "cli/spec_input.h"
#include "cli/view.h"
#include "cli/watch.h"
#include "common/client/http_client.h"
#include "scheduler/api/json_text.h"
#include "scheduler/server/local_cluster.h"

namespace modelhop::cli {
namespace {

constexpr std::size_t kDifferencesShown = 20;

struct RerunOptions {
  std::string experiment, name;
  ClusterConfig cluster;
  Option workers_given, threads_given, device_given;
};

// What is run again, and the spec to submit for it.
struct Original {
  Json experiment;
  std::string id, spec;
};

Result<Original> original_of(const Cli& cli, Backend& backend, const RerunOptions& options) {
  Original out;
  ASSIGN_OR_RETURN(out.experiment, find_experiment(backend, options.experiment, cli.quiet));
  out.id = text_of(out.experiment, "id");
  const std::string level = text_of(out.experiment, "reproducibility"), state = text_of(out.experiment, "state");
  if (level != "rerun") {
    return conflict(out.id + " promises `" + level +
                    "` (execution.reproducibility of its spec), not that another run gives the same trials; see "
                    "`modelhop exp verify`");
  }
  if (state != "COMPLETED") {
    return conflict(out.id + " is " + state + ": only one that ended COMPLETED can be compared with another run");
  }
  ASSIGN_OR_RETURN(const ApiResponse sent,
                   backend.ask({"GET", experiment_path(out.id) + "/spec", {{"as", "sent"}}, "", ""}));
  RETURN_IF_ERROR(status_of(sent));
  ASSIGN_OR_RETURN(Json spec, parse_json(sent.body, out.id + "'s spec"));
  if (!spec.is_object()) return corrupt(out.id + "'s spec is no JSON object");
  // Extended, it is compared with one that had its limits from the start.
  ASSIGN_OR_RETURN(const Json now, get(backend, experiment_path(out.id) + "/spec", {{"as", "expanded"}}));
  if (now.contains("max_trials")) spec["max_trials"] = now["max_trials"];
  if (spec.contains("training")) spec["training"]["epochs"] = member(member(now, "training"), "epochs");
  ASSIGN_OR_RETURN(const auto trials, get_all(backend, experiment_path(out.id) + "/trials"));
  for (const Json& trial : trials) {
    if (text_of(trial, "source").empty()) continue;
    return conflict(text_of(trial, "id") + " is a " + text_of(trial, "origin") +
                    ", asked for by hand, and another run has none; `modelhop exp verify` trains it again");
  }
  spec["name"] = options.name.empty() ? text_of(out.experiment, "name") + "-rerun" : options.name;
  out.spec = dump(spec);
  return out;
}

// `now`: the data set's identity in the store; empty: it is gone.
Status same_data(const Original& original, const std::string& now) {
  const std::string then = text_of(original.experiment, "dataset_identity");
  if (now == then) return {};
  const std::string name = text_of(original.experiment, "dataset");
  if (now.empty()) return conflict(original.id + " ran on data set \"" + name + "\" (" + then + "), which is gone");
  return conflict(original.id + " ran on data set \"" + name + "\" as " + then + ", and the store has it as " + now +
                  ": other data, other bits");
}

Result<std::vector<Json>> all_records(Backend& backend, const std::string& id) {
  std::vector<Json> out;
  std::map<std::string, std::string> query{{"limit", "1000"}, {"after", "0"}};
  for (;;) {
    ASSIGN_OR_RETURN(const Json page, get(backend, experiment_path(id) + "/records", query));
    const Json& items = items_of(page);
    out.insert(out.end(), items.begin(), items.end());
    if (!member(page, "next").is_number() || items.empty()) return out;
    query["after"] = std::to_string(count_of(page, "next"));
  }
}

Result<RunOfSpec> run_of(Backend& backend, const std::string& id) {
  RunOfSpec out;
  ASSIGN_OR_RETURN(out.trials, get_all(backend, experiment_path(id) + "/trials"));
  ASSIGN_OR_RETURN(
      const ApiResponse points,
      backend.ask({"GET", experiment_path(id) + "/export", {{"format", "jsonl"}, {"rows", "points"}}, "", ""}));
  RETURN_IF_ERROR(status_of(points));
  for (std::size_t from = 0; from < points.body.size();) {
    const std::size_t end = std::min(points.body.find('\n', from), points.body.size());
    ASSIGN_OR_RETURN(out.points.emplace_back(),
                     parse_json(std::string_view(points.body).substr(from, end - from), id + "'s milestones"));
    from = end + 1;
  }
  return out;
}

void print_comparison(Format format, const Original& original, const Json& again, const RunComparison& found,
                      bool other_profile) {
  const std::string id = text_of(again, "id");
  const auto trial_id = [&](std::uint64_t trial) { return original.id + "." + std::to_string(trial); };
  std::vector<Json> rows;
  for (const RunDifference& one : found.differences) {
    if (rows.size() == kDifferencesShown) break;
    rows.push_back({{"trial", trial_id(one.trial)},
                    {"at", one.at},
                    {"what", one.what},
                    {"first", one.first},
                    {"again", one.again}});
  }
  Json left_out = Json::array();
  for (const auto& [trial, why] : found.left_out) left_out.push_back({{"trial", trial_id(trial)}, {"why", why}});
  if (format == Format::kJson) {
    print_json({{"experiment", original.id},
                {"rerun", id},
                {"equal", found.differ == 0},
                {"trials", found.trials},
                {"milestones", found.milestones},
                {"states", found.states},
                {"left_out", std::move(left_out)},
                {"differences", found.differ},
                {"first_differences", rows},
                {"same_profile", !other_profile}});
    return;
  }
  if (format == Format::kCsv || !rows.empty()) {
    // Whole values: a short one may look equal.
    const auto whole = [](const char* key) {
      return [key](const Json& row) {
        const Json& value = member(row, key);
        return value.is_string() || value.is_null() ? value : Json(value.dump());
      };
    };
    print_items(format,
                {key_column("trial", "trial"),
                 key_column("at", "at"),
                 key_column("what", "what"),
                 {original.id, whole("first")},
                 {id, whole("again")}},
                rows);
  }
  if (format == Format::kCsv) return;
  if (found.differ > rows.size()) fmt::print("and {} more\n", found.differ - rows.size());
  for (const Json& one : left_out) fmt::print("left out  {}: {}\n", text_of(one, "trial"), text_of(one, "why"));
  fmt::print("{} and {}: {} trials, {} milestones, {} state hashes compared{}: {}\n", original.id, id, found.trials,
             found.milestones, found.states,
             found.left_out.empty() ? "" : fmt::format(", {} left out", found.left_out.size()),
             found.differ == 0 ? "equal" : fmt::format("DIFFERENT in {}", found.differ));
}

// Both runs have ended. Exit 0: equal.
Result<int> compare(const Cli& cli, Backend& backend, const Original& original, const Json& again) {
  const std::string id = text_of(again, "id"), state = text_of(again, "state");
  if (state != "COMPLETED") {
    const std::string reason = text_of(again, "reason");
    cli.note(fmt::format("{} ended {}{}, and {} COMPLETED: there is nothing to compare", id, state,
                         reason.empty() ? "" : " (" + printable(reason) + ")", original.id));
    return kFailedExit;
  }
  std::map<std::uint64_t, std::string> left_out;
  if (const auto records = all_records(backend, original.id); records.ok()) {
    left_out = touched_by_hand(*records);
  } else {
    cli.note(original.id + "'s records cannot be read, so trials that somebody stopped or tried again are compared: " +
             printable(records.status().message()));
  }
  ASSIGN_OR_RETURN(const RunOfSpec first, run_of(backend, original.id));
  ASSIGN_OR_RETURN(const RunOfSpec second, run_of(backend, id));
  const RunComparison found = compare_runs(first, second, left_out);
  const bool other_profile = text_of(original.experiment, "profile") != text_of(again, "profile");
  print_comparison(cli.format(), original, again, found, other_profile);
  std::fflush(stdout);
  if (other_profile) {
    cli.note(
        fmt::format("note: the workers here are of another numeric profile ({}) than {}'s ({}): bits may differ "
                    "for that alone",
                    text_of(again, "profile"), original.id, text_of(original.experiment, "profile")));
  }
  return found.differ == 0 ? kOkExit : kFailedExit;
}

Result<Json> announced(const Cli& cli, Backend& backend, const std::string& id, const Original& original) {
  ASSIGN_OR_RETURN(Json again, get(backend, experiment_path(id)));
  cli.note(fmt::format("{} ({}): {} once more, {} trials, {} visits", id, printable(text_of(again, "name")),
                       original.id, count_of(again, "trials_planned"), count_of(again, "visits_planned")));
  return again;
}

Result<int> rerun_there(const Cli& cli, Backend& backend, const RerunOptions& options) {
  for (const Option* given : {&options.workers_given, &options.threads_given, &options.device_given}) {
    if (given->given()) {
      return invalid(
          "exp rerun: the server's own workers train; --workers, --threads and --device go with --state-dir");
    }
  }
  ASSIGN_OR_RETURN(const Original original, original_of(cli, backend, options));
  const auto data = get(backend, "/api/v1/datasets/" + percent_encode(text_of(original.experiment, "dataset")));
  if (!data.ok() && data.status().code() != Code::kNotFound) return data.status();
  RETURN_IF_ERROR(same_data(original, data.ok() ? text_of(*data, "identity") : ""));
  Interrupts::install();
  ASSIGN_OR_RETURN(const ApiResponse response, backend.ask({"POST", "/api/v1/experiments", {}, original.spec, ""}));
  const auto answer = parse_json(response.body, "the answer of " + backend.describe());
  if (answer.ok() && response.status == 422) print_problems(original.id + "'s spec", problems_of(*answer));
  RETURN_IF_ERROR(status_of(response));
  RETURN_IF_ERROR(answer.status());
  const std::string id = text_of(*answer, "id");
  ASSIGN_OR_RETURN(const Json begun, announced(cli, backend, id, original));
  ASSIGN_OR_RETURN(const auto ended, follow_there(cli, backend, begun));
  if (!ended) {
    cli.note(fmt::format("{} goes on; `modelhop exp cancel {}` ends it", id, id));
    return kInterruptExit;
  }
  return compare(cli, backend, original, *ended);
}

// As many threads as the experiment's workers had, unless they are said: bits depend on them.
Result<unsigned> threads_for(const Cli& cli, Backend& past, const Original& original, const RerunOptions& options) {
  if (options.threads_given.given()) return options.cluster.threads;
  ASSIGN_OR_RETURN(const auto workers, get_all(past, "/api/v1/workers"));
  const auto threads = threads_of_profile(original.experiment, {}, workers);
  if (threads.ok()) return static_cast<unsigned>(*threads);
  cli.note("one thread a worker is taken: " + threads.status().message());
  return 1u;
}

Result<int> rerun_here(const Cli& cli, Backend& past, RerunOptions options) {
  ASSIGN_OR_RETURN(const Original original, original_of(cli, past, options));
  const CheckedSpec checked = check_spec_here(cli.settings.store(), original.spec);
  RETURN_IF_ERROR(same_data(original, checked.data ? to_string(identity(*checked.data)) : ""));
  if (!checked.parsed.spec) {
    print_problems(original.id + "'s spec", checked.parsed.problems);
    return kUsageExit;
  }
  ASSIGN_OR_RETURN(options.cluster.threads, threads_for(cli, past, original, options));
  Interrupts::install();
  options.cluster.state_dir = cli.settings.value("state_dir");
  options.cluster.store = cli.settings.value("store");
  options.cluster.worker_program = cli.settings.value("worker");
  options.cluster.verbose = cli.verbose;
  ASSIGN_OR_RETURN(const auto cluster, LocalCluster::start(options.cluster));
  ASSIGN_OR_RETURN(const auto submitted, cluster->submit(original.spec));
  if (!submitted.experiment) {  // what changed since it was checked
    print_problems(original.id + "'s spec", submitted.problems);
    return kUsageExit;
  }
  const auto backend = open_service(cluster->service());
  ASSIGN_OR_RETURN(const Json begun, announced(cli, *backend, to_string(submitted.experiment), original));
  cli.note((submitted.resumed ? "going on with it on " : "on ") + workers_text(options.cluster.workers));
  ASSIGN_OR_RETURN(const auto ended,
                   follow_here(cli, *cluster, *backend, begun, submitted.resumed ? count_of(begun, "seq") : 0));
  if (!ended) return kInterruptExit;
  Result<int> done = compare(cli, *backend, original, *ended);
  cluster->drain();
  if (!cluster->wait_stopped(10'000)) cluster->kill();
  return done;
}

Result<int> rerun(const Cli& cli, const RerunOptions& options) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  return backend->live() ? rerun_there(cli, *backend, options) : rerun_here(cli, *backend, options);
}

}  // namespace

void add_experiment_rerun(CLI::App* exp, Cli& cli) {
  const auto options = make_options<RerunOptions>();
  CLI::App* command = add_command(
      exp, "rerun",
      "Run an experiment's spec once more, and compare every trial, metric and state hash (exit 1: one differs)",
      "  modelhop exp rerun e7 --workers 4 --state-dir D   scheduler and 4 workers here, on that directory\n"
      "  modelhop exp rerun e7 --server http://host:8080   on the server's workers\n"
      "The new experiment stays. Exit 5: e7 does not promise `rerun`, has not completed, or its data changed.");
  option(command, "experiment", options->experiment, "Experiment: e7 or its name").required();
  option(command, "--name", options->name, "Name of the new experiment (default: the old one's and -rerun)");
  options->workers_given =
      option(command, "-n,--workers", options->cluster.workers, "With --state-dir: worker processes (default 1)")
          .between(1u, kLocalWorkersMax);
  options->device_given =
      option(command, "--device", options->cluster.device, "With --state-dir: their device: cpu").one_of({"cpu"});
  options->threads_given = option(command, "--threads", options->cluster.threads,
                                  "With --state-dir: their threads (default: as the experiment's workers had)")
                               .between(1, 1024);
  on_run(command, cli, [&cli, options] { return rerun(cli, *options); });
}

}  // namespace modelhop::cli
