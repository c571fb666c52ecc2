#include "scheduler/server/store_view.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "common/base/time.h"

namespace modelhop {
namespace {

constexpr std::uint64_t kManifestBytesMax = 4 << 20;  // as worker/data writes at most
constexpr int kFenceTriesMax = 1'000;                 // other schedulers that start at this moment

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

Result<std::uint64_t> claim_boot(BlobStore& store, std::uint64_t above) {
  constexpr std::string_view kFolder = "fence/";
  ASSIGN_OR_RETURN(const std::vector<BlobEntry> taken, store.list(std::string(kFolder)));
  std::uint64_t boot = above;
  for (const BlobEntry& entry : taken) {
    std::uint64_t number = 0;
    const char* end = entry.name.data() + entry.name.size();
    const auto parsed = std::from_chars(entry.name.data() + kFolder.size(), end, number);
    if (parsed.ec == std::errc{} && parsed.ptr == end) boot = std::max(boot, number);
  }
  const std::string text = to_iso8601(wall_now()) + " pid " + std::to_string(::getpid()) + "\n";
  const std::span<const std::uint8_t> piece(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  for (int i = 0; i < kFenceTriesMax; ++i) {
    ++boot;
    ASSIGN_OR_RETURN(const Put put, store.create(std::string(kFolder) + std::to_string(boot), {&piece, 1}));
    if (put == Put::kCreated) return boot;
  }
  return conflict("store: " + std::to_string(kFenceTriesMax) + " schedulers started on it at once; stop all but one");
}

}  // namespace modelhop
