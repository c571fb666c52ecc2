#pragma once
// The command line. One file per noun; each adds its subcommands and sets Cli::action to what was asked for.
#include <functional>
#include <memory>
#include <string>

#include "cli/backend.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/settings.h"

namespace modelhop::cli {

inline constexpr const char* kAcceptLostTailHelp =
    "Serve though the journal lost records that were durable: what they said is forgotten";
inline constexpr const char* kDiskReserveHelp =
    "Free space below which no new unit begins: bytes (2GiB) or a part (5%); default the smaller of 1GiB and 5%";

// One invocation. Filled by the parser; `settings` is loaded before the action runs.
struct Cli {
  FlagValues flags;
  bool quiet{};
  bool verbose{};
  CLI::App* root{};
  std::function<Result<int>()> action;
  Settings settings;

  Format format() const { return format_of(settings.value("output")); }
  Result<std::unique_ptr<Backend>> backend() const { return open_backend(settings); }
  // A line for people on stderr, unless -q.
  void note(const std::string& text) const;
};

// Options of all of a command's runs live as long as the program does.
template <class T>
std::shared_ptr<T> make_options() {
  return std::make_shared<T>();
}
// POSTs PATH:verb; then says `done`.
Result<int> post_verb(const Cli& cli, const std::string& path, const std::string& verb, const std::string& done);
void on_run(CLI::App* command, Cli& cli, std::function<Result<int>()> action);

void add_run(CLI::App& app, Cli& cli);
void add_scheduler(CLI::App& app, Cli& cli);
void add_data(CLI::App& app, Cli& cli);
void add_space(CLI::App& app, Cli& cli);
void add_experiment(CLI::App& app, Cli& cli);
void add_experiment_changes(CLI::App* exp, Cli& cli);  // create, stop, cancel, delete, wait
void add_experiment_scores(CLI::App* exp, Cli& cli);   // best, verify
void add_experiment_replay(CLI::App* exp, Cli& cli);
void add_experiment_rerun(CLI::App* exp, Cli& cli);
void add_trial(CLI::App& app, Cli& cli);
void add_checkpoint(CLI::App& app, Cli& cli);
void add_worker(CLI::App& app, Cli& cli);
void add_keys(CLI::App& app, Cli& cli);
void add_config(CLI::App& app, Cli& cli);
void add_completion(CLI::App& app, Cli& cli);

// The whole program; what main() returns.
int run_cli(int argc, const char* const* argv);
// Every command's words ("exp list"), in the order of the help texts.
std::vector<std::string> command_list(const CLI::App& app);
// The tree without an invocation: for completion scripts and tests.
std::unique_ptr<CLI::App> make_app(Cli& cli);

}  // namespace modelhop::cli
