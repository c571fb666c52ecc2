// modelhop exp: what can be read of experiments.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "cli/cli.h"
#include "cli/view.h"
#include "cli/watch.h"
#include "common/client/http_client.h"

namespace modelhop::cli {
namespace {

constexpr int kWatchTries = 10;  // a scheduler that restarts is away for seconds

struct Names {
  std::string experiment, state, file;
  std::uint64_t limit{100};
  std::string format{"csv"};
  bool units{}, points{};
};

Result<int> list_experiments(const Cli& cli, const Names& options) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  std::map<std::string, std::string> query;
  if (!options.state.empty()) query["state"] = options.state;
  ASSIGN_OR_RETURN(const auto items, get_all(*backend, "/api/v1/experiments", query, options.limit));
  if (items.empty() && cli.format() == Format::kTable) {
    cli.note("no experiment in " + backend->describe() +
             "; start one with `modelhop run SPEC` or `modelhop exp create SPEC`");
    return kOkExit;
  }
  const auto done = [](const Json& item) {
    const Json& trials = member(item, "trials");
    std::uint64_t ended = 0;
    for (const char* how : {"COMPLETED", "STOPPED", "FAILED", "CANCELED", "INVALID"}) ended += count_of(trials, how);
    return Json(fmt::format("{}/{}", ended, count_of(item, "trials_planned")));
  };
  const auto best = [](const char* key) {
    return [key](const Json& item) { return member(member(item, "best"), key); };
  };
  print_items(cli.format(),
              {key_column("id", "id"),
               key_column("name", "name"),
               cli.format() == Format::kTable
                   ? Column{"state", [](const Json& item) { return Json(shown_state(text_of(item, "state"), item)); }}
                   : key_column("state", "state"),
               {"trials", done},
               key_column("metric", "metric"),
               {"best", best("value")},
               {"best trial", best("trial")},
               key_column("created", "created_at")},
              items);
  return kOkExit;
}

std::string percent(const Json& experiment) { return fmt::format("{:.0f} %", number_of(experiment, "progress") * 100); }

Result<int> show_experiment(const Cli& cli, const Names& options) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options.experiment, cli.quiet));
  if (cli.format() == Format::kJson) {
    print_json(experiment);
    return kOkExit;
  }
  const std::string state = shown_state(text_of(experiment, "state"), experiment);
  const std::string reason =
      state == kWaiting ? "no scheduler works on it; run it again to go on" : text_of(experiment, "reason");
  std::string trials;
  for (const auto& item : member(experiment, "trials").items()) {
    if (item.value() == 0) continue;
    trials += (trials.empty() ? "" : ", ") + item.value().dump() + " " + shown_state(item.key(), experiment);
  }
  std::string causes;
  for (const auto& item : member(experiment, "slot_seconds").items()) {
    const double s = item.value().is_number() ? item.value().get<double>() : 0;
    if (s >= 0.05) causes += (causes.empty() ? "" : ", ") + item.key() + " " + duration_text(s);
  }
  const Json& best = member(experiment, "best");
  std::vector<std::pair<std::string, std::string>> fields = {
      {"experiment", text_of(experiment, "id") + " " + text_of(experiment, "name")},
      {"state", state + (reason.empty() ? "" : ": " + reason)},
      {"data set",
       fmt::format("{}, {} partitions", text_of(experiment, "dataset"), count_of(experiment, "partitions"))},
      {"search", fmt::format("{}, {} {}, seed {}", text_of(experiment, "algorithm"), text_of(experiment, "goal"),
                             text_of(experiment, "metric"), count_of(experiment, "seed"))},
      {"trials",
       fmt::format("{} planned: {}", count_of(experiment, "trials_planned"), trials.empty() ? "none yet" : trials)},
      {"progress", fmt::format("{}, {} of {} visits", percent(experiment), count_of(experiment, "visits_done"),
                               count_of(experiment, "visits_planned"))},
      {"elapsed", duration_text(number_of(experiment, "elapsed_s"))}};
  if (const std::string full = text_of(experiment, "disk_full"); !full.empty()) fields.emplace_back("waits", full);
  if (member(experiment, "eta_s").is_number())
    fields.emplace_back("ETA", duration_text(number_of(experiment, "eta_s")));
  if (member(experiment, "gap").is_number()) {
    fields.emplace_back("gap to bound", fmt::format("{:.1f} % (bound {})", number_of(experiment, "gap") * 100,
                                                    duration_text(number_of(experiment, "bound_s"))));
  }
  if (!causes.empty()) fields.emplace_back("slot time", causes);
  if (best.is_object()) {
    fields.emplace_back("best", fmt::format("{}  {} {}  {}", text_of(best, "trial"), text_of(experiment, "metric"),
                                            cell_text(member(best, "value")), params_text(member(best, "params"))));
  }
  std::string labels;
  for (const Json& label : member(experiment, "labels")) {
    if (label.is_string()) labels += (labels.empty() ? "" : ", ") + label.get<std::string>();
  }
  if (const std::string project = text_of(experiment, "project"); !project.empty()) {
    fields.emplace_back("project", project);
  }
  if (!labels.empty()) fields.emplace_back("labels", labels);
  if (const std::string notes = text_of(experiment, "notes"); !notes.empty()) fields.emplace_back("notes", notes);
  fields.emplace_back("created", text_of(experiment, "created_at"));
  print_fields(cli.format(), fields);
  return kOkExit;
}

