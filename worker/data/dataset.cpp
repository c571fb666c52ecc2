#include "worker/data/dataset.h"

#include <algorithm>
#include <filesystem>

#include "common/base/limits.h"
#include "worker/data/file_io.h"
#include "worker/data/partition.h"
#include "worker/data/staging.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFileScheme = "file://";

std::vector<Shard> all_shards(const Manifest& manifest) {
  std::vector<Shard> shards = manifest.partitions;
  if (manifest.validation) shards.push_back(*manifest.validation);
  if (manifest.test) shards.push_back(*manifest.test);
  return shards;
}

Status no_such(const std::string& name) {
  return not_found("no data set '" + name + "' in this store; modelhop data list shows what there is");
}

}  // namespace

bool is_dataset_name(std::string_view name) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kNameBytesMax && alphanumeric(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

Result<std::string> data_folder(const std::string& store) {
  const std::string path = store.starts_with(kFileScheme) ? store.substr(kFileScheme.size()) : store;
  if (path.empty()) return invalid("the store has no path; give --store PATH");
  if (path.find("://") != std::string::npos) return invalid("store '" + store + "': only paths and file:/// are known");
  return path + "/data";
}

Result<std::string> dataset_folder(const std::string& store, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string parent, data_folder(store));
  // Also what keeps a name from leading out of the store.
  if (!is_dataset_name(name)) return no_such(name);
  return parent + "/" + name;
}

Result<Manifest> read_dataset(const std::string& store, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string folder, dataset_folder(store, name));
  std::error_code error;
  if (!fs::is_directory(folder, error)) return no_such(name);
  const std::string path = folder + "/manifest.json";
  ASSIGN_OR_RETURN(const std::string text, read_text(path, kManifestBytesMax));
  Result<Manifest> manifest = parse_manifest(text);
  if (!manifest.ok()) return corrupt("'" + path + "': " + manifest.status().message());
  if (manifest->name != name) return corrupt("'" + path + "' is the manifest of '" + manifest->name + "'");
  return manifest;
}

Result<std::vector<DatasetEntry>> list_datasets(const std::string& store) {
  ASSIGN_OR_RETURN(const std::string parent, data_folder(store));
  std::vector<DatasetEntry> entries;
  std::error_code error;
  if (!fs::exists(parent, error)) return entries;
  sweep(parent);
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (std::error_code ignored; !is_dataset_name(name) || !at->is_directory(ignored)) continue;
    DatasetEntry entry;
    entry.name = name;
    Result<Manifest> manifest = read_dataset(store, name);
    if (manifest.ok()) {
      entry.manifest = std::move(manifest).value();
    } else {
      entry.status = manifest.status();
    }
    entries.push_back(std::move(entry));
  }
  if (error) return environment("cannot read '" + parent + "': " + error.message());
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

Status verify_dataset(const std::string& store, const std::string& name) {
  ASSIGN_OR_RETURN(const Manifest manifest, read_dataset(store, name));
  ASSIGN_OR_RETURN(const std::string folder, dataset_folder(store, name));
  const std::vector<Shard> shards = all_shards(manifest);
  std::string bad;
  std::size_t count = 0;
  for (const Shard& shard : shards) {
    const auto loaded = load_partition(folder + "/" + shard.file, shard, manifest);
    if (loaded.ok()) continue;
    if (loaded.status().code() == Code::kEnvironment) return loaded.status();
    bad += "\n  " + loaded.status().message();
    ++count;
  }
  if (count == 0) return {};
  return corrupt("data set '" + name + "': " + std::to_string(count) + " of " + std::to_string(shards.size()) +
                 " files are bad; import it again" + bad);
}

Status delete_dataset(const std::string& store, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string parent, data_folder(store));
  if (!is_dataset_name(name)) return no_such(name);
  const Status removed = remove_folder(parent, name);
  return removed.code() == Code::kNotFound ? no_such(name) : removed;
}

}  // namespace modelhop
