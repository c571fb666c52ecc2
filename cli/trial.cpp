// modelhop trial: the configurations of an experiment.
#include <fmt/format.h>

#include <cmath>
#include <random>

#include "cli/cli.h"
#include "cli/view.h"
#include "common/client/http_client.h"

namespace modelhop::cli {
namespace {

struct ListOptions {
  std::string experiment, sort{"id"}, state;
  std::size_t limit{1000};
};

Result<int> list_trials(const Cli& cli, const ListOptions& options) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options.experiment, cli.quiet));
  std::map<std::string, std::string> query{{"sort", options.sort}};
  if (!options.state.empty()) query["state"] = options.state;
  ASSIGN_OR_RETURN(const auto trials,
                   get_all(*backend, experiment_path(text_of(experiment, "id")) + "/trials", query, options.limit));
  if (cli.format() == Format::kTable) {
    fmt::print("{}", trial_table(experiment, trials, 0));
  } else {
    print_items(
        cli.format(),
        {key_column("id", "id"), key_column("state", "state"), key_column("epochs", "epochs"),
         key_column("target epochs", "target_epochs"), key_column("value", "value"), key_column("params", "params"),
         key_column("metrics", "metrics"), key_column("state hash", "state_hash"), key_column("reason", "reason")},
        trials);
  }
  return kOkExit;
}

// Seconds of the API, as people read them: most hops take far less than one.
Column in_ms(const std::string& title, const std::string& key) {
  return {title, [key](const Json& item) {
            const Json& s = member(item, key);
            return s.is_number() ? Json(std::round(s.get<double>() * 1e5) / 100) : Json(nullptr);
          }};
}

Result<int> show_trial(const Cli& cli, const std::string& id) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json trial, get(*backend, "/api/v1/trials/" + percent_encode(id)));
  if (cli.format() == Format::kJson) {
    print_json(trial);
    return kOkExit;
  }
  const Json& milestones = member(trial, "milestones");
  if (cli.format() == Format::kCsv) {
    print_items(Format::kCsv,
                {key_column("visits", "visits"), key_column("epochs", "epochs"), key_column("value", "value"),
                 key_column("metrics", "metrics"), key_column("state hash", "state_hash"), key_column("at", "at")},
                {milestones.begin(), milestones.end()});
    return kOkExit;
  }
  const std::string reason = text_of(trial, "reason");
  fmt::print("{}", format_fields(
                       {{"trial", text_of(trial, "id")},
                        {"state", shown_state(text_of(trial, "state"), trial) + (reason.empty() ? "" : ": " + reason)},
                        {"origin", text_of(trial, "origin")},
                        {"parameters", params_text(member(trial, "params"))},
                        {"epochs", short_number(number_of(trial, "epochs")) + " of " +
                                       short_number(number_of(trial, "target_epochs"))},
                        {"value", cell_text(member(trial, "value"))},
                        {"state hash", cell_text(member(trial, "state_hash"))},
                        {"worker now", cell_text(member(trial, "worker"))}}));
  std::vector<Column> columns = {key_column("epochs", "epochs")};
  if (!milestones.empty()) {
    for (const auto& item : member(milestones.back(), "metrics").items()) {
      const std::string& name = item.key();
      columns.push_back({name, [name](const Json& row) { return member(member(row, "metrics"), name); }});
    }
    columns.push_back(key_column("state hash", "state_hash"));
    fmt::print("\nmilestones\n");
    print_items(Format::kTable, columns, {milestones.begin(), milestones.end()});
  }
  const Json& units = member(trial, "units");
  if (!units.empty()) {
    fmt::print("\nunits\n");
    print_items(Format::kTable,
                {key_column("visit", "visit"), key_column("partition", "partition"), key_column("worker", "worker"),
                 key_column("path", "path"), key_column("outcome", "outcome"), key_column("fault", "fault"),
                 in_ms("hop ms", "hop_s"), in_ms("train ms", "train_s"), key_column("started", "from")},
                {units.begin(), units.end()});
  }
  return kOkExit;
}

struct ForkOptions {
  std::string trial, checkpoint, key;
  std::vector<std::string> sets;
  std::uint64_t epochs{};
};