Result<int> why(const Cli& cli, const Names& options) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options.experiment, cli.quiet));
  ASSIGN_OR_RETURN(const Json answer, get(*backend, experiment_path(text_of(experiment, "id")) + "/why"));
  if (cli.format() == Format::kJson) {
    print_json(answer);
    return kOkExit;
  }
  std::vector<Json> rows;
  for (const Json& sentence : member(answer, "why")) {
    if (!sentence.is_string()) continue;
    rows.push_back({{"why", sentence}});
    if (cli.format() == Format::kTable) fmt::print("{}\n", printable(sentence.get<std::string>()));
  }
  if (cli.format() == Format::kCsv) print_items(Format::kCsv, {key_column("why", "why")}, rows);
  return kOkExit;
}

Result<int> watch(const Cli& cli, const Names& options) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options.experiment, cli.quiet));
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  if (!backend->live() || (terminal && has_ended(experiment))) {  // nothing will change: one frame
    ASSIGN_OR_RETURN(const Snapshot snapshot, take_snapshot(*backend, text_of(experiment, "id"), 1000));
    ViewStyle style = LiveScreen(stdout).style();
    style.height = snapshot.trials.size() + 64;
    if (!terminal) style.width = 200;
    for (const auto& line : render(snapshot, style)) fmt::print("{}\n", line);
    return has_ended(experiment) ? exit_of(experiment) : kOkExit;
  }
  Interrupts::install();
  Watch watch(*backend, experiment, 0, stdout, terminal);
  int failures = 0;
  while (Interrupts::count() == 0) {
    const auto ended = watch.step(250, "Ctrl-C leaves; the experiment goes on");
    if (!ended.ok()) {
      if (ended.status().code() != Code::kUnreachable || ++failures > kWatchTries) return ended.status();
      std::this_thread::sleep_for(std::chrono::seconds(1));
      continue;
    }
    failures = 0;
    if (*ended) {
      watch.finish();
      return exit_of(watch.experiment());
    }
  }
  watch.finish();
  return kInterruptExit;
}

Result<int> export_rows(const Cli& cli, const Names& options) {
  if (options.format != "csv" && options.format != "jsonl")
    return invalid("--format " + options.format + ": csv or jsonl is needed");
  if (options.units && options.points) return invalid("--units and --points are two tables; ask for one at a time");
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options.experiment, cli.quiet));
  const ApiRequest request{"GET",
                           experiment_path(text_of(experiment, "id")) + "/export",
                           {{"format", options.format},
                            {"rows", options.units    ? "units"
                                     : options.points ? "points"
                                                      : "trials"}},
                           "",
                           ""};
  ASSIGN_OR_RETURN(const ApiResponse response, backend->ask(request));
  RETURN_IF_ERROR(status_of(response));
  std::FILE* out = options.file.empty() ? stdout : std::fopen(options.file.c_str(), "wb");
  if (out == nullptr) return environment(options.file + ": cannot be written");
  bool ok = std::fwrite(response.body.data(), 1, response.body.size(), out) == response.body.size();
  if (out != stdout) ok = std::fclose(out) == 0 && ok;
  if (!ok && errno == EPIPE) return kFailedExit;  // the reader has seen enough
  if (!ok) return environment((options.file.empty() ? "standard output" : options.file) + ": cannot be written");
  return kOkExit;
}

}  // namespace

void add_experiment(CLI::App& app, Cli& cli) {
  CLI::App* exp = add_command_group(&app, "exp", "Create, watch, explain, export and end experiments");
  const auto options = make_options<Names>();
  const auto with_name = [&](CLI::App* command) {
    option(command, "experiment", options->experiment, "Experiment: e7 or its name (default: the newest)");
    return command;
  };
  add_experiment_changes(exp, cli);
  CLI::App* command =
      add_command(exp, "list", "List experiments, the newest first", "  modelhop exp list --state RUNNING");
  option(command, "--state", options->state, "Only this state: RUNNING, COMPLETED, ...");
  option(command, "--limit", options->limit, "At most so many (default 100)");
  on_run(command, cli, [&cli, options] { return list_experiments(cli, *options); });
  on_run(with_name(add_command(exp, "show", "Show one experiment", "  modelhop exp show e7 -o json")), cli,
         [&cli, options] { return show_experiment(cli, *options); });
  on_run(
      with_name(add_command(exp, "watch", "Follow an experiment to its end: a live view on a terminal, lines elsewhere",
                            "  modelhop exp watch e7")),
      cli, [&cli, options] { return watch(cli, *options); });
  on_run(with_name(add_command(exp, "why", "Say in sentences why an experiment is, or is not, going on",
                               "  modelhop exp why e7")),
         cli, [&cli, options] { return why(cli, *options); });
  add_experiment_scores(exp, cli);
  add_experiment_replay(exp, cli);
  add_experiment_rerun(exp, cli);
  command = with_name(add_command(exp, "export", "Write a row a trial; equal runs give equal bytes",
                                  "  modelhop exp export e7 --format csv > trials.csv\n"
                                  "  modelhop exp export e7 --format jsonl --units --state-dir D"));
  option(command, "--format", options->format, "csv (default) or jsonl");
  flag(command, "--units", options->units, "A row a lease attempt instead, with times and workers");
  flag(command, "--points", options->points, "A row a milestone instead, with times");
  option(command, "--out", options->file, "File to write (default: standard output)");
  on_run(command, cli, [&cli, options] { return export_rows(cli, *options); });
}

}  // namespace modelhop::cli
