// modelhop checkpoint: model states in the store.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "cli/cli.h"
#include "common/client/http_client.h"
#include "common/state/state_file.h"
#include "common/store/blob_store.h"
#include "common/store/files.h"

namespace modelhop::cli {
namespace {

const std::vector<Column>& columns() {
  static const std::vector<Column> kColumns = {key_column("id", "id"),
                                               key_column("epochs", "epochs"),
                                               key_column("value", "value"),
                                               key_column("best", "best"),
                                               key_column("latest", "latest"),
                                               key_column("durable", "durable"),
                                               key_column("bytes", "size_bytes"),
                                               key_column("hash", "hash")};
  return kColumns;
}

Result<int> list_checkpoints(const Cli& cli, const std::string& name) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json experiment, find_experiment(*backend, name, cli.quiet));
  ASSIGN_OR_RETURN(const auto items, get_all(*backend, experiment_path(text_of(experiment, "id")) + "/checkpoints"));
  print_items(cli.format(), columns(), items);
  return kOkExit;
}

Result<Json> find(const Cli& cli, const std::string& id) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  return get(*backend, "/api/v1/checkpoints/" + percent_encode(id));
}

Result<int> show_checkpoint(const Cli& cli, const std::string& id) {
  ASSIGN_OR_RETURN(const Json checkpoint, find(cli, id));
  if (cli.format() == Format::kJson) {
    print_json(checkpoint);
    return kOkExit;
  }
  std::vector<std::pair<std::string, std::string>> fields;
  for (const char* key : {"id", "trial", "epochs", "value", "step", "samples", "best", "latest", "hash"}) {
    fields.emplace_back(key, field_text(cli.format(), member(checkpoint, key)));
  }
  const Json& size = member(checkpoint, "size_bytes");
  // Three facts: the journal has it, a worker's memory has it, the store has it.
  const std::string holder = text_of(checkpoint, "held_by");
  fields.emplace_back("accepted", "true");
  fields.emplace_back("held", holder.empty() ? "" : "by " + holder + ", which is saving it");
  fields.emplace_back("durable", field_text(cli.format(), member(checkpoint, "durable")));
  fields.emplace_back("size", cli.format() == Format::kTable ? bytes_text(number_of(checkpoint, "size_bytes"))
                                                             : field_text(cli.format(), size));
  fields.emplace_back("file", cli.settings.store() + "/" + text_of(checkpoint, "blob"));
  print_fields(cli.format(), fields);
  return kOkExit;
}

// All or nothing: a half-written file never has the name that was asked for.
Status write_file(const std::string& path, std::span<const std::uint8_t> bytes) {
  const std::string temporary = path + ".part";
  std::FILE* out = std::fopen(temporary.c_str(), "wb");
  bool ok = out != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size();
  int why = errno;
  if (out != nullptr && std::fclose(out) != 0) {
    ok = false;
    why = errno;
  }
  if (ok && std::rename(temporary.c_str(), path.c_str()) != 0) {
    ok = false;
    why = errno;
  }
  if (ok) return {};
  if (out != nullptr) std::remove(temporary.c_str());
  return environment(path + ": cannot be written: " + std::strerror(why));
}

// From the store, or, where it is not at hand, from the scheduler.
Result<std::vector<std::uint8_t>> read_state(const Cli& cli, Backend& backend, const Json& checkpoint) {
  const std::string blob = text_of(checkpoint, "blob");
  const bool remote = backend.live() && !cli.settings.given("store");
  if (remote) {
    ASSIGN_OR_RETURN(
        const ApiResponse answer,
        backend.ask(
            {"GET", "/api/v1/checkpoints/" + percent_encode(text_of(checkpoint, "id")) + "/content", {}, "", ""}));
    RETURN_IF_ERROR(status_of(answer));
    return std::vector<std::uint8_t>(answer.body.begin(), answer.body.end());
  }
  ASSIGN_OR_RETURN(const auto store, open_store(cli.settings.store()));
  auto bytes = store->read(blob, kStateBytesMax);
  if (bytes.status().code() == Code::kNotFound) {
    return not_found("store " + cli.settings.store() + " has no " + blob + "; name the scheduler's store with --store");
  }
  return bytes;
}

