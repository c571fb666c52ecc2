// modelhop keys: who may speak to a scheduler as a worker.
#include "common/net/key_folder.h"

#include <fmt/format.h>

#include "cli/cli.h"

namespace modelhop::cli {
namespace {

KeyFolder folder_of(const Cli& cli, const std::string& keys) {
  return KeyFolder(keys.empty() ? cli.settings.value("state_dir") + "/keys" : keys);
}

Result<int> generate(const Cli& cli, KeyFolder folder, const std::string& name) {
  Result<KeyPair> scheduler = folder.scheduler();
  const bool missing = !scheduler.ok() && scheduler.status().code() == Code::kNotFound;
  // A folder with scheduler.pub alone is a worker's machine, whose secret key need not leave it.
  if (!(missing && !name.empty() && folder.has_scheduler_public())) scheduler = folder.make_scheduler();
  if (!scheduler.ok() && scheduler.status().code() != Code::kNotFound) return scheduler.status();
  if (missing && scheduler.ok()) cli.note("made the scheduler's key in " + folder.path());
  if (name.empty()) {
    fmt::print("{}\n", folder.path() + "/scheduler.pub");
    if (!missing) cli.note("the scheduler has its key already, and keeps it");
    return kOkExit;
  }
  ASSIGN_OR_RETURN(const KeyFolder::Made made, folder.make_worker(name));
  fmt::print("{}\n", made.file);
  cli.note(made.allowed
               ? "\"" + name +
                     "\" is allowed; give that file to its worker, and to nobody else: modelhop-worker --key " +
                     made.file
               : "the scheduler does not know it yet; bring it " + made.public_file +
                     " and run there: modelhop keys allow " + name + ".pub");
  return kOkExit;
}

Result<int> list(const Cli& cli, const KeyFolder& folder) {
  ASSIGN_OR_RETURN(const std::vector<KeyFolder::Listed> keys, folder.list());
  std::vector<Json> items;
  for (const KeyFolder::Listed& key : keys) {
    const std::string state = !key.problem.empty() ? "damaged: " + key.problem : key.allowed ? "allowed" : "revoked";
    items.push_back({{"name", key.name}, {"state", state}, {"public_key", key.public_key}});
  }
  print_items(cli.format(),
              {key_column("name", "name"), key_column("state", "state"), key_column("public key", "public_key")},
              items);
  return kOkExit;
}

}  // namespace

void add_keys(CLI::App& app, Cli& cli) {
  CLI::App* group = add_command_group(&app, "keys", "Make, allow, revoke and list the keys of workers");
  const auto add = [&](const char* name, const char* help, const char* examples,
                       const std::function<Result<int>(KeyFolder, const std::string&)>& action, const char* argument,
                       const char* about, bool required) {
    const auto keys = make_options<std::string>(), word = make_options<std::string>();
    CLI::App* command = add_command(group, name, help, examples);
    option(command, "--keys", *keys, "DIR of the keys (default STATE_DIR/keys)");
    if (argument != nullptr) {
      const Option given = option(command, argument, *word, about);
      if (required) (void)given.required();
    }
    on_run(command, cli, [&cli, keys, word, action] { return action(folder_of(cli, *keys), *word); });
  };
  add(
      "generate", "Make the scheduler's key, or a worker's, which is then allowed",
      "  modelhop keys generate\n"
      "  modelhop keys generate w1        then: modelhop-worker --key STATE_DIR/keys/w1.key ...",
      [&cli](KeyFolder folder, const std::string& name) { return generate(cli, std::move(folder), name); }, "name",
      "Name of the worker's key; without one, the scheduler's own is made if it has none", false);
  add(
      "allow", "Let a key in, at once", "  modelhop keys allow w1.pub\n  modelhop keys allow w1",
      [&cli](KeyFolder folder, const std::string& key) -> Result<int> {
        ASSIGN_OR_RETURN(const std::string name, folder.allow(key));
        cli.note("\"" + name + "\" is allowed");
        return kOkExit;
      },
      "key", "A .pub file, or the name of a revoked key", true);
  add(
      "revoke", "Let a key in no longer: its worker is out within a second", "  modelhop keys revoke w1",
      [&cli](KeyFolder folder, const std::string& name) -> Result<int> {
        RETURN_IF_ERROR(folder.revoke(name));
        cli.note("\"" + name + "\" is revoked");
        return kOkExit;
      },
      "name", "Name of the key", true);
  add(
      "list", "List the keys that are allowed or revoked", "  modelhop keys list",
      [&cli](const KeyFolder& folder, const std::string&) { return list(cli, folder); }, nullptr, nullptr, false);
}

}  // namespace modelhop::cli
