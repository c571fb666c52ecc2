// modelhop space: what a spec would search, without running anything.
#include <fmt/format.h>

#include <algorithm>

#include "cli/cli.h"
#include "cli/spec_check.h"
#include "cli/spec_input.h"
#include "scheduler/api/json_text.h"
#include "scheduler/api/views.h"
#include "search/registry.h"

namespace modelhop::cli {
namespace {

struct SpaceOptions {
  std::string file;
  std::vector<std::string> sets;
  std::uint64_t count{5};
  std::uint64_t partitions{};
};

// What the scheduler of --server says of the spec, where one was named and the store has no such data set.
Result<std::optional<ApiResponse>> ask_server(const Cli& cli, const std::string& text, const std::string& verb) {
  std::optional<ApiResponse> out;
  if (!cli.settings.given("server") || check_spec_here(cli.settings.store(), text).data) return out;
  ASSIGN_OR_RETURN(const auto backend, open_http(cli.settings.value("server")));
  ASSIGN_OR_RETURN(out, backend->ask({"POST", "/api/v1/specs:" + verb, {}, text, ""}));
  if (out->status != 422) RETURN_IF_ERROR(status_of(*out));
  return out;
}

// Prints every problem.
CheckedSpec check(const Cli& cli, const SpaceOptions& options, const std::string& text) {
  CheckedSpec out = check_spec_here(cli.settings.store(), text);
  if (!cli.quiet || !out.parsed.spec) print_problems(options.file, out.parsed.problems);
  return out;
}

Result<int> validate(const Cli& cli, const SpaceOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, read_spec(options.file, options.sets));
  ASSIGN_OR_RETURN(const auto answer, ask_server(cli, text, "validate"));
  std::vector<Problem> problems;
  bool valid = false;
  if (answer) {
    ASSIGN_OR_RETURN(const Json json, parse_json(answer->body, "the scheduler's answer"));
    problems = problems_of(json);
    valid = answer->status == 200;
    if (!cli.quiet || !valid) print_problems(options.file, problems);
  } else {
    const CheckedSpec checked = check(cli, options, text);
    problems = checked.parsed.problems;
    valid = checked.parsed.spec != nullptr;
  }
  const auto warnings = static_cast<std::size_t>(
      std::count_if(problems.begin(), problems.end(), [](const Problem& p) { return p.warning; }));
  const std::size_t errors = problems.size() - warnings;
  if (cli.format() == Format::kJson) {
    Json list = Json::array();
    for (const Problem& problem : problems) {
      list.push_back({{"pointer", problem.pointer}, {"message", problem.message}, {"warning", problem.warning}});
    }
    print_json({{"valid", valid}, {"problems", list}});
  } else if (valid) {
    fmt::print("{}: valid{}\n", options.file,
               warnings == 0 ? "" : fmt::format(", {} warning{}", warnings, warnings == 1 ? "" : "s"));
  }
  if (!valid && errors > 1) fmt::print(stderr, "{} errors\n", errors);
  return valid ? kOkExit : kUsageExit;
}

// P, from the data set or from --partitions.
Result<std::uint64_t> partitions_of(const CheckedSpec& checked, const SpaceOptions& options) {
  if (options.partitions > 0) return options.partitions;
  if (checked.data) return static_cast<std::uint64_t>(checked.data->partitions.size());
  return invalid("how many partitions data set \"" + checked.parsed.spec->dataset +
                 "\" has is not known here: name its store with --store, or say --partitions P");
}

Result<const SearchFactory*> search_of(const Spec& spec) {
  const SearchFactory* search = find_search(spec.algorithm);
  if (search == nullptr) return invalid("/algorithm/name: no search algorithm \"" + spec.algorithm + "\"");
  return search;
}

Result<Json> plan_of(const CheckedSpec& checked, const SpaceOptions& options) {
  const Spec& spec = *checked.parsed.spec;
  ASSIGN_OR_RETURN(const std::uint64_t partitions, partitions_of(checked, options));
  ASSIGN_OR_RETURN(const SearchFactory* search, search_of(spec));
  ASSIGN_OR_RETURN(const SearchPlan plan, search->preview(spec, partitions));
  return plan_json(plan, static_cast<std::uint32_t>(partitions));
}

void print_plan(const Cli& cli, const Json& plan) {
  if (cli.format() == Format::kJson) return print_json(plan);
  const std::uint64_t partitions = count_of(plan, "partitions");
  if (cli.format() == Format::kTable) {
    const char* const limits = member(plan, "open_ended") == Json(true) ? ", less if time_budget ends first" : "";
    fmt::print("{}\n", format_fields({{"trials", std::to_string(count_of(plan, "trials")) + limits},
                                      {"visits", fmt::format("{} ({} partitions, so {} visits are an epoch)",
                                                             count_of(plan, "visits"), partitions, partitions)},
                                      {"epochs", number_text(number_of(plan, "epochs"))}}));
  }
  std::vector<Json> rows;
  for (const Json& bracket : member(plan, "brackets")) {
    std::size_t rung = 0;
    for (Json row : bracket) {
      row["bracket"] = rows.empty() || rung > 0 ? (rows.empty() ? 1 : count_of(rows.back(), "bracket"))
                                                : count_of(rows.back(), "bracket") + 1;
      row["rung"] = ++rung;
      row["epochs"] = epochs_of(count_of(row, "target_visits"), static_cast<std::uint32_t>(partitions));
      rows.push_back(std::move(row));
    }
  }
  print_items(cli.format(),
              {key_column("bracket", "bracket"), key_column("rung", "rung"), key_column("trials", "trials"),
               key_column("visits each", "target_visits"), key_column("epochs each", "epochs")},
              rows);
}

Result<int> preview(const Cli& cli, const SpaceOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, read_spec(options.file, options.sets));
  ASSIGN_OR_RETURN(const auto answer, ask_server(cli, text, "preview"));
  if (answer) {
    ASSIGN_OR_RETURN(const Json plan, parse_json(answer->body, "the scheduler's answer"));
    print_problems(options.file, problems_of(plan));
    if (answer->status != 200) return kUsageExit;
    print_plan(cli, plan);
    return kOkExit;
  }
  const CheckedSpec checked = check(cli, options, text);
  if (!checked.parsed.spec) return kUsageExit;
  ASSIGN_OR_RETURN(const Json plan, plan_of(checked, options));
  print_plan(cli, plan);
  return kOkExit;
}

