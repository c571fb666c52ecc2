#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <numeric>

#include "common/base/hash.h"
#include "common/base/time.h"
#include "worker/data/column.h"
#include "worker/data/dataset.h"
#include "worker/data/hdf5_shard.h"
#include "worker/data/import_plan.h"
#include "worker/data/source.h"
#include "worker/data/staging.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

Status check_finite(const SourceArray& array) {
  const auto at = first_not_finite(array.dtype, array.bytes);
  if (!at) return {};
  return invalid("'" + array.file + "' " + array.where(*at) + ": NaN or infinity; clean the data first");
}

Status check_set(const SourceSet& set) {
  if (set.x.rows() != set.y.rows()) {
    return invalid("counts differ: '" + set.x.file + "' has " + std::to_string(set.x.rows()) + " rows, '" + set.y.file +
                   "' has " + std::to_string(set.y.rows()));
  }
  RETURN_IF_ERROR(check_finite(set.x));
  return check_finite(set.y);
}

// A row of one number is a vector of one feature in x and a scalar in y.
Column column_of(const char* name, const SourceArray& array, bool scalar_allowed) {
  Column column{name, array.dtype, {array.sizes.begin() + 1, array.sizes.end()}};
  if (column.shape.empty() && !scalar_allowed) column.shape = {1};
  return column;
}

bool same_columns(const SourceArray& a, const SourceArray& b) {
  return a.dtype == b.dtype && std::equal(a.sizes.begin() + 1, a.sizes.end(), b.sizes.begin() + 1, b.sizes.end());
}

// Integer labels, one for each row, are classes 0 .. C-1; everything else is values.
Status find_classes(const Source& source, Manifest& manifest) {
  manifest.target = TargetKind::kValues;
  if (!is_integer(source.train.y.dtype) || source.train.y.sizes.size() != 1) return {};
  manifest.target = TargetKind::kClasses;
  const SourceArray* const arrays[] = {&source.train.y, source.test ? &source.test->y : nullptr};
  for (const SourceArray* y : arrays) {
    if (y == nullptr) continue;
    ASSIGN_OR_RETURN(const LabelRange range, label_range(y->dtype, y->bytes));
    if (range.min < 0) {
      return invalid("'" + y->file + "' " + y->where(range.min_at) + ": label " + std::to_string(range.min) +
                     "; classes are 0, 1, 2, ... (save floats for a regression)");
    }
    if (static_cast<std::uint64_t>(range.max) >= kClassesMax) {
      return invalid("'" + y->file + "' " + y->where(range.max_at) + ": label " + std::to_string(range.max) +
                     " is above the limit of " + std::to_string(kClassesMax) +
                     " classes (save floats for a regression)");
    }
    manifest.classes = std::max(manifest.classes, static_cast<std::uint64_t>(range.max) + 1);
  }
  return {};
}

Status describe(const Source& source, Manifest& manifest) {
  RETURN_IF_ERROR(check_set(source.train));
  if (source.test) {
    RETURN_IF_ERROR(check_set(*source.test));
    for (const auto& [train, test] :
         {std::pair(&source.train.x, &source.test->x), {&source.train.y, &source.test->y}}) {
      if (!same_columns(*train, *test)) {
        return invalid("'" + test->file + "' has another dtype or row shape than '" + train->file + "'");
      }
    }
  }
  manifest.columns = {column_of("x", source.train.x, false), column_of("y", source.train.y, true)};
  return find_classes(source, manifest);
}

// Writes the given rows as one file of the staging folder.
Result<Shard> write_shard(const std::string& folder, const std::string& file, const Manifest& manifest,
                          const SourceSet& set, std::span<const std::uint32_t> rows) {
  ASSIGN_OR_RETURN(ShardImage image, ShardImage::make(manifest.columns, rows.size()));
  const SourceArray* const arrays[] = {&set.x, &set.y};
  for (std::size_t i = 0; i < manifest.columns.size(); ++i) {
    const std::uint64_t bytes = arrays[i]->row_elements() * size_of(arrays[i]->dtype);
    std::uint8_t* to = image.column(i).data();
    for (const std::uint32_t row : rows) {
      std::memcpy(to, arrays[i]->bytes.data() + row * bytes, bytes);
      to += bytes;
    }
  }
  RETURN_IF_ERROR(write_durably(folder + "/" + file, image.bytes()));
  return Shard{file, rows.size(), image.bytes().size(), hash_bytes(image.bytes())};
}

