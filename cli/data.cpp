// modelhop data: the data sets of a store.
#include "worker/data/dataset.h"

#include <fmt/format.h>

#include "cli/cli.h"

namespace modelhop::cli {
namespace {

struct ImportOptions {
  ImportRequest request;
  std::string from;
  std::uint64_t validation_rows{};
  Option validation;
};

std::string column_text(const modelhop::Column& column) {
  std::string shape;
  for (const std::int64_t size : column.shape) shape += (shape.empty() ? "" : "x") + std::to_string(size);
  return to_string(column.dtype) + (shape.empty() ? std::string() : " " + shape);
}

Json shard_json(const Shard& shard) {
  return {{"file", shard.file}, {"rows", shard.rows}, {"bytes", shard.size_bytes}, {"hash", to_string(shard.hash)}};
}

Json manifest_json(const Manifest& manifest) {
  Json partitions = Json::array();
  for (const Shard& shard : manifest.partitions) partitions.push_back(shard_json(shard));
  return {{"name", manifest.name},
          {"identity", to_string(identity(manifest))},
          {"x", column_text(manifest.x())},
          {"y", column_text(manifest.y())},
          {"target", manifest.target == TargetKind::kClasses ? "classes" : "values"},
          {"classes", manifest.classes},
          {"train_rows", manifest.train_rows()},
          {"validation_rows", manifest.validation ? manifest.validation->rows : 0},
          {"test_rows", manifest.test ? manifest.test->rows : 0},
          {"partitions", partitions},
          {"validation", manifest.validation ? shard_json(*manifest.validation) : Json(nullptr)},
          {"test", manifest.test ? shard_json(*manifest.test) : Json(nullptr)},
          {"seed", manifest.seed},
          {"shuffled", manifest.shuffled},
          {"created", manifest.created}};
}

void print_manifest(const Cli& cli, const Manifest& manifest) {
  const Json json = manifest_json(manifest);
  if (cli.format() == Format::kJson) return print_json(json);
  std::uint64_t bytes = 0;
  for (const Shard& shard : manifest.partitions) bytes += shard.size_bytes;
  const Shard& first = manifest.partitions.front();
  const std::string target =
      manifest.target == TargetKind::kClasses ? fmt::format(", {} classes", manifest.classes) : "";
  print_fields(
      cli.format(),
      {{"name", manifest.name},
       {"x", column_text(manifest.x())},
       {"y", column_text(manifest.y()) + target},
       {"training", fmt::format("{} rows in {} partitions ({} rows the first), {}", manifest.train_rows(),
                                manifest.partitions.size(), first.rows, bytes_text(static_cast<double>(bytes)))},
       {"validation", manifest.validation ? fmt::format("{} rows", manifest.validation->rows) : "none"},
       {"test", manifest.test ? fmt::format("{} rows", manifest.test->rows) : "none"},
       {"seed", std::to_string(manifest.seed)},
       {"identity", to_string(identity(manifest))}});
}

Result<int> import(const Cli& cli, ImportOptions options) {
  if (!parse(options.from, options.request.from)) return invalid("--from " + options.from + ": idx or npy is needed");
  if (options.validation.given()) options.request.validation_rows = options.validation_rows;
  ASSIGN_OR_RETURN(const Manifest manifest, import_dataset(cli.settings.store(), options.request));
  cli.note(fmt::format("imported {} into {}", manifest.name, cli.settings.store()));
  print_manifest(cli, manifest);
  return kOkExit;
}

Result<int> print_datasets(const Cli& cli) {
  ASSIGN_OR_RETURN(const auto entries, list_datasets(cli.settings.store()));
  std::vector<Json> items;
  int exit = kOkExit;
  for (const DatasetEntry& entry : entries) {
    if (!entry.status.ok()) {
      fmt::print(stderr, "modelhop: data set {}: {}\n", entry.name, entry.status.message());
      exit = kFailedExit;
      continue;
    }
    items.push_back(manifest_json(entry.manifest));
  }
  if (entries.empty() && cli.format() == Format::kTable) {
    cli.note("no data set in " + cli.settings.store() + "; make one with `modelhop data import`");
    return kOkExit;
  }
  const auto count = [](const Json& item) { return Json(member(item, "partitions").size()); };
  print_items(cli.format(),
              {key_column("name", "name"),
               {"partitions", count},
               key_column("train rows", "train_rows"),
               key_column("validation rows", "validation_rows"),
               key_column("test rows", "test_rows"),
               key_column("x", "x"),
               key_column("y", "y"),
               key_column("created", "created")},
              items);
  return exit;
}

}  // namespace

void add_data(CLI::App& app, Cli& cli) {
  CLI::App* data = add_command_group(&app, "data", "Import, list, show, verify and delete data sets of the store");

  const auto options = make_options<ImportOptions>();
  CLI::App* command =
      add_command(data, "import", "Shuffle a data set once and cut it into partitions",
                  "  modelhop data import fmnist --from idx /usr/share/datasets/fashion-mnist --partitions 4\n"
                  "  modelhop data import housing --from npy FOLDER --partitions 8 --validation-rows 500");
  option(command, "name", options->request.name, "Name of the new data set: a-z 0-9 . _ -").required();
  option(command, "path", options->request.paths,
         "idx: a folder with MNIST's file names, or an images and a labels file; npy: a folder with x.npy, y.npy")
      .required()
      .values(1, 2);
  option(command, "--from", options->from, "idx or npy").required();
  option(command, "--partitions", options->request.partitions, "How many partitions, 1 to 4096").required();
  option(command, "--round-to", options->request.round_to, "Rows of a partition are a multiple of this");
  options->validation = option(command, "--validation-rows", options->validation_rows,
                               "Rows kept for validation (default: a tenth; 0: none)");
  option(command, "--test", options->request.test_paths, "Test set: the same forms as PATH").values(1, 2);
  option(command, "--seed", options->request.seed, "Seed of the one shuffle (default 0)");
  on_run(command, cli, [&cli, options] { return import(cli, *options); });

  on_run(add_command(data, "list", "List the data sets", "  modelhop data list -o json"), cli,
         [&cli] { return print_datasets(cli); });

  const auto name = make_options<std::string>();
  command = add_command(data, "show", "Show one data set");
  option(command, "name", *name, "Name of the data set").required();
  on_run(command, cli, [&cli, name]() -> Result<int> {
    ASSIGN_OR_RETURN(const Manifest manifest, read_dataset(cli.settings.store(), *name));
    print_manifest(cli, manifest);
    return kOkExit;
  });
  command = add_command(data, "verify", "Hash every file of a data set again (exit 1: one is damaged)");
  option(command, "name", *name, "Name of the data set").required();
  on_run(command, cli, [&cli, name]() -> Result<int> {
    RETURN_IF_ERROR(verify_dataset(cli.settings.store(), *name));
    fmt::print("{}: every file is as its manifest says\n", *name);
    return kOkExit;
  });
  command = add_command(data, "delete", "Delete a data set; experiments that used it can then not go on");
  option(command, "name", *name, "Name of the data set").required();
  on_run(command, cli, [&cli, name]() -> Result<int> {
    RETURN_IF_ERROR(delete_dataset(cli.settings.store(), *name));
    cli.note("deleted " + *name);
    return kOkExit;
  });
}

}  // namespace modelhop::cli
