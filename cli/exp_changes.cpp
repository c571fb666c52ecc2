// modelhop exp create, pause, resume, stop, cancel, delete, set, wait: what changes experiments, and waiting for their
// end.
#include <fmt/format.h>

#include <thread>

#include "cli/cli.h"
#include "cli/spec_input.h"
#include "cli/watch.h"
#include "common/client/http_client.h"

namespace modelhop::cli {
namespace {

struct ChangeOptions {
  std::string experiment, file, key, name, notes;
  std::vector<std::string> labels;
  std::uint32_t priority{};
  std::vector<std::string> sets;
  bool wait{};
  double timeout_s{};
};

Result<int> wait_for(const Cli& cli, Backend& backend, const std::string& id, double timeout_s) {
  Interrupts::install();
  const Instant start = monotonic_now();
  for (;;) {
    ASSIGN_OR_RETURN(const Json experiment, get(backend, experiment_path(id)));
    if (has_ended(experiment)) {
      const std::string reason = text_of(experiment, "reason");
      cli.note(
          fmt::format("{} {}{}", id, text_of(experiment, "state"), reason.empty() ? "" : ": " + printable(reason)));
      return exit_of(experiment);
    }
    if (!backend.live()) return conflict(id + " has not ended, and nothing runs in " + backend.describe());
    if (Interrupts::count() > 0) return kInterruptExit;
    if (timeout_s > 0 && static_cast<double>(monotonic_now() - start) / 1e9 >= timeout_s) {
      cli.note(fmt::format("{} is still {} after {}", id, text_of(experiment, "state"), duration_text(timeout_s)));
      return kTimeoutExit;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

Result<int> create_experiment(const Cli& cli, const ChangeOptions& options) {
  ASSIGN_OR_RETURN(const std::string spec, read_spec(options.file, options.sets));
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const ApiResponse response, backend->ask({"POST", "/api/v1/experiments", {}, spec, options.key}));
  const auto answer = parse_json(response.body, "the answer of " + backend->describe());
  if (answer.ok()) {
    const auto problems = problems_of(*answer);
    print_problems(options.file, problems);
    if (response.status == 422 && !problems.empty()) return kUsageExit;
  }
  RETURN_IF_ERROR(status_of(response));
  RETURN_IF_ERROR(answer.status());
  const std::string id = text_of(*answer, "id");
  if (cli.format() == Format::kJson) {
    print_json(*answer);
  } else {
    fmt::print("{}\n", id);
    std::fflush(stdout);
  }
  if (options.wait) return wait_for(cli, *backend, id, options.timeout_s);
  cli.note(fmt::format("watch it with: modelhop exp watch {}", id));
  return kOkExit;
}

Result<int> change(const Cli& cli, const ChangeOptions& options, const std::string& method, const std::string& verb,
                   const std::string& done) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options.experiment, cli.quiet));
  const std::string id = text_of(experiment, "id");
  RETURN_IF_ERROR(send(*backend, {method, experiment_path(id) + verb, {}, "", ""}).status());
  cli.note(id + " " + done);
  return kOkExit;
}

struct ExtendOptions {
  std::string experiment, time_budget;
  std::uint64_t max_trials{}, epochs{};
};

void add_extend(CLI::App* exp, Cli& cli) {
  const auto options = make_options<ExtendOptions>();
  CLI::App* command = add_command(exp, "extend", "Raise an experiment's limits; one that has ended runs again",
                                  "  modelhop exp extend e7 --max-trials 200\n"
                                  "  modelhop exp extend e7 --epochs 20 --time-budget 4h");
  option(command, "experiment", options->experiment, "Experiment: e7 or its name").required();
  const Option trials = option(command, "--max-trials", options->max_trials, "Trials in all");
  const Option budget = option(command, "--time-budget", options->time_budget, "Time in all: 90s, 2h");
  const Option epochs = option(command, "--epochs", options->epochs, "Epochs of a trial in all");
  on_run(command, cli, [&cli, options, trials, budget, epochs]() -> Result<int> {
    Json limits = Json::object();
    if (trials.given()) limits["max_trials"] = options->max_trials;
    if (budget.given()) limits["time_budget"] = options->time_budget;
    if (epochs.given()) limits["epochs"] = options->epochs;
    if (limits.empty()) return invalid("exp extend: nothing to raise; give --max-trials, --time-budget or --epochs");
    ASSIGN_OR_RETURN(const auto backend, cli.backend());
    ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options->experiment, cli.quiet));
    const std::string id = text_of(experiment, "id");
    RETURN_IF_ERROR(send(*backend, {"POST", experiment_path(id) + ":extend", {}, limits.dump(), ""}).status());
    cli.note(id + " is extended");
    return kOkExit;
  });
}

}  // namespace

