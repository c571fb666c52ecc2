#include "cli/command.h"

#include <CLI/CLI.hpp>

namespace modelhop::cli {

Option Option::required() const { return Option(option_->required()); }
Option Option::values(int least, int most) const { return Option(option_->expected(least, most)); }
Option Option::repeatable() const { return Option(option_->expected(1)->take_all()); }
Option Option::between(double low, double high) const {
  return Option(option_->check([low, high](const std::string& text) {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return std::string();
    return "wants " + CLI::detail::to_string(low) + " to " + CLI::detail::to_string(high) + ", not " + text;
  }));
}
Option Option::one_of(const std::vector<std::string>& values) const {
  return Option(option_->check(CLI::IsMember(values)));
}
bool Option::given() const { return option_ != nullptr && option_->count() > 0; }

Option option(CLI::App* command, const std::string& names, std::string& into, const std::string& help) {
  return Option(command->add_option(names, into, help));
}
Option option(CLI::App* command, const std::string& names, std::vector<std::string>& into, const std::string& help) {
  return Option(command->add_option(names, into, help));
}
Option option(CLI::App* command, const std::string& names, std::uint16_t& into, const std::string& help) {
  return Option(command->add_option(names, into, help));
}
Option option(CLI::App* command, const std::string& names, std::uint32_t& into, const std::string& help) {
  return Option(command->add_option(names, into, help));
}
Option option(CLI::App* command, const std::string& names, std::uint64_t& into, const std::string& help) {
  return Option(command->add_option(names, into, help));
}
Option option(CLI::App* command, const std::string& names, double& into, const std::string& help) {
  return Option(command->add_option(names, into, help));
}
Option flag(CLI::App* command, const std::string& names, bool& into, const std::string& help) {
  return Option(command->add_flag(names, into, help));
}

CLI::App* add_command(CLI::App* parent, const std::string& name, const std::string& help, const std::string& examples) {
  CLI::App* command = parent->add_subcommand(name, help);
  std::string footer = examples.empty() ? "" : "Examples:\n" + examples;
  if (!footer.empty() && !footer.ends_with('\n')) footer += '\n';
  command->footer(footer + "Options for every command: modelhop --help");
  return command;
}

CLI::App* add_command_group(CLI::App* parent, const std::string& name, const std::string& help) {
  CLI::App* command = add_command(parent, name, help);
  command->require_subcommand(1);
  return command;
}

}  // namespace modelhop::cli
