// modelhop exp replay: whether the journal gives the state that a start goes on with, and what it was at a record.
#include <fmt/format.h>

#include <algorithm>

#include "cli/cli.h"
#include "cli/view.h"
#include "common/base/hash.h"
#include "scheduler/server/replay.h"

namespace modelhop::cli {
namespace {

struct ReplayOptions {
  std::string experiment;
  std::uint64_t until{};
  Option until_given;
};

// A row an experiment, deleted ones too: their records are there.
std::vector<Json> rows_of(const Fold& fold) {
  std::vector<Json> rows;
  for (const ExperimentRow& row : fold.core->state().experiments) {
    Json trials = Json::object();
    for (const TrialRow& trial : row.trials) {
      Json& count = trials[to_string(trial.state)];
      count = count.is_null() ? 1 : count.get<int>() + 1;
    }
    const auto records = fold.records.find(row.id);
    rows.push_back({{"id", to_string(row.id)},
                    {"name", row.name},
                    {"state", to_string(row.state)},
                    {"records", records == fold.records.end() ? 0 : records->second},
                    {"trials", std::move(trials)},
                    {"units", std::count_if(row.units.begin(), row.units.end(),
                                            [](const UnitRow& unit) { return unit.state == UnitState::kDone; })},
                    {"hash", to_string(rows_hash(row))}});
  }
  return rows;
}

std::string counts_text(const Json& trials) {
  std::string out;
  for (const auto& item : trials.items()) {
    out += out.empty() ? "" : ", ";
    out += item.value().dump() + " " + item.key();
  }
  return out.empty() ? "none" : out;
}

std::string numbers_text(const std::vector<std::uint64_t>& numbers) {
  std::string out;
  for (const std::uint64_t number : numbers) {
    out += out.empty() ? "" : ", ";
    out += std::to_string(number);
  }
  return out.empty() ? "there is none" : out;
}

Json difference_json(const std::optional<ReplayDifference>& difference) {
  if (!difference) return nullptr;
  return {{"seq", difference->seq},
          {"other", difference->other},
          {"field", difference->field},
          {"folded", difference->folded},
          {"read", difference->read}};
}

std::string difference_text(const ReplayDifference& difference) {
  const std::string what = difference.field.empty() ? difference.read
                                                    : fmt::format("{}: the records say {}, and it says {}",
                                                                  difference.field, difference.folded, difference.read);
  return printable(fmt::format("DIFFERENT after record {}: {}: {}", difference.seq, difference.other, what));
}

void print_replay(Format format, const Replay& replay, const std::vector<Json>& rows, const std::string& hash) {
  if (format == Format::kJson) {
    print_json({{"records", replay.fold.end.seq},
                {"check", to_string(replay.fold.end.check)},
                {"snapshots", replay.snapshots},
                {"state_hash", hash},
                {"equal", !replay.difference},
                {"difference", difference_json(replay.difference)},
                {"experiments", rows}});
    return;
  }
  const Column trials = format == Format::kTable
                            ? Column{"trials", [](const Json& row) { return Json(counts_text(member(row, "trials"))); }}
                            : key_column("trials", "trials");
  print_items(format,
              {key_column("id", "id"), key_column("name", "name"), key_column("state", "state"),
               key_column("records", "records"), trials, key_column("units", "units"), key_column("hash", "hash")},
              rows);
  if (format == Format::kCsv) return;
  std::string verdict = "DIFFERENT, see below";
  if (!replay.difference) {
    verdict = "equal, byte for byte: the records, ";
    verdict += replay.snapshots.empty() ? "and what a start makes of them"
                                        : "the snapshots, and what a start makes of the newest one";
  }
  fmt::print("\n{}", format_fields({{"records", fmt::format("1 to {}, each as it was written", replay.fold.end.seq)},
                                    {"snapshots", numbers_text(replay.snapshots)},
                                    {"state hash", hash},
                                    {"verdict", verdict}}));
}

Result<int> replay_all(const Cli& cli, const ReplayOptions& options, const std::string& state_dir) {
  ASSIGN_OR_RETURN(Replay replay, replay_journal(state_dir, default_hooks()));
  for (const std::string& note : replay.notes) cli.note(printable(note));
  const std::string hash = to_string(hash_bytes(replay.fold.core->save()));
  std::vector<Json> rows = rows_of(replay.fold);
  if (!options.experiment.empty()) {
    const auto backend = open_past(std::move(replay.fold.core), "state directory " + state_dir);
    ASSIGN_OR_RETURN(const Json wanted, find_experiment(*backend, options.experiment, cli.quiet));
    std::erase_if(rows, [&](const Json& row) { return text_of(row, "id") != text_of(wanted, "id"); });
  }
  print_replay(cli.format(), replay, rows, hash);
  if (!replay.difference) return kOkExit;
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", difference_text(*replay.difference));
  return kFailedExit;
}

// The experiment as it was when record `until` was the last.
Result<int> show_past(const Cli& cli, const ReplayOptions& options, const std::string& state_dir) {
  ASSIGN_OR_RETURN(Fold fold, fold_journal(state_dir, options.until, default_hooks()));
  const std::uint64_t seq = fold.end.seq;
  const auto backend = open_past(std::move(fold.core), fmt::format("the records up to {}", seq));
  ASSIGN_OR_RETURN(const Json status, get(*backend, "/api/v1/status"));
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options.experiment, cli.quiet));
  const std::string id = text_of(experiment, "id");
  ASSIGN_OR_RETURN(const auto trials, get_all(*backend, experiment_path(id) + "/trials"));
  if (cli.format() == Format::kJson) {
    print_json({{"seq", seq}, {"at", text_of(status, "time")}, {"experiment", experiment}, {"trials", trials}});
    return kOkExit;
  }
  const std::string reason = text_of(experiment, "reason");
  cli.note(fmt::format("{} ({}) after record {}, {}: {}{}", id, printable(text_of(experiment, "name")), seq,
                       text_of(status, "time"), text_of(experiment, "state"),
                       reason.empty() ? "" : " (" + printable(reason) + ")"));
  const Column params =
      cli.format() == Format::kTable
          ? Column{"parameters", [](const Json& trial) { return Json(params_text(member(trial, "params"))); }}
          : key_column("params", "params");
  print_items(cli.format(),
              {key_column("trial", "id"), key_column("state", "state"), key_column("visits", "visits"),
               key_column("of", "target_visits"), key_column("value", "value"), key_column("worker", "worker"), params,
               key_column("reason", "reason")},
              trials);
  return kOkExit;
}