void add_experiment_changes(CLI::App* exp, Cli& cli) {
  const auto options = make_options<ChangeOptions>();
  CLI::App* command = add_command(exp, "create", "Submit a spec to a running scheduler; prints the experiment's id",
                                  "  modelhop exp create spec.json --server http://host:8080\n"
                                  "  modelhop exp create spec.json --set seed=8 --wait");
  option(command, "spec", options->file, "Spec file, JSON (docs/spec.md); - reads standard input").required();
  option(command, "--set", options->sets, "PATH=VALUE to change in the spec; may be given more than once").repeatable();
  flag(command, "--wait", options->wait, "Wait for its end: exit 0, or 1 if it failed");
  option(command, "--timeout", options->timeout_s, "Seconds to wait at most (exit 124)");
  option(command, "--idempotency-key", options->key, "The same key again gives the same experiment, not another");
  on_run(command, cli, [&cli, options] { return create_experiment(cli, *options); });

  const auto with_name = [&](CLI::App* of) {
    option(of, "experiment", options->experiment, "Experiment: e7 or its name").required();
    return of;
  };
  on_run(with_name(add_command(exp, "pause", "Start nothing new; running units yield at their next batch",
                               "  modelhop exp pause e7")),
         cli, [&cli, options] { return change(cli, *options, "POST", ":pause", "is paused"); });
  on_run(with_name(add_command(exp, "resume", "Let a paused experiment go on", "  modelhop exp resume e7")), cli,
         [&cli, options] { return change(cli, *options, "POST", ":resume", "goes on"); });
  on_run(with_name(
             add_command(exp, "stop", "Start nothing new, let running units yield, and end", "  modelhop exp stop e7")),
         cli, [&cli, options] {
           return change(cli, *options, "POST", ":stop", "stops once its running units have yielded");
         });
  on_run(with_name(add_command(exp, "cancel", "End an experiment now; running units are thrown away",
                               "  modelhop exp cancel e7")),
         cli, [&cli, options] { return change(cli, *options, "POST", ":cancel", "is canceled"); });
  on_run(with_name(add_command(exp, "delete", "Forget an ended experiment and delete its states",
                               "  modelhop exp delete e7")),
         cli, [&cli, options] { return change(cli, *options, "DELETE", "", "is deleted"); });
  add_extend(exp, cli);
  command = with_name(add_command(exp, "set", "Change an experiment's name, notes, labels or priority",
                                  "  modelhop exp set e7 --priority 80\n"
                                  "  modelhop exp set e7 --name night-run --label baseline --label v2"));
  const Option name = option(command, "--name", options->name, "Another name");
  const Option notes = option(command, "--notes", options->notes, "Other notes");
  const Option labels =
      option(command, "--label", options->labels, "Labels instead of those it has; may be given more than once")
          .repeatable();
  const Option priority = option(command, "--priority", options->priority, "0 to 100: higher is served first");
  on_run(command, cli, [&cli, options, name, notes, labels, priority]() -> Result<int> {
    Json changes = Json::object();
    if (name.given()) changes["name"] = options->name;
    if (notes.given()) changes["notes"] = options->notes;
    if (labels.given()) changes["labels"] = options->labels;
    if (priority.given()) changes["priority"] = options->priority;
    if (changes.empty()) return invalid("exp set: nothing to change; give --name, --notes, --label or --priority");
    ASSIGN_OR_RETURN(const auto backend, cli.backend());
    ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options->experiment, cli.quiet));
    const std::string id = text_of(experiment, "id");
    RETURN_IF_ERROR(send(*backend, {"PATCH", experiment_path(id), {}, changes.dump(), ""}).status());
    cli.note(id + " is changed");
    return kOkExit;
  });
  command =
      with_name(add_command(exp, "wait", "Wait for an experiment's end: exit 0, 1 if it failed, 124 after --timeout",
                            "  modelhop exp wait e7 --timeout 3600"));
  option(command, "--timeout", options->timeout_s, "Seconds to wait at most (default: for ever)").between(0, 1e9);
  on_run(command, cli, [&cli, options]() -> Result<int> {
    ASSIGN_OR_RETURN(const auto backend, cli.backend());
    ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options->experiment, cli.quiet));
    return wait_for(cli, *backend, text_of(experiment, "id"), options->timeout_s);
  });
}

}  // namespace modelhop::cli
