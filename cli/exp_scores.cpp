// modelhop exp best, verify: the best trial, its score on the test set, and whether stored states can be made again.
#include <fmt/format.h>

#include <map>
#include <set>

#include "cli/cli.h"
#include "cli/jobs.h"
#include "cli/profile.h"
#include "cli/watch.h"
#include "common/client/http_client.h"

namespace modelhop::cli {
namespace {

struct ScoreOptions {
  std::string experiment, trial;
  bool test{};
  std::uint64_t threads{};  // of verify's job; 0: as the experiment's workers had
};

// The scores of the best trial's state on the test set, by `modelhop-worker job`.
Result<Json> score(const Cli& cli, Backend& backend, const Json& experiment, const Json& answer) {
  const std::string id = text_of(member(answer, "best"), "checkpoint");
  auto checkpoint = get(backend, "/api/v1/checkpoints/" + percent_encode(id));
  if (!checkpoint.ok()) {
    return Status{checkpoint.status().code(),
                  checkpoint.status().message() + "; checkpoint.save_experiment_best of the spec keeps the best one"};
  }
  const Json request = {
      {"job", "score"},  {"store", cli.settings.store()},      {"dataset", text_of(experiment, "dataset")},
      {"split", "test"}, {"recipe", member(answer, "recipe")}, {"state", text_of(*checkpoint, "blob")}};
  Json scores;
  cli.note("scoring " + id + " on the test set");
  RETURN_IF_ERROR(run_job(cli.settings.value("worker"), request, [&](const Json& line) {
    scores = line;
    return Status{};
  }));
  if (!scores.is_object()) return Status{Code::kInternal, "the worker's job gave no scores"};
  return scores;
}

Result<int> best(const Cli& cli, const ScoreOptions& options) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, options.experiment, cli.quiet));
  const std::string id = text_of(experiment, "id");
  ASSIGN_OR_RETURN(Json answer, get(*backend, experiment_path(id) + "/best"));
  const Json best = member(answer, "best");
  if (!best.is_object()) return not_found(id + " has no trial with a value yet; see `modelhop exp why " + id + "`");
  Json test;
  if (options.test) {
    ASSIGN_OR_RETURN(test, score(cli, *backend, experiment, answer));
    answer["test"] = test;
  }
  if (cli.format() == Format::kJson) {
    print_json(answer);
    return kOkExit;
  }
  std::vector<std::pair<std::string, std::string>> fields = {{"trial", text_of(best, "trial")}};
  for (const auto& item : member(best, "params").items())
    fields.emplace_back(item.key(), field_text(cli.format(), item.value()));
  fields.emplace_back("epochs", field_text(cli.format(), member(best, "epochs")));
  for (const auto& item : member(best, "metrics").items()) {
    fields.emplace_back(
        item.key() + (cli.format() == Format::kTable && item.key() == text_of(answer, "metric") ? " *" : ""),
        field_text(cli.format(), item.value()));
  }
  if (test.is_object()) {
    for (const auto& item : test.items()) {
      fields.emplace_back((item.key() == "rows" ? "test rows" : "test_" + item.key()),
                          field_text(cli.format(), item.value()));
    }
  }
  fields.emplace_back("checkpoint", text_of(best, "checkpoint"));
  print_fields(cli.format(), fields);
  return kOkExit;
}

// What has to come out again: each milestone's state, and the last one's where it lies between two visits.
Json checks_of(const Json& trial) {
  std::map<std::uint64_t, std::string> checks;
  for (const Json& milestone : member(trial, "milestones")) {
    checks[count_of(milestone, "visits")] = text_of(milestone, "state_hash");
  }
  const std::uint64_t first = count_of(trial, "first_visit");  // a fork's own states come after it
  if (count_of(trial, "batch") == 0 && count_of(trial, "visits") > first && !text_of(trial, "state_hash").empty()) {
    checks[count_of(trial, "visits")] = text_of(trial, "state_hash");
  }
  Json out = Json::array();
  for (const auto& [visits, hash] : checks) out.push_back({{"visits", visits}, {"hash", hash}});
  return out;
}

// Whose training a trial's first state comes of, the oldest first: [{id, offset, recipe, until}]. Each is another,
// older trial, so there is an end.
Result<Json> sources_of(Backend& backend, const Json& trial) {
  Json sources = Json::array();
  for (Json fork = trial; !text_of(fork, "source").empty();) {
    const std::uint64_t until = count_of(fork, "first_visit"), number = count_of(fork, "number");
    const std::string source = text_of(fork, "source");
    ASSIGN_OR_RETURN(fork, get(backend, "/api/v1/trials/" + percent_encode(source.substr(0, source.rfind('@')))));
    if (count_of(fork, "number") >= number) return corrupt(source + " is younger than its fork");
    sources.insert(sources.begin(), Json{{"id", count_of(fork, "number")},
                                         {"offset", count_of(fork, "offset")},
                                         {"recipe", member(fork, "recipe")},
                                         {"until", until}});
  }
  return sources;
}

// The threads of the workers that ran these trials. Bits depend on them, so the job has as many. `ran`: names of the
// workers that trained.
Result<std::uint64_t> threads_of(Backend& backend, const Json& experiment, const std::set<std::string>& ran) {
  ASSIGN_OR_RETURN(const auto workers, get_all(backend, "/api/v1/workers"));
  return threads_of_profile(experiment, ran, workers);
}

