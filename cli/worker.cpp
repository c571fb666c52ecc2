// modelhop worker: who trains.
#include <fmt/format.h>

#include <algorithm>

#include "cli/cli.h"
#include "common/client/http_client.h"

namespace modelhop::cli {
namespace {

std::string doing(const Json& worker) {
  if (text_of(worker, "state") != "connected") return "";
  if (text_of(worker, "admission") == "drained" && text_of(worker, "trial").empty()) return "drained";
  const std::string trial = text_of(worker, "trial");
  return trial.empty() ? "idle: " + text_of(worker, "cause") : text_of(worker, "cause") + " " + trial;
}

Result<int> list_workers(const Cli& cli) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(auto workers, get_all(*backend, "/api/v1/workers"));
  std::sort(workers.begin(), workers.end(), [](const Json& a, const Json& b) {  // w2 before w10
    const std::string one = text_of(a, "name"), other = text_of(b, "name");
    return std::pair(one.size(), one) < std::pair(other.size(), other);
  });
  print_items(cli.format(),
              {key_column("name", "name"),
               key_column("state", "state"),
               key_column("device", "device"),
               key_column("threads", "threads"),
               {"doing", [](const Json& worker) { return Json(doing(worker)); }},
               key_column("units finished", "units_finished"),
               key_column("joined", "joined_at"),
               key_column("left because", "left_reason")},
              workers);
  return kOkExit;
}

Result<int> show_worker(const Cli& cli, const std::string& name) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json worker, get(*backend, "/api/v1/workers/" + percent_encode(name)));
  if (cli.format() == Format::kJson) {
    print_json(worker);
    return kOkExit;
  }
  std::string held;
  const Json& partitions = member(worker, "partitions");
  for (const auto& item : partitions.items()) {
    held += (held.empty() ? "" : "; ") + item.key() + " " + item.value().dump();
  }
  const std::string memory = bytes_text(number_of(worker, "memory_bytes"));
  const std::string left = text_of(worker, "left_at"), reason = text_of(worker, "left_reason");
  std::vector<std::pair<std::string, std::string>> fields = {
      {"name", text_of(worker, "name")},
      {"state", text_of(worker, "state")},
      {"doing", cell_text(Json(doing(worker)))},
      {"device", fmt::format("{}, {} thread{}, {}", text_of(worker, "device"), count_of(worker, "threads"),
                             count_of(worker, "threads") == 1 ? "" : "s", memory)},
      {"partitions", held.empty() ? "none" : held},
      {"units finished", std::to_string(count_of(worker, "units_finished"))},
      {"numeric profile", cell_text(member(worker, "profile"))},
      {"joined", cell_text(member(worker, "joined_at"))}};
  if (!left.empty()) fields.emplace_back("left", left + (reason.empty() ? "" : ": " + reason));
  print_fields(cli.format(), fields);
  return kOkExit;
}

}  // namespace

void add_worker(CLI::App& app, Cli& cli) {
  CLI::App* worker = add_command_group(&app, "worker", "List, show, drain and remove workers");
  on_run(add_command(worker, "list", "List every worker that joined and was not removed", "  modelhop worker list"),
         cli, [&cli] { return list_workers(cli); });
  const auto name = make_options<std::string>();
  CLI::App* command = add_command(worker, "show", "Show one worker", "  modelhop worker show w1");
  option(command, "name", *name, "Name of the worker").required();
  on_run(command, cli, [&cli, name] { return show_worker(cli, *name); });
  const auto verb = [&](const std::string& word, const std::string& help, const std::string& done) {
    CLI::App* of = add_command(worker, word, help, "  modelhop worker " + word + " w1");
    option(of, "name", *name, "Name of the worker").required();
    on_run(of, cli, [&cli, name, word, done] {
      return post_verb(cli, "/api/v1/workers/" + percent_encode(*name), word, *name + " " + done);
    });
  };
  verb("drain", "Lease it no more units: its running one yields, its partitions go to others; it stays connected",
       "is drained");
  verb("resume", "Let a drained worker have units again", "gets units again");
  verb("remove", "Tell a worker to leave for good and forget it; started again, it joins anew", "is removed");
}

}  // namespace modelhop::cli
