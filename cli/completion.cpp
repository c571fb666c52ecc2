// modelhop completion: scripts for the shells, written from the same tree that parses the command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <map>

#include "cli/cli.h"

namespace modelhop::cli {
namespace {

std::vector<const CLI::App*> children(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

void option_words(const CLI::App& app, std::string& out) {
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) out += (out.empty() ? "" : " ") + ("--" + name);
  }
}

// Words that may come next, by the command typed so far ("", "exp", "exp list").
void collect(const CLI::App& app, const std::string& path, const std::string& global,
             std::map<std::string, std::string>& out) {
  std::string words;
  for (const CLI::App* sub : children(app)) words += (words.empty() ? "" : " ") + sub->get_name();
  option_words(app, words);
  if (!path.empty()) words += " " + global;
  out[path] = words;
  for (const CLI::App* sub : children(app))
    collect(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), global, out);
}

// bash and zsh share the walk over the words before the cursor.
std::string shell_case(const std::map<std::string, std::string>& words) {
  std::string out = "  case \"$path\" in\n";
  for (const auto& [path, next] : words) out += "    \"" + path + "\") words=\"" + next + "\" ;;\n";
  return out + "  esac\n";
}

std::string known_paths(const std::map<std::string, std::string>& words) {
  std::string out;
  for (const auto& [path, next] : words) {
    if (!path.empty()) out += (out.empty() ? "" : "|") + ("\"" + path + "\"");
  }
  return out;
}

std::string bash_script(const std::map<std::string, std::string>& words) {
  return "# bash completion of modelhop: source <(modelhop completion bash)\n"
         "_modelhop() {\n"
         "  local path=\"\" words=\"\" word next i\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    word=${COMP_WORDS[i]}\n"
         "    next=\"${path:+$path }$word\"\n"
         "    case \"$next\" in\n"
         "      " +
         known_paths(words) +
         ") path=$next ;;\n"
         "    esac\n"
         "  done\n" +
         shell_case(words) +
         "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "}\n"
         "complete -o default -F _modelhop modelhop\n";
}

std::string zsh_script(const std::map<std::string, std::string>& words) {
  return "#compdef modelhop\n"
         "# zsh completion of modelhop: source <(modelhop completion zsh)\n"
         "_modelhop() {\n"
         "  local path_=\"\" words_=\"\" next word i\n"
         "  for ((i = 2; i < CURRENT; ++i)); do\n"
         "    next=\"${path_:+$path_ }${words[i]}\"\n"
         "    case \"$next\" in\n"
         "      " +
         known_paths(words) +
         ") path_=$next ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$path_\" in\n" +
         [&] {
           std::string out;
           for (const auto& [path, next] : words) out += "    \"" + path + "\") words_=\"" + next + "\" ;;\n";
           return out;
         }() +
         "  esac\n"
         "  compadd -- ${=words_}\n"
         "  _files\n"
         "}\n"
         "if [ \"$funcstack[1]\" = \"_modelhop\" ]; then _modelhop; else compdef _modelhop modelhop; fi\n";
}

std::string fish_quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return "'" + out + "'";
}

void fish_lines(const CLI::App& app, const std::string& condition, std::string& out) {
  std::string names;
  for (const CLI::App* sub : children(app)) names += " " + sub->get_name();
  for (const CLI::App* sub : children(app)) {
    const std::string here = condition.empty() ? "not __fish_seen_subcommand_from" + names
                                               : condition + "; and not __fish_seen_subcommand_from" + names;
    out += "complete -c modelhop -f -n " + fish_quoted(here) + " -a " + sub->get_name() + " -d " +
           fish_quoted(sub->get_description()) + "\n";
    fish_lines(*sub, (condition.empty() ? "" : condition + "; and ") + "__fish_seen_subcommand_from " + sub->get_name(),
               out);
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) {
      out += "complete -c modelhop" + (condition.empty() ? "" : " -n " + fish_quoted(condition)) + " -l " + name +
             " -d " + fish_quoted(option->get_description()) + "\n";
    }
  }
}

}  // namespace

void add_completion(CLI::App& app, Cli& cli) {
  const auto shell = make_options<std::string>();
  CLI::App* command = add_command(&app, "completion", "Print a completion script for bash, zsh or fish",
                                  "  source <(modelhop completion bash)\n"
                                  "  modelhop completion fish > ~/.config/fish/completions/modelhop.fish");
  option(command, "shell", *shell, "bash, zsh or fish").required().one_of({"bash", "zsh", "fish"});
  on_run(command, cli, [&cli, shell]() -> Result<int> {
    std::map<std::string, std::string> words;
    std::string global;
    option_words(*cli.root, global);
    collect(*cli.root, "", global, words);
    std::string script;
    if (*shell == "fish") {
      script = "# fish completion of modelhop\n";
      fish_lines(*cli.root, "", script);
    } else {
      script = *shell == "bash" ? bash_script(words) : zsh_script(words);
    }
    fmt::print("{}", script);
    return kOkExit;
  });
}

}  // namespace modelhop::cli
