#include "worker/data/partition.h"

#include <cstring>
#include <new>

#include "worker/data/column.h"
#include "worker/data/file_io.h"
#include "worker/data/hdf5_shard.h"

namespace modelhop {
namespace {

Status check_digest(const std::string& path, const Shard& shard) {
  ASSIGN_OR_RETURN(const FileDigest digest, digest_file(path));
  if (digest.size_bytes != shard.size_bytes) {
    return corrupt("'" + path + "' has " + std::to_string(digest.size_bytes) + " bytes, its manifest says " +
                   std::to_string(shard.size_bytes));
  }
  if (digest.hash != shard.hash) {
    return corrupt("'" + path + "' has the hash " + to_string(digest.hash) + ", its manifest says " +
                   to_string(shard.hash));
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const Partition>> load_partition(const std::string& path, const Shard& shard,
                                                        const Manifest& manifest) try {
  // The hash first: nothing below has to withstand damaged bytes.
  RETURN_IF_ERROR(check_digest(path, shard));
  ASSIGN_OR_RETURN(const std::vector<ColumnPlace> places, find_columns(path, manifest.columns, shard.rows));
  ASSIGN_OR_RETURN(const File file, open_to_read(path));
  std::vector<std::vector<std::uint8_t>> data;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Column& column = manifest.columns[i];
    std::uint64_t bytes = 0;
    if (!column_bytes(column, shard.rows, bytes)) return corrupt("'" + path + "': /" + column.name + " is too large");
    std::vector<std::uint8_t>& out = data.emplace_back(bytes);
    if (places[i].offset) {
      RETURN_IF_ERROR(read_at(file, path, *places[i].offset, out));
    } else {
      RETURN_IF_ERROR(read_column(path, column, out));
    }
  }
  if (manifest.target == TargetKind::kClasses) {
    if (data[1].size() != shard.rows * size_of(manifest.y().dtype))
      return corrupt("'" + path + "': a class is one number");
    // A label outside of the classes would be an index outside of the model's output.
    ASSIGN_OR_RETURN(const LabelRange labels, label_range(manifest.y().dtype, data[1]));
    if (labels.min < 0 || static_cast<std::uint64_t>(labels.max) >= manifest.classes) {
      return corrupt("'" + path + "': /y has labels from " + std::to_string(labels.min) + " to " +
                     std::to_string(labels.max) + ", the data set has " + std::to_string(manifest.classes) +
                     " classes");
    }
  }
  return std::make_shared<const Partition>(shard.rows, std::move(data[0]), std::move(data[1]));
} catch (const std::bad_alloc&) {
  return environment("no memory to load '" + path + "' of " + std::to_string(shard.size_bytes) + " bytes");
}

}  // namespace modelhop
