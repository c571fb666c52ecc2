#include "cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <cerrno>
#include <csignal>
#include <iostream>

#include "common/base/version.h"
#include "common/spec/suggest.h"

namespace modelhop::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  modelhop data import fmnist --from idx FOLDER --partitions 4   a data set, cut into 4 partitions\n"
    "  modelhop run spec.json --workers 2                             scheduler and 2 workers here, to the end\n"
    "  modelhop exp best --state-dir D                                the best trial of the newest experiment\n"
    "\n"
    "Exit: 0 ok, 1 failed, 2 usage or spec, 3 not found, 4 unreachable, 5 conflict or refused, 124 timeout, 130 "
    "interrupt.\n"
    "Settings also come from MODELHOP_* variables and config files: modelhop config show --origin.";

void add_globals(CLI::App& app, Cli& cli) {
  const auto setting = [&](const char* names, const char* key, const char* help) {
    app.add_option_function<std::string>(
           names, [&cli, key](const std::string& value) { cli.flags.values[key] = value; }, help)
        ->group("Global options");
  };
  setting("--server", "server", "URL of the scheduler to ask (default http://127.0.0.1:8080)");
  setting("--state-dir", "state_dir", "DIR: read a stopped scheduler's directory; run and scheduler write it");
  setting("--store", "store", "DIR of data sets and model states (default STATE_DIR/store)");
  setting("-o,--output", "output", "table, json or csv");
  setting("--worker", "worker", "PATH of the modelhop-worker program (default: beside this one)");
  app.add_option("--config", cli.flags.config, "FILE of settings, JSON")->group("Global options");
  app.add_flag("-q,--quiet", cli.quiet, "no notes and no progress on stderr")->group("Global options");
  app.add_flag("-v,--verbose", cli.verbose, "more on stderr")->group("Global options");
}

// What a command takes: its subcommands, and the options of it and all above it.
std::vector<std::string> words_of(const CLI::App* app, bool options) {
  std::vector<std::string> out;
  for (; app != nullptr; app = options ? app->get_parent() : nullptr) {
    if (options) {
      for (const CLI::Option* option : app->get_options()) {
        for (const auto& name : option->get_lnames()) out.push_back("--" + name);
      }
    } else {
      for (const CLI::App* sub : app->get_subcommands([](const CLI::App*) { return true; }))
        out.push_back(sub->get_name());
    }
  }
  return out;
}

const CLI::App* deepest(const CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

std::string path_of(const CLI::App* app) {
  std::string out = app->get_name();
  for (app = app->get_parent(); app != nullptr; app = app->get_parent()) out = app->get_name() + " " + out;
  return out;
}

int refuse(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = deepest(&app);
  std::string message = error.what();
  const auto rest = app.remaining(true);
  if (!rest.empty()) {
    const std::string& word = rest.front();
    const bool option = word.starts_with('-');
    const std::string name = word.substr(0, word.find('='));
    const bool has_commands = !words_of(command, false).empty();
    message = option         ? "no option " + name + did_you_mean(name, words_of(command, true))
              : has_commands ? "no command \"" + word + "\"" + did_you_mean(word, words_of(command, false))
                             : "\"" + word + "\" is one argument too many";
  } else if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !words_of(command, false).empty()) {
    std::string words;
    for (const auto& word : words_of(command, false)) words += (words.empty() ? "" : ", ") + word;
    message = "a command is missing: one of " + words;
  }
  fmt::print(stderr, "{}: {}\nSee: {} --help\n", path_of(command), printable(message), path_of(command));
  return kUsageExit;
}

}  // namespace

void Cli::note(const std::string& text) const {
  if (!quiet) fmt::print(stderr, "{}\n", text);
}

Result<int> post_verb(const Cli& cli, const std::string& path, const std::string& verb, const std::string& done) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  RETURN_IF_ERROR(send(*backend, {"POST", path + ":" + verb, {}, "", ""}).status());
  cli.note(done);
  return kOkExit;
}

void on_run(CLI::App* command, Cli& cli, std::function<Result<int>()> action) {
  command->callback([command, &cli, action = std::move(action)] {
    if (command->get_subcommands().empty()) cli.action = action;  // else it is the subcommand's turn
  });
}

std::vector<std::string> command_list(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    const auto below = command_list(*sub);
    if (below.empty() || sub->get_require_subcommand_min() == 0) out.push_back(sub->get_name());
    for (const auto& words : below) out.push_back(sub->get_name() + " " + words);
  }
  return out;
}

std::unique_ptr<CLI::App> make_app(Cli& cli) {
  auto app = std::make_unique<CLI::App>(
      "Selects deep-learning models by hopping them over the data: partitions stay where they are, models travel.",
      "modelhop");
  app->fallthrough();  // global options may stand after the command, too
  app->get_formatter()->column_width(34);
  app->set_help_flag("-h,--help", "Show this and exit");
  add_globals(*app, cli);
  add_run(*app, cli);
  add_scheduler(*app, cli);
  add_data(*app, cli);
  add_space(*app, cli);
  add_experiment(*app, cli);
  add_trial(*app, cli);
  add_checkpoint(*app, cli);
  add_worker(*app, cli);
  add_keys(*app, cli);
  add_config(*app, cli);
  add_completion(*app, cli);
  on_run(add_command(app.get(), "version", "Show the version"), cli, [&cli]() -> Result<int> {
    if (cli.format() == Format::kJson) {
      print_json({{"version", kModelhopVersion}});
    } else if (cli.format() == Format::kCsv) {
      print_items(Format::kCsv, {key_column("version", "version")}, {{{"version", kModelhopVersion}}});
    } else {
      fmt::print("modelhop {}\n", kModelhopVersion);
    }
    return kOkExit;
  });
  app->require_subcommand(1);
  app->footer(kExamples);
  cli.root = app.get();
  return app;
}

int run_cli(int argc, const char* const* argv) {
  std::signal(SIGPIPE, SIG_IGN);
  Cli cli;
  const auto app = make_app(cli);
  if (argc <= 1) {
    std::cerr << app->help();
    return kUsageExit;
  }
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app->exit(error);  // --help
    return refuse(*app, error);
  }
  auto settings = Settings::load(cli.flags, process_places());
  Result<int> done = settings.ok() ? Result<int>(kOkExit) : Result<int>(settings.status());
  if (settings.ok()) {
    cli.settings = std::move(*settings);
    done = cli.action();
  }
  if (!done.ok()) {
    fmt::print(stderr, "modelhop: {}\n", done.status().message());
    return exit_code(done.status().code());
  }
  // A full disk or a closed pipe must not look like success.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    if (errno == EPIPE) return kFailedExit;  // the reader has seen enough
    fmt::print(stderr, "modelhop: standard output cannot be written\n");
    return kFailedExit;
  }
  return *done;
}

}  // namespace modelhop::cli