Result<int> download(const Cli& cli, const std::string& id, std::string out) {
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  ASSIGN_OR_RETURN(const Json checkpoint, get(*backend, "/api/v1/checkpoints/" + percent_encode(id)));
  const std::string blob = text_of(checkpoint, "blob");
  const auto bytes = read_state(cli, *backend, checkpoint);
  RETURN_IF_ERROR(bytes.status());
  const auto decoded = decode_state(*bytes, nullptr);
  if (!decoded.ok()) return Status{decoded.status().code(), blob + ": " + decoded.status().message()};
  if (to_string(decoded->ref.hash) != text_of(checkpoint, "hash")) {
    return corrupt(blob + ": its hash is " + to_string(decoded->ref.hash) + ", the journal says " +
                   text_of(checkpoint, "hash"));
  }
  if (out.empty()) out = text_of(checkpoint, "id") + ".safetensors";
  RETURN_IF_ERROR(write_file(out, *bytes));
  cli.note(fmt::format("{} ({}), hash {} checked", text_of(checkpoint, "id"),
                       bytes_text(static_cast<double>(bytes->size())), text_of(checkpoint, "hash")));
  fmt::print("{}\n", out);
  return kOkExit;
}

// In pieces, as the scheduler answers. What an earlier piece deleted is said although a later one fails.
Result<int> collect_garbage(const Cli& cli, bool dry_run) {
  static const std::vector<Column> kColumns = {key_column("id", "checkpoint"), key_column("bytes", "size_bytes"),
                                               key_column("reason", "reason"), key_column("file", "blob")};
  ASSIGN_OR_RETURN(const auto backend, cli.backend());
  Json all = {{"dry_run", dry_run}, {"items", Json::array()}, {"kept_reasons", Json::object()}};
  Status failed;
  for (Json request = {{"dry_run", dry_run}};;) {
    const auto piece = send(*backend, {"POST", "/api/v1/checkpoints:gc", {}, request.dump(), ""});
    failed = piece.status();
    if (!failed.ok()) break;
    for (const Json& item : items_of(*piece)) all["items"].push_back(item);
    for (const char* sum : {"count", "size_bytes", "kept", "kept_bytes"}) {
      all[sum] = count_of(all, sum) + count_of(*piece, sum);
    }
    for (const auto& [why, number] : member(*piece, "kept_reasons").items()) {
      all["kept_reasons"][why] = count_of(all["kept_reasons"], why) + count_of(member(*piece, "kept_reasons"), why);
    }
    const std::string next = text_of(*piece, "next");
    if (next.empty()) break;
    request["after"] = next;
  }
  const std::vector<Json> items(all["items"].begin(), all["items"].end());
  if (!failed.ok() && items.empty()) return failed;
  if (cli.format() == Format::kJson) {
    print_json(all);
  } else if (!items.empty() || cli.format() == Format::kCsv) {
    print_items(cli.format(), kColumns, items);
  }
  if (cli.format() == Format::kTable) {
    fmt::print("{} {} files, {}; {} files, {}, are kept\n", dry_run ? "would delete" : "deleted", items.size(),
               bytes_text(number_of(all, "size_bytes")), count_of(all, "kept"),
               bytes_text(number_of(all, "kept_bytes")));
  }
  if (!failed.ok()) return failed;
  return kOkExit;
}

}  // namespace

void add_checkpoint(CLI::App& app, Cli& cli) {
  CLI::App* checkpoint = add_command_group(&app, "checkpoint", "List, show, download and collect model states");
  const auto name = make_options<std::string>();
  const auto out = make_options<std::string>();
  CLI::App* command = add_command(checkpoint, "list", "List the states of an experiment that the store keeps",
                                  "  modelhop checkpoint list e7");
  option(command, "experiment", *name, "Experiment: e7 or its name (default: the newest)");
  on_run(command, cli, [&cli, name] { return list_checkpoints(cli, *name); });
  const auto with_id = [&](CLI::App* of) {
    option(of, "checkpoint", *name, "e7.12@<lineage>.<visits>, or e7.12 for the trial's newest").required();
    return of;
  };
  on_run(with_id(add_command(checkpoint, "show", "Show one state", "  modelhop checkpoint show e7.12@0.20")), cli,
         [&cli, name] { return show_checkpoint(cli, *name); });
  command = with_id(add_command(checkpoint, "download", "Copy a state's safetensors file, after checking its hash",
                                "  modelhop checkpoint download e7.12 --out best.safetensors --state-dir D"));
  option(command, "--out", *out, "File to write (default: ID.safetensors)");
  on_run(command, cli, [&cli, name, out] { return download(cli, *name, *out); });
  command =
      add_command(checkpoint, "gc",
                  "Delete what lies in the store and nothing needs: states that never counted, "
                  "or of deleted experiments, and what writers that died left",
                  "  modelhop checkpoint gc --dry-run\n  modelhop checkpoint gc\n  modelhop checkpoint gc --dry-run "
                  "--state-dir D");
  const auto dry_run = make_options<bool>();
  flag(command, "--dry-run", *dry_run, "Only say what would be deleted, and why");
  on_run(command, cli, [&cli, dry_run] { return collect_garbage(cli, *dry_run); });
}

}  // namespace modelhop::cli