Result<Json> verify_request(const Cli& cli, Backend& backend, const Json& experiment, const ScoreOptions& options) {
  const std::string& only = options.trial;
  std::vector<std::string> ids;
  if (only.empty()) {
    ASSIGN_OR_RETURN(const auto trials, get_all(backend, experiment_path(text_of(experiment, "id")) + "/trials"));
    for (const Json& trial : trials) ids.push_back(text_of(trial, "id"));
  } else {
    ids.push_back(only.find('.') == std::string::npos ? text_of(experiment, "id") + "." + only : only);
  }
  Json trials = Json::array();
  std::set<std::string> ran;
  for (const auto& id : ids) {
    ASSIGN_OR_RETURN(const Json trial, get(backend, "/api/v1/trials/" + percent_encode(id)));
    if (text_of(trial, "experiment") != text_of(experiment, "id")) {
      return invalid("--trial " + id + " is not of " + text_of(experiment, "id"));
    }
    Json checks = checks_of(trial);
    if (checks.empty()) {
      cli.note(id + ": no state to compare with yet");
      continue;
    }
    for (const Json& unit : member(trial, "units")) ran.insert(text_of(unit, "worker"));
    ASSIGN_OR_RETURN(Json before, sources_of(backend, trial));
    trials.push_back({{"trial", id},
                      {"before", std::move(before)},
                      {"id", count_of(trial, "number")},
                      {"offset", count_of(trial, "offset")},
                      {"recipe", member(trial, "recipe")},
                      {"checks", std::move(checks)}});
  }
  std::uint64_t threads = options.threads;
  if (threads == 0 && !trials.empty()) {
    ASSIGN_OR_RETURN(threads, threads_of(backend, experiment, ran));
  }
  return Json{{"job", "verify"},
              {"threads", std::max<std::uint64_t>(threads, 1)},
              {"store", cli.settings.store()},
              {"dataset", text_of(experiment, "dataset")},
              {"trials", std::move(trials)}};
}

Result<int> verify(const Cli& cli, const ScoreOptions& options) {
  Interrupts::install();
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  const std::string of_trial = options.trial.substr(0, options.trial.rfind('.'));
  const bool from_trial = options.experiment.empty() && options.trial.find('.') != std::string::npos;
  ASSIGN_OR_RETURN(const Json experiment,
                   find_experiment(*backend, from_trial ? of_trial : options.experiment, cli.quiet));
  ASSIGN_OR_RETURN(const Json request, verify_request(cli, *backend, experiment, options));
  std::map<std::string, std::size_t> expected, seen, wrong;
  std::size_t checks = 0, mismatches = 0;
  for (const Json& trial : request["trials"]) expected[text_of(trial, "trial")] = trial["checks"].size();
  if (expected.empty()) {
    cli.note("nothing to verify");
    return kOkExit;
  }
  const auto on_line = [&](const Json& line) {
    const std::string trial = text_of(line, "trial");
    const bool ok = member(line, "ok").is_boolean() && member(line, "ok").get<bool>();
    ++checks;
    ++seen[trial];
    if (!ok) {
      ++mismatches;
      ++wrong[trial];
      fmt::print("{}  visit {}: hash {} instead of {}\n", trial, count_of(line, "visits"), text_of(line, "hash"),
                 text_of(line, "expected"));
    }
    if (seen[trial] == expected[trial]) {
      fmt::print("{}  {} {} {}\n", trial, seen[trial], seen[trial] == 1 ? "state" : "states",
                 wrong[trial] == 0 ? "equal" : "compared, not equal");
      std::fflush(stdout);
    }
    return Status{};
  };
  const Status ran = run_job(cli.settings.value("worker"), request, on_line);
  if (Interrupts::count() > 0) return kInterruptExit;
  RETURN_IF_ERROR(ran);
  std::size_t missing = 0;
  for (const auto& [trial, count] : expected) missing += seen[trial] < count ? count - seen[trial] : 0;
  fmt::print("{} trials, {} states compared, {} differ{}\n", expected.size(), checks, mismatches,
             missing == 0 ? "" : fmt::format(", {} not reached", missing));
  return mismatches == 0 && missing == 0 ? kOkExit : kFailedExit;
}

}  // namespace

void add_experiment_scores(CLI::App* exp, Cli& cli) {
  const auto options = make_options<ScoreOptions>();
  const auto with_name = [&](CLI::App* command) {
    option(command, "experiment", options->experiment, "Experiment: e7 or its name (default: the newest)");
    return command;
  };
  CLI::App* command = with_name(add_command(exp, "best", "Show the best trial",
                                            "  modelhop exp best e7 --test --state-dir D\n"
                                            "  modelhop exp best e7 -o json"));
  flag(command, "--test", options->test, "And score its state on the test set (needs modelhop-worker)");
  on_run(command, cli, [&cli, options] { return best(cli, *options); });
  command = with_name(add_command(exp, "verify",
                                  "Train trials again, alone, and compare every state's hash (exit 1: one differs)",
                                  "  modelhop exp verify e7 --trial e7.12 --state-dir D"));
  option(command, "--trial", options->trial, "Only this trial: e7.12");
  option(command, "--threads", options->threads, "Threads to train with (default: as the experiment's workers had)")
      .between(1, 1024);
  on_run(command, cli, [&cli, options] { return verify(cli, *options); });
}

}  // namespace modelhop::cli