Result<int> sample(const Cli& cli, const SpaceOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, read_spec(options.file, options.sets));
  const CheckedSpec checked = check(cli, options, text);
  if (!checked.parsed.spec) return kUsageExit;
  const std::uint64_t partitions = options.partitions > 0 ? options.partitions
                                   : checked.data         ? checked.data->partitions.size()
                                                          : 1;
  ASSIGN_OR_RETURN(const SearchFactory* factory, search_of(*checked.parsed.spec));
  ASSIGN_OR_RETURN(const std::unique_ptr<Search> search, factory->create(checked.parsed.spec, partitions));
  std::vector<Json> items;
  while (items.size() < options.count) {
    const std::size_t before = items.size();
    for (const Decision& decision : search->decide({items.size(), options.count - items.size(), partitions})) {
      const auto* create = std::get_if<CreateTrial>(&decision);
      if (create == nullptr) continue;
      const TrialId trial{items.size() + 1};
      search->apply(SearchTrialCreated{trial, create->params, create->target_visits, create->origin});
      items.push_back({{"trial", trial.value}, {"origin", create->origin}, {"params", params_json(create->params)}});
    }
    if (items.size() == before) break;  // the space has no more
  }
  std::vector<Column> columns = {key_column("trial", "trial"), key_column("origin", "origin")};
  for (const Parameter& parameter : checked.parsed.spec->space) {
    const std::string path = parameter.path;
    columns.push_back({path, [path](const Json& item) { return member(member(item, "params"), path); }});
  }
  print_items(cli.format(), columns, items);
  return kOkExit;
}

}  // namespace

void add_space(CLI::App& app, Cli& cli) {
  CLI::App* space = add_command_group(&app, "space", "Check a spec and look at its search space, without running it");
  const auto options = make_options<SpaceOptions>();
  const auto with_spec = [&](CLI::App* command) {
    option(command, "spec", options->file, "Spec file, JSON (docs/spec.md); - reads standard input").required();
    option(command, "--set", options->sets, "PATH=VALUE to change in the spec; may be given more than once")
        .repeatable();
    return command;
  };
  on_run(with_spec(add_command(space, "validate", "List everything that is wrong with a spec (exit 2)",
                               "  modelhop space validate spec.json --store D\n"
                               "  modelhop space validate spec.json --set training.epochs=3 -o json")),
         cli, [&cli, options] { return validate(cli, *options); });
  CLI::App* command = with_spec(add_command(space, "preview", "Show how many trials, visits and epochs a spec will run",
                                            "  modelhop space preview spec.json --partitions 4"));
  option(command, "--partitions", options->partitions, "Partitions of the data set, where no store is at hand");
  on_run(command, cli, [&cli, options] { return preview(cli, *options); });
  command = with_spec(add_command(space, "sample", "Show the first configurations that would be tried",
                                  "  modelhop space sample spec.json -n 10"));
  option(command, "-n,--count", options->count, "How many (default 5)").between(1, 100000);
  option(command, "--partitions", options->partitions, "Partitions of the data set, where no store is at hand");
  on_run(command, cli, [&cli, options] { return sample(cli, *options); });
}

}  // namespace modelhop::cli
