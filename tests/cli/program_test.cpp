// Runs the built program as a shell would.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "tests/cli/shell.h"

namespace modelhop::cli {
namespace {

TEST_CASE("exit codes say whose fault it was", "[cli][program]") {
  const Shell shell;
  CHECK(shell.run("version").exit == 0);
  CHECK(shell.run("").exit == 2);
  CHECK(shell.run("exp").exit == 2);
  CHECK(shell.run("nothing").exit == 2);
  CHECK(shell.run("exp list --colour red").exit == 2);
  CHECK(shell.run("exp list -o xml").exit == 2);
  CHECK(shell.run("run").exit == 2);
  CHECK(shell.run("run spec.json --workers 0").exit == 2);
  CHECK(shell.run("run nowhere.json").exit == 3);
  CHECK(shell.run("exp list --state-dir nowhere").exit == 3);
  CHECK(shell.run("data show none --store s").exit == 3);
  CHECK(shell.run("exp list --server http://127.0.0.1:1").exit == 4);
  CHECK(shell.run("exp list --server http://127.0.0.1:1 --state-dir d").exit == 2);
  CHECK(shell.run("exp list --server https://h").exit == 2);
  CHECK(shell.run("scheduler --http 0.0.0.0:0 --listen tcp://127.0.0.1:0 --state-dir d").exit == 2);
}

TEST_CASE("a mistyped command or option is told what was meant", "[cli][program]") {
  const Shell shell;
  CHECK(shell.run("exp lsit").err ==
        "modelhop exp: no command \"lsit\"; did you mean \"list\"?\nSee: modelhop exp --help\n");
  CHECK(shell.run("epx").err.find("did you mean \"exp\"?") != std::string::npos);
  CHECK(shell.run("exp list --stat-dir x").err.find("no option --stat-dir; did you mean \"--state-dir\"?") !=
        std::string::npos);
  CHECK(shell.run("exp").err.find("a command is missing: one of create,") != std::string::npos);
  CHECK(shell.run("exp show a b").err.find("\"b\" is one argument too many") != std::string::npos);
}

TEST_CASE("data goes to stdout, words for people to stderr", "[cli][program]") {
  const Shell shell;
  const Ran version = shell.run("version -o json");
  CHECK(nlohmann::json::accept(version.out));
  CHECK(version.err.empty());
  const Ran unreachable = shell.run("exp list --server http://127.0.0.1:1");
  CHECK(unreachable.out.empty());
  CHECK(unreachable.err.find("modelhop scheduler") != std::string::npos);
  const Ran empty = shell.run("data list --store s");
  CHECK(empty.exit == 0);
  CHECK(empty.out.empty());
  CHECK(shell.run("data list --store s -q").err.empty());
  CHECK(shell.run("data list --store s -o json").out == "[]\n");
}

TEST_CASE("config show names the origin of each setting", "[cli][program]") {
  const Shell shell;
  const Ran ran = shell.run("config show --origin -o csv --server http://h:1", "MODELHOP_STORE=/m");
  CHECK(ran.exit == 0);
  CHECK(ran.out.find("server,http://h:1,flag\n") != std::string::npos);
  CHECK(ran.out.find("store,/m,MODELHOP_STORE\n") != std::string::npos);
  CHECK(ran.out.find("output,csv,flag\n") != std::string::npos);
}

TEST_CASE("every command has help that says what it does, and is in docs/cli.md", "[cli][program]") {
  const Shell shell;
  Cli cli;
  const auto app = make_app(cli);
  const std::string docs = slurp(MODELHOP_SOURCE_DIR "/docs/cli.md");
  for (const std::string& command : command_list(*app)) {
    INFO(command);
    const Ran help = shell.run(command + " --help");
    CHECK(help.exit == 0);
    CHECK(help.out.find("Usage: modelhop " + command) != std::string::npos);
    CHECK(help.err.empty());
    CHECK(docs.find("`modelhop " + command) != std::string::npos);
  }
}

TEST_CASE("docs/cli.md names every option that --help prints", "[cli][docs]") {
  Cli cli;
  const auto app = make_app(cli);
  const std::string docs = slurp(MODELHOP_SOURCE_DIR "/docs/cli.md");
  const std::function<void(const CLI::App&, const std::string&)> walk = [&](const CLI::App& at,
                                                                            const std::string& words) {
    // The section or table row of a command: from its words to the end of the line.
    for (const CLI::Option* option : at.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        INFO(words << " --" << name);
        if (name == "help") continue;
        const std::string line = words.empty() ? docs : [&] {
          std::string lines;
          const std::string start = "| `modelhop" + words;
          for (std::size_t from = docs.find(start); from != std::string::npos; from = docs.find(start, from + 1)) {
            lines += docs.substr(from, docs.find('\n', from) - from);
          }
          return lines;
        }();
        CHECK(line.find("--" + name) != std::string::npos);
      }
    }
    for (const CLI::App* sub : at.get_subcommands([](const CLI::App*) { return true; })) {
      walk(*sub, words + " " + sub->get_name());
    }
  };
  walk(*app, "");
}

TEST_CASE("a grid over more points than an experiment may have is refused with their number", "[cli][program]") {
  const Shell shell;
  std::string values = "0.5";
  for (int i = 1; i < 1001; ++i) values += ", " + std::to_string(i);
  std::ofstream(shell.folder + "/grid.json")
      << R"({"version": 1, "name": "g", "dataset": {"name": "d"},
    "model": {"layers": [{"type": "flatten"}, {"type": "linear", "out_features": 10}]},
    "training": {"epochs": 5, "batch_size": 4, "loss": "cross_entropy", "optimizer": {"name": "sgd"}},
    "algorithm": {"name": "grid"}, "metric": {"name": "val_loss"},
    "parameters": {"training.optimizer.lr": {"values": [)"
      << values << R"(]}, "training.clip_grad_norm": {"values": [)" << values << "]}}}";
  for (const char* words : {"space validate grid.json", "space preview grid.json --partitions 4", "run grid.json"}) {
    INFO(words);
    const Ran ran = shell.run(words);
    CHECK(ran.exit == 2);
    CHECK(ran.err.find("/parameters: the grid has 1002001 points, and an experiment at most 1000000 trials; take fewer "
                       "values, give max_trials, or use random") != std::string::npos);
  }
  CHECK(shell.run("space validate grid.json --set max_trials=1000000").exit == 0);
}

// CPU time of child processes that have ended.
double children_ms() {
  rusage used{};
  REQUIRE(::getrusage(RUSAGE_CHILDREN, &used) == 0);
  const auto ms = [](const timeval& time) {
    return 1e3 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_usec);
  };
  return ms(used.ru_utime) + ms(used.ru_stime);
}

TEST_CASE("help comes at once, without LibTorch", "[cli][program]") {
  const Shell shell;
  shell.run("--help");  // once, so that the program is in memory
  const double before = children_ms();
  for (int i = 0; i < 5; ++i) CHECK(shell.run("--help").exit == 0);
  const double each = (children_ms() - before) / 5;
  WARN("modelhop --help, shell included: " << each << " ms of CPU");
  CHECK(each < 500);  // 280 under ASan
  CHECK(shell.sh("ldd '" + kProgram + "'").out.find("torch") == std::string::npos);
}

TEST_CASE("completion scripts are scripts", "[cli][program]") {
  const Shell shell;
  for (const char* name : {"bash", "zsh", "fish"}) {
    INFO(name);
    CHECK(shell.run(std::string("completion ") + name).exit == 0);
    if (shell.sh(std::string("which ") + name).exit != 0) continue;
    shell.sh("cp out script; '" + kProgram + "' completion " + name + " > script");
    const Ran parsed = shell.sh(std::string(name) + " -n script");
    CHECK(parsed.exit == 0);
    CHECK(parsed.err.empty());
  }
  CHECK(shell.run("completion tcsh").exit == 2);
  const Ran words =
      shell.sh("bash -c 'source <(\"" + kProgram +
               "\" completion bash); COMP_WORDS=(modelhop exp ex); COMP_CWORD=2; _modelhop; echo ${COMPREPLY[@]}'");
  CHECK(words.out == "extend export\n");
}

TEST_CASE("a bad spec lists every error and ends with 2; a good one is previewed", "[cli][program]") {
  const Shell shell;
  std::ofstream(shell.folder + "/bad.json") << R"({"version": 1, "nmae": "x", "seed": -1})";
  const Ran bad = shell.run("space validate bad.json");
  CHECK(bad.exit == 2);
  CHECK(bad.out.empty());
  CHECK(bad.err.find("nmae") != std::string::npos);
  CHECK(bad.err.find("seed") != std::string::npos);
  std::ofstream(shell.folder + "/good.json") << R"({"version": 1, "name": "g", "dataset": {"name": "d"},
    "model": {"type": "sequential", "layers": [{"type": "flatten"}, {"type": "linear", "out_features": 10}]},
    "training": {"epochs": 5, "batch_size": 4, "loss": "cross_entropy", "metrics": ["accuracy"], "optimizer": {"name": "sgd", "lr": 0.1}},
    "algorithm": {"name": "grid"}, "metric": {"name": "val_accuracy", "goal": "maximize"},
    "parameters": {"training.optimizer.lr": {"values": [0.1, 0.2, 0.3]}, "training.batch_size": {"values": [4, 8]}}})";
  const Ran good = shell.run("space validate good.json");
  CHECK(good.exit == 0);
  CHECK(good.err.find("warning") != std::string::npos);
  const Ran plan = shell.run("space preview good.json --partitions 4 -o json -q");
  REQUIRE(plan.exit == 0);
  const auto json = nlohmann::json::parse(plan.out);
  CHECK(json["trials"] == 6);
  CHECK(json["visits"] == 120);
  CHECK(json["epochs"] == 30.0);
  const Ran unknown = shell.run("space preview good.json");
  CHECK(unknown.exit == 2);
  CHECK(unknown.err.find("--partitions P") != std::string::npos);
  const Ran sample = shell.run("space sample good.json -n 3 -o csv -q");
  CHECK(std::count(sample.out.begin(), sample.out.end(), '\n') == 4);
}

}  // namespace
}  // namespace modelhop::cli
