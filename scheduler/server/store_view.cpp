#include "scheduler/server/store_view.h"

#include <algorithm>

namespace modelhop {
namespace {

constexpr std::uint64_t kManifestBytesMax = 4 << 20;  // as worker/data writes at most

}  // namespace

Result<Manifest> read_manifest(BlobStore& store, const std::string& dataset) {
  const Result<std::vector<std::uint8_t>> bytes = store.read("data/" + dataset + "/manifest.json", kManifestBytesMax);
  if (!bytes.ok()) {
    if (bytes.status().code() != Code::kNotFound && bytes.status().code() != Code::kInvalid) return bytes.status();
    std::string there;
    for (const std::string& name : dataset_names(store)) there += (there.empty() ? "" : ", ") + name;
    return not_found("there is no data set \"" + dataset + "\" in the store; " +
                     (there.empty() ? "it holds none: import one with `modelhop data import`" : "it holds " + there));
  }
  return parse_manifest({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
}

std::vector<std::string> dataset_names(BlobStore& store) {
  constexpr std::string_view kFolder = "data/", kFile = "/manifest.json";
  std::vector<std::string> names;
  const Result<std::vector<BlobEntry>> entries = store.list(std::string(kFolder));
  if (!entries.ok()) return names;
  for (const BlobEntry& entry : *entries) {
    if (!entry.name.ends_with(kFile) || entry.name.size() <= kFolder.size() + kFile.size()) continue;
    const std::string name = entry.name.substr(kFolder.size(), entry.name.size() - kFolder.size() - kFile.size());
    if (name.find('/') == std::string::npos && name[0] != '.') names.push_back(name);  // ".import-*": half imported
  }
  return names;
}

DatasetRegistered registered(const Manifest& manifest) {
  DatasetRegistered out{manifest.name, identity(manifest), {}, 0};
  for (const Shard& shard : manifest.partitions) {
    out.partition_rows.push_back(shard.rows);
    out.partition_bytes = std::max(out.partition_bytes, shard.size_bytes);
  }
  return out;
}

}  // namespace modelhop