Status write_shards(const std::string& folder, const Source& source, const ImportPlan& plan, Manifest& manifest) {
  std::span<const std::uint32_t> rows = plan.order;
  if (plan.validation_rows > 0) {
    ASSIGN_OR_RETURN(manifest.validation,
                     write_shard(folder, "validation.h5", manifest, source.train, rows.first(plan.validation_rows)));
    rows = rows.subspan(plan.validation_rows);
  }
  for (std::size_t i = 0; i < plan.partition_rows.size(); ++i) {
    char file[32];
    std::snprintf(file, sizeof file, "train-%04zu.h5", i);
    ASSIGN_OR_RETURN(Shard shard,
                     write_shard(folder, file, manifest, source.train, rows.first(plan.partition_rows[i])));
    manifest.partitions.push_back(std::move(shard));
    rows = rows.subspan(plan.partition_rows[i]);
  }
  if (!source.test) return {};
  std::vector<std::uint32_t> order(source.test->x.rows());  // a test set keeps its order
  std::iota(order.begin(), order.end(), 0u);
  ASSIGN_OR_RETURN(manifest.test, write_shard(folder, "test.h5", manifest, *source.test, order));
  return {};
}

Status already_there(const std::string& name) {
  return conflict("data set '" + name + "' exists; choose another name, or remove it with: modelhop data delete " +
                  name);
}

}  // namespace

bool parse(std::string_view text, ImportFrom& out) {
  if (text == "idx") {
    out = ImportFrom::kIdx;
  } else if (text == "npy") {
    out = ImportFrom::kNpy;
  } else {
    return false;
  }
  return true;
}

Result<Manifest> import_dataset(const std::string& store, const ImportRequest& request) try {
  if (!is_dataset_name(request.name)) {
    return invalid("'" + request.name +
                   "' is no data set name: small letters, digits, '.', '_' and '-', a letter or digit first");
  }
  ASSIGN_OR_RETURN(const std::string parent, data_folder(store));
  RETURN_IF_ERROR(make_folders(parent));
  sweep(parent);
  const std::string final_folder = parent + "/" + request.name;
  if (std::error_code error; fs::exists(final_folder, error)) return already_there(request.name);

  ASSIGN_OR_RETURN(const Source source, request.from == ImportFrom::kIdx
                                            ? read_idx_source(request.paths, request.test_paths)
                                            : read_npy_source(request.paths, request.test_paths));
  Manifest manifest;
  manifest.name = request.name;
  manifest.seed = request.seed;
  manifest.shuffled = true;
  RETURN_IF_ERROR(describe(source, manifest));
  ASSIGN_OR_RETURN(const ImportPlan plan, plan_import(request, source.train.x.rows()));
  if (source.test && source.test->x.rows() > kDatasetRowsMax) {
    return invalid("'" + source.test->x.file + "' has " + std::to_string(source.test->x.rows()) + " rows: at most " +
                   std::to_string(kDatasetRowsMax));
  }

  ASSIGN_OR_RETURN(Staging staging, Staging::begin(parent));
  RETURN_IF_ERROR(write_shards(staging.folder(), source, plan, manifest));
  manifest.created = to_iso8601(wall_now());
  const std::string text = to_json(manifest);
  if (const auto read_back = parse_manifest(text); !read_back.ok()) return invalid(read_back.status().message());
  RETURN_IF_ERROR(write_durably(staging.folder() + "/manifest.json",
                                {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
  const Status committed = staging.commit(request.name);
  if (committed.code() == Code::kConflict) return already_there(request.name);
  RETURN_IF_ERROR(committed);
  return manifest;
} catch (const std::bad_alloc&) {
  return environment("no memory: an import holds its source and one partition; more --partitions make that smaller");
}

}  // namespace modelhop
