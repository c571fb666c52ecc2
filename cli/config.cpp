// modelhop config: the settings in effect, and where each came from.
#include "cli/cli.h"

namespace modelhop::cli {

void add_config(CLI::App& app, Cli& cli) {
  CLI::App* config = add_command_group(&app, "config", "Show the settings in effect");
  const auto origin = make_options<bool>();
  CLI::App* command =
      add_command(config, "show", "Show every setting; flag > --config > MODELHOP_* > user file > /etc > default",
                  "  modelhop config show --origin");
  flag(command, "--origin", *origin, "And where each came from");
  on_run(command, cli, [&cli, origin]() -> Result<int> {
    std::vector<Json> items;
    for (const Setting& setting : cli.settings.all()) {
      const std::string value = setting.key == "store" ? cli.settings.store() : setting.value;
      Json item = {{"setting", setting.key}, {"value", value}};
      if (*origin) item["origin"] = setting.from;
      items.push_back(std::move(item));
    }
    std::vector<Column> columns = {key_column("setting", "setting"), key_column("value", "value")};
    if (*origin) columns.push_back(key_column("origin", "origin"));
    print_items(cli.format(), columns, items);
    return kOkExit;
  });
}

}  // namespace modelhop::cli
