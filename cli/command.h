#pragma once
// What a command takes. CLI11's header stays out of here: it adds five seconds to the compiling of each file.
#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace modelhop::cli {

// One option ("--limit", "-n,--count") or argument ("spec") of a command. Lives as long as the command.
class Option {
 public:
  Option() = default;
  explicit Option(CLI::Option* option) : option_(option) {}
  Option required() const;
  Option values(int least, int most) const;
  Option repeatable() const;  // one value each time it is given
  Option between(double low, double high) const;
  Option one_of(const std::vector<std::string>& values) const;
  bool given() const;  // after parsing

 private:
  CLI::Option* option_ = nullptr;
};

// `into` keeps its value unless the option is given, and outlives the parsing.
Option option(CLI::App* command, const std::string& names, std::string& into, const std::string& help);
Option option(CLI::App* command, const std::string& names, std::vector<std::string>& into, const std::string& help);
Option option(CLI::App* command, const std::string& names, std::uint16_t& into, const std::string& help);
Option option(CLI::App* command, const std::string& names, std::uint32_t& into, const std::string& help);
Option option(CLI::App* command, const std::string& names, std::uint64_t& into, const std::string& help);
Option option(CLI::App* command, const std::string& names, double& into, const std::string& help);
Option flag(CLI::App* command, const std::string& names, bool& into, const std::string& help);

// A subcommand with its examples ("modelhop exp list -o json" lines) under its help.
CLI::App* add_command(CLI::App* parent, const std::string& name, const std::string& help,
                      const std::string& examples = "");
// One that does nothing itself: a word must follow it.
CLI::App* add_command_group(CLI::App* parent, const std::string& name, const std::string& help);

}  // namespace modelhop::cli