// A key of our own where none is given: an answer that was lost can then be asked for again.
std::string fresh_key() {
  std::random_device random;
  return fmt::format("cli-{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

Result<int> fork_trial(const Cli& cli, const ForkOptions& options) {
  Json body = Json::object();
  for (const std::string& assignment : options.sets) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) return invalid("--set wants PATH=VALUE, got " + assignment);
    const std::string text = assignment.substr(equals + 1);
    Json value = Json::parse(text, nullptr, false);
    body["set"][assignment.substr(0, equals)] = value.is_discarded() ? Json(text) : std::move(value);
  }
  if (!options.checkpoint.empty()) body["checkpoint"] = options.checkpoint;
  if (options.epochs > 0) body["epochs"] = options.epochs;
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  const std::string key = options.key.empty() ? fresh_key() : options.key;
  ASSIGN_OR_RETURN(
      const Json answer,
      send(*backend, {"POST", "/api/v1/trials/" + percent_encode(options.trial) + ":fork", {}, body.dump(), key}));
  if (cli.format() == Format::kJson) {
    print_json(answer);
  } else {
    fmt::print("{}\n", text_of(answer, "id"));
    std::fflush(stdout);
  }
  return kOkExit;
}

void add_fork(CLI::App* trial, Cli& cli) {
  const auto options = make_options<ForkOptions>();
  CLI::App* command =
      add_command(trial, "fork", "Make a new trial that goes on from a state of this one; prints its id",
                  "  modelhop trial fork e7.12 --set training.optimizer.lr=0.0003\n"
                  "  modelhop trial fork e7.12 --checkpoint e7.12@0.8 --set training.batch_size=128");
  option(command, "trial", options->trial, "Trial: e7.12").required();
  option(command, "--set", options->sets, "PATH=VALUE to change below training; may be given more than once")
      .repeatable();
  option(command, "--checkpoint", options->checkpoint, "State to begin with (default: its newest in the store)");
  option(command, "--epochs", options->epochs, "Epochs to train to (default: as far as the trial)");
  option(command, "--idempotency-key", options->key, "The same key again gives the same fork, not another");
  on_run(command, cli, [&cli, options] { return fork_trial(cli, *options); });
}

}  // namespace

void add_trial(CLI::App& app, Cli& cli) {
  CLI::App* trial = add_command_group(&app, "trial", "List, show, pause, stop, retry and fork trials");
  const auto options = make_options<ListOptions>();
  CLI::App* command = add_command(trial, "list", "List the trials of an experiment",
                                  "  modelhop trial list e7 --sort value --limit 10\n"
                                  "  modelhop trial list e7 --state FAILED -o json");
  option(command, "experiment", options->experiment, "Experiment: e7 or its name (default: the newest)");
  option(command, "--sort", options->sort,
         "id, value (best first), epochs or state; with - before it the other way round");
  option(command, "--state", options->state, "Only these states, with commas between: RUNNING,FAILED");
  option(command, "--limit", options->limit, "At most so many (default 1000)");
  on_run(command, cli, [&cli, options] { return list_trials(cli, *options); });
  const auto id = make_options<std::string>();
  command = add_command(trial, "show", "Show one trial with its milestones and units", "  modelhop trial show e7.12");
  option(command, "trial", *id, "Trial: e7.12").required();
  on_run(command, cli, [&cli, id] { return show_trial(cli, *id); });
  add_fork(trial, cli);
  const auto verb = [&](const std::string& name, const std::string& help, const std::string& done) {
    CLI::App* of = add_command(trial, name, help, "  modelhop trial " + name + " e7.12");
    option(of, "trial", *id, "Trial: e7.12").required();
    on_run(of, cli, [&cli, id, name, done] {
      return post_verb(cli, "/api/v1/trials/" + percent_encode(*id), name, *id + " " + done);
    });
  };
  verb("pause", "Lease it no more units; the running one yields at its next batch", "is paused");
  verb("resume", "Let a paused trial go on from where it was", "goes on");
  verb("stop", "End a trial with the states it has", "is stopped");
  verb("retry", "Let a failed, stopped or canceled trial go on from its last state, its faults forgotten",
       "is tried again");
}

}  // namespace modelhop::cli
