#include "common/spec/manifest.h"

#include <array>
#include <set>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/limits.h"
#include "common/spec/json_reader.h"
#include "common/spec/json_text.h"

namespace modelhop {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "modelhop-dataset";
constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kManifestBytesMax = 4 << 20;                 // 4096 partitions take 0.6 MB
constexpr std::size_t kRankMax = 8;                                // of one row
constexpr std::uint64_t kRowElementsMax = std::uint64_t{1} << 32;  // of one row
constexpr std::uint64_t kShardRowsMax = std::uint64_t{1} << 40;    // so that sums over partitions stay exact
constexpr std::uint64_t kShardBytesMax = std::uint64_t{1} << 50;

struct DTypeRow {
  DType dtype;
  const char* name;
  std::size_t size;
};
constexpr std::array<DTypeRow, 11> kDTypes = {{{DType::kU8, "uint8", 1},
                                               {DType::kI8, "int8", 1},
                                               {DType::kI16, "int16", 2},
                                               {DType::kI32, "int32", 4},
                                               {DType::kI64, "int64", 8},
                                               {DType::kF32, "float32", 4},
                                               {DType::kF64, "float64", 8},
                                               {DType::kF16, "float16", 2},
                                               {DType::kU16, "uint16", 2},
                                               {DType::kU32, "uint32", 4},
                                               {DType::kBool, "bool", 1}}};

const DTypeRow& row_of(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return row;
  }
  check_failed(__FILE__, __LINE__, "a DType has a row");
}

bool is_float(DType dtype) { return dtype == DType::kF16 || dtype == DType::kF32 || dtype == DType::kF64; }

// The nlohmann keys are sorted; a manifest is written in the order in which it is read.
using Ordered = nlohmann::ordered_json;

Ordered shard_json(const Shard& shard) {
  return {
      {"file", shard.file}, {"rows", shard.rows}, {"size_bytes", shard.size_bytes}, {"hash", to_string(shard.hash)}};
}

// Takes keys out of an object one by one; what is left over is unknown. The first fault stays.
class Reader {
 public:
  Reader(json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) fail("", "must be an object");
  }
  void fail(const std::string& step, const std::string& what) {
    if (status_.ok()) status_ = corrupt("manifest " + where_ + step + ": " + what);
  }
  json take(const char* key) {
    if (!status_.ok()) return nullptr;
    const auto found = object_.find(key);
    if (found == object_.end()) {
      fail(pointer_step(key), "is missing");
      return nullptr;
    }
    json value = std::move(*found);
    object_.erase(found);
    return value;
  }
  std::string text(const char* key, std::size_t bytes_max) {
    const json value = take(key);
    if (!status_.ok()) return {};
    if (!value.is_string() || value.get_ref<const std::string&>().size() > bytes_max) {
      fail(pointer_step(key), "must be a text of at most " + std::to_string(bytes_max) + " bytes");
      return {};
    }
    return value.get<std::string>();
  }
  std::uint64_t number(const char* key, std::uint64_t most) {
    const json value = take(key);
    if (!status_.ok()) return 0;
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) {
      fail(pointer_step(key), "must be a whole number of at most " + std::to_string(most));
      return 0;
    }
    return value.get<std::uint64_t>();
  }
  bool flag(const char* key) {
    const json value = take(key);
    if (!status_.ok()) return false;
    if (!value.is_boolean()) fail(pointer_step(key), "must be true or false");
    return value.is_boolean() && value.get<bool>();
  }
  json list(const char* key, std::size_t least, std::size_t most) {
    json value = take(key);
    if (status_.ok() && (!value.is_array() || value.size() < least || value.size() > most)) {
      fail(pointer_step(key),
           "must be a list of " + std::to_string(least) + " to " + std::to_string(most) + " entries");
    }
    return value;
  }
  Status finish() {
    if (status_.ok() && !object_.empty()) fail(pointer_step(object_.begin().key()), "is unknown");
    return status_;
  }
  bool ok() const { return status_.ok(); }
  const std::string& where() const { return where_; }

 private:
  json& object_;
  std::string where_;
  Status status_;
};

// A plain file name: it is joined to the data set's folder.
bool plain_file_name(const std::string& name) {
  if (name.empty() || name.size() > 255 || name.front() == '.') return false;
  for (char c : name) {
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x21 || static_cast<unsigned char>(c) > 0x7e)
      return false;
  }
  return true;
}

Result<Shard> parse_shard(json value, std::string where, std::set<std::string>& files) {
  Reader in(value, std::move(where));
  Shard shard;
  shard.file = in.text("file", 255);
  shard.rows = in.number("rows", kShardRowsMax);
  shard.size_bytes = in.number("size_bytes", kShardBytesMax);
  const std::string hash = in.text("hash", 32);
  if (in.ok() && !plain_file_name(shard.file)) in.fail("/file", "must be a plain file name");
  if (in.ok() && !files.insert(shard.file).second) in.fail("/file", "\"" + shard.file + "\" is named twice");
  if (in.ok() && shard.rows == 0) in.fail("/rows", "must be at least 1");
  if (in.ok() && !parse(hash, shard.hash)) in.fail("/hash", "must be 32 hexadecimal digits");
  RETURN_IF_ERROR(in.finish());
  return shard;
}