Result<int> replay(const Cli& cli, const ReplayOptions& options) {
  const Setting& server = cli.settings.get("server");
  const Setting& state_dir = cli.settings.get("state_dir");
  if (server.origin != Origin::kDefault && server.origin >= state_dir.origin) {
    return invalid(
        "exp replay reads the journal's own files: it needs the --state-dir of the scheduler, stopped or "
        "running, and asks no --server");
  }
  return options.until_given.given() ? show_past(cli, options, state_dir.value)
                                     : replay_all(cli, options, state_dir.value);
}

}  // namespace

void add_experiment_replay(CLI::App* exp, Cli& cli) {
  const auto options = make_options<ReplayOptions>();
  CLI::App* command = add_command(
      exp, "replay",
      "Apply every record from the first on, and compare with the snapshots and what a start makes of them (exit 1: "
      "they differ)",
      "  modelhop exp replay --state-dir D\n"
      "  modelhop exp replay e7 --until 12345 --state-dir D   e7 as it was after that record\n"
      "  modelhop exp replay --state-dir D -o json");
  option(command, "experiment", options->experiment, "Experiment: e7 or its name (default: all; --until: the newest)");
  options->until_given =
      option(command, "--until", options->until, "Show the experiment as it was after this record, and compare nothing")
          .between(1, 9e18);
  on_run(command, cli, [&cli, options] { return replay(cli, *options); });
}

}  // namespace modelhop::cli