Result<Column> parse_column(json value, std::string where, const char* name) {
  Reader in(value, std::move(where));
  Column column;
  column.name = in.text("name", 16);
  const std::string dtype = in.text("dtype", 16);
  const json shape = in.list("shape", 0, kRankMax);
  if (in.ok() && column.name != name) in.fail("/name", std::string("must be \"") + name + "\"");
  if (in.ok() && !parse(dtype, column.dtype)) in.fail("/dtype", "names no element type");
  std::uint64_t elements = 1;
  for (std::size_t i = 0; in.ok() && i < shape.size(); ++i) {
    const std::uint64_t size = shape[i].is_number_unsigned() ? shape[i].get<std::uint64_t>() : 0;
    if (size == 0 || size > kRowElementsMax || elements > kRowElementsMax / size) {
      in.fail("/shape" + pointer_step(i), "must be a size of at least 1, and a row must not be too large");
    } else {
      elements *= size;
      column.shape.push_back(static_cast<std::int64_t>(size));
    }
  }
  RETURN_IF_ERROR(in.finish());
  return column;
}

Result<std::optional<Shard>> parse_optional_shard(json value, std::string where, std::set<std::string>& files) {
  if (value.is_null()) return std::optional<Shard>{};
  ASSIGN_OR_RETURN(Shard shard, parse_shard(std::move(value), std::move(where), files));
  return std::optional<Shard>(std::move(shard));
}

Result<Manifest> manifest_of(json document) {
  Reader in(document, "");
  Manifest out;
  if (in.text("format", 64) != kFormat) in.fail("/format", std::string("must be \"") + kFormat + "\"");
  if (in.ok() && in.number("version", kVersion) != kVersion) in.fail("/version", "must be 1");
  out.name = in.text("name", kNameBytesMax);
  out.created = in.text("created", 64);
  out.seed = in.number("seed", ~std::uint64_t{0});
  out.shuffled = in.flag("shuffled");
  const std::string target = in.text("target", 16);
  if (in.ok() && target != "classes" && target != "values") in.fail("/target", "must be \"classes\" or \"values\"");
  out.target = target == "classes" ? TargetKind::kClasses : TargetKind::kValues;
  out.classes = in.number("classes", std::uint64_t{1} << 31);
  json columns = in.list("columns", 2, 2);
  json partitions = in.list("partitions", 1, kPartitionsMax);
  json validation = in.take("validation");
  json test = in.take("test");
  if (in.ok() && out.name.empty()) in.fail("/name", "must not be empty");
  if (in.ok() && (out.target == TargetKind::kClasses) != (out.classes > 0)) {
    in.fail("/classes", "must be above 0 where the target is classes, else 0");
  }
  RETURN_IF_ERROR(in.finish());

  ASSIGN_OR_RETURN(Column x, parse_column(std::move(columns[0]), "/columns/0", "x"));
  ASSIGN_OR_RETURN(Column y, parse_column(std::move(columns[1]), "/columns/1", "y"));
  if (out.target == TargetKind::kClasses && is_float(y.dtype)) {
    return corrupt("manifest /columns/1/dtype: classes must be whole numbers");
  }
  out.columns = {std::move(x), std::move(y)};
  std::set<std::string> files;
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    ASSIGN_OR_RETURN(Shard shard, parse_shard(std::move(partitions[i]), "/partitions" + pointer_step(i), files));
    out.partitions.push_back(std::move(shard));
  }
  ASSIGN_OR_RETURN(out.validation, parse_optional_shard(std::move(validation), "/validation", files));
  ASSIGN_OR_RETURN(out.test, parse_optional_shard(std::move(test), "/test", files));
  return out;
}

}  // namespace

std::size_t size_of(DType dtype) { return row_of(dtype).size; }

const char* to_string(DType dtype) { return row_of(dtype).name; }

bool parse(std::string_view text, DType& out) {
  for (const DTypeRow& row : kDTypes) {
    if (text == row.name) {
      out = row.dtype;
      return true;
    }
  }
  return false;
}

std::uint64_t Manifest::train_rows() const {
  std::uint64_t rows = 0;
  for (const Shard& shard : partitions) rows += shard.rows;
  return rows;
}

std::string to_json(const Manifest& manifest) {
  Ordered columns = Ordered::array();
  for (const Column& column : manifest.columns) {
    columns.push_back({{"name", column.name}, {"dtype", to_string(column.dtype)}, {"shape", column.shape}});
  }
  Ordered partitions = Ordered::array();
  for (const Shard& shard : manifest.partitions) partitions.push_back(shard_json(shard));
  const Ordered document = {
      {"format", kFormat},
      {"version", kVersion},
      {"name", manifest.name},
      {"created", manifest.created},
      {"seed", manifest.seed},
      {"shuffled", manifest.shuffled},
      {"target", manifest.target == TargetKind::kClasses ? "classes" : "values"},
      {"classes", manifest.classes},
      {"columns", std::move(columns)},
      {"partitions", std::move(partitions)},
      {"validation", manifest.validation ? shard_json(*manifest.validation) : Ordered(nullptr)},
      {"test", manifest.test ? shard_json(*manifest.test) : Ordered(nullptr)},
  };
  return document.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

Result<Manifest> parse_manifest(std::string_view text) {
  Result<json> document = read_json(text, {.bytes_max = kManifestBytesMax});
  if (!document.ok()) return corrupt("manifest " + document.status().message());
  return manifest_of(std::move(document).value());
}

ContentHash identity(const Manifest& manifest) {
  Manifest nameless = manifest;
  nameless.name.clear();
  nameless.created.clear();
  return hash_bytes(to_json(nameless));
}

}  // namespace modelhop
