#include "worker/data/hdf5_shard.h"

#include <hdf5.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "common/base/check.h"
#include "worker/data/column.h"
#include "worker/data/file_io.h"

namespace modelhop {
namespace {

// HDF5's one lock, and silence: it prints its error stack to stderr by default.
class Session {
 public:
  Session() : lock_(mutex()) { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  std::lock_guard<std::mutex> lock_;
};

class Handle {
 public:
  Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), close_(closer) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  bool ok() const { return id_ >= 0; }
  hid_t id() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

hid_t stored_type(DType dtype) {
  switch (dtype) {
    case DType::kU8:
    case DType::kBool:
      return H5T_STD_U8LE;
    case DType::kI8:
      return H5T_STD_I8LE;
    case DType::kI16:
      return H5T_STD_I16LE;
    case DType::kI32:
      return H5T_STD_I32LE;
    case DType::kI64:
      return H5T_STD_I64LE;
    case DType::kU16:
      return H5T_STD_U16LE;
    case DType::kU32:
      return H5T_STD_U32LE;
    case DType::kF16:
    case DType::kF32:
      return H5T_IEEE_F32LE;
    case DType::kF64:
      return H5T_IEEE_F64LE;
  }
  check_failed(__FILE__, __LINE__, "a DType has an HDF5 type");
}

// A copy that the caller closes. HDF5 1.10 has no half: 1 sign, 5 exponent and 10 fraction bits, as h5py makes it.
hid_t make_type(DType dtype) {
  const hid_t type = H5Tcopy(stored_type(dtype));
  if (dtype != DType::kF16 || type < 0) return type;
  if (H5Tset_fields(type, 15, 10, 5, 0, 10) < 0 || H5Tset_size(type, 2) < 0 || H5Tset_ebias(type, 15) < 0) {
    H5Tclose(type);
    return -1;
  }
  return type;
}

std::vector<hsize_t> dimensions(const Column& column, std::uint64_t rows) {
  std::vector<hsize_t> sizes{rows};
  for (std::int64_t size : column.shape) sizes.push_back(static_cast<hsize_t>(size));
  return sizes;
}

// Creates the data set and returns where its rows will stand.
Result<std::uint64_t> place_column(hid_t file, const Column& column, std::uint64_t rows) {
  const auto failed = [&](const char* what) {
    return environment("HDF5 cannot " + std::string(what) + " column " + column.name + " of a shard");
  };
  const std::vector<hsize_t> sizes = dimensions(column, rows);
  const Handle type(make_type(column.dtype), H5Tclose);
  const Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose);
  const Handle create(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (!type.ok() || !space.ok() || !create.ok() || H5Pset_layout(create.id(), H5D_CONTIGUOUS) < 0 ||
      H5Pset_alloc_time(create.id(), H5D_ALLOC_TIME_EARLY) < 0 ||
      H5Pset_fill_time(create.id(), H5D_FILL_TIME_NEVER) < 0 || H5Pset_obj_track_times(create.id(), false) < 0) {
    return failed("describe");
  }
  const Handle dataset(
      H5Dcreate2(file, column.name.c_str(), type.id(), space.id(), H5P_DEFAULT, create.id(), H5P_DEFAULT), H5Dclose);
  if (!dataset.ok()) return failed("create");
  const haddr_t offset = H5Dget_offset(dataset.id());
  if (offset == HADDR_UNDEF) return failed("place");
  return offset;
}

}  // namespace

ShardImage::ShardImage(ShardImage&& other) noexcept
    : file_(std::exchange(other.file_, -1)), bytes_(other.bytes_), columns_(std::move(other.columns_)) {}

ShardImage::~ShardImage() {
  if (file_ < 0) return;
  const Session session;
  H5Fclose(file_);
}

Result<ShardImage> ShardImage::make(const std::vector<Column>& columns, std::uint64_t rows) {
  constexpr std::size_t kGrowBytes = 1 << 20;
  std::vector<std::uint64_t> offsets;
  ShardImage image;  // before the session: its destructor takes the lock too
  const Session session;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (!access.ok() || H5Pset_fapl_core(access.id(), kGrowBytes, false) < 0) return environment("HDF5 cannot start");
  // In memory; the name only tells it from others that are open.
  static std::uint64_t count = 0;  // guarded by the session
  image.file_ = H5Fcreate(("shard-" + std::to_string(++count)).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.id());
  if (image.file_ < 0) return environment("HDF5 cannot make a file in memory");
  for (const Column& column : columns) {
    ASSIGN_OR_RETURN(const std::uint64_t offset, place_column(image.file_, column, rows));
    offsets.push_back(offset);
  }
  void** memory = nullptr;
  if (H5Fflush(image.file_, H5F_SCOPE_GLOBAL) < 0 ||
      H5Fget_vfd_handle(image.file_, access.id(), reinterpret_cast<void**>(&memory)) < 0) {
    return environment("no memory for a shard of " + std::to_string(rows) + " rows; more --partitions make it smaller");
  }
  const ssize_t size = H5Fget_file_image(image.file_, nullptr, 0);
  if (size <= 0) return environment("HDF5 does not tell a shard's size");
  image.bytes_ = {static_cast<std::uint8_t*>(*memory), static_cast<std::size_t>(size)};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::uint64_t bytes = 0;
    CHECK(column_bytes(columns[i], rows, bytes));
    if (offsets[i] > image.bytes_.size() || bytes > image.bytes_.size() - offsets[i]) {
      return environment("HDF5 placed column " + columns[i].name + " outside of its shard");
    }
    image.columns_.push_back(image.bytes_.subspan(offsets[i], bytes));
  }
  return image;
}

Result<std::vector<ColumnPlace>> find_columns(const std::string& path, const std::vector<Column>& columns,
                                              std::uint64_t rows) {
  const Session session;
  const auto bad = [&](const std::string& what) { return corrupt("'" + path + "': " + what); };
  // Shared file systems without flock() are common, and a shard never changes.
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (!access.ok() || H5Pset_file_locking(access.id(), false, true) < 0) return environment("HDF5 cannot start");
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  if (!file.ok()) return bad("HDF5 cannot open it");
  std::vector<ColumnPlace> places;
  for (const Column& column : columns) {
    const Handle dataset(H5Dopen2(file.id(), column.name.c_str(), H5P_DEFAULT), H5Dclose);
    if (!dataset.ok()) return bad("has no dataset /" + column.name);
    const Handle type(H5Dget_type(dataset.id()), H5Tclose), wanted(make_type(column.dtype), H5Tclose);
    if (!type.ok() || !wanted.ok() || H5Tequal(type.id(), wanted.id()) <= 0) {
      return bad("/" + column.name + " is not " + to_string(column.dtype));
    }
    const Handle space(H5Dget_space(dataset.id()), H5Sclose);
    const std::vector<hsize_t> sizes = dimensions(column, rows);
    std::vector<hsize_t> found(sizes.size());
    if (!space.ok() || H5Sget_simple_extent_ndims(space.id()) != static_cast<int>(sizes.size()) ||
        H5Sget_simple_extent_dims(space.id(), found.data(), nullptr) < 0 || found != sizes) {
      return bad("/" + column.name + " does not have the rows and the shape of the manifest");
    }
    const Handle create(H5Dget_create_plist(dataset.id()), H5Pclose);
    if (!create.ok() || H5Pget_layout(create.id()) == H5D_VIRTUAL || H5Pget_external_count(create.id()) != 0) {
      return bad("/" + column.name + " keeps its rows in other files");
    }
    ColumnPlace place;
    if (const haddr_t offset = H5Dget_offset(dataset.id());
        offset != HADDR_UNDEF && H5Pget_layout(create.id()) == H5D_CONTIGUOUS) {
      place.offset = offset;
    }
    places.push_back(place);
  }
  return places;
}

Status read_column(const std::string& path, const Column& column, std::vector<std::uint8_t>& out) {
  const Session session;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (!access.ok() || H5Pset_file_locking(access.id(), false, true) < 0) return environment("HDF5 cannot start");
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  const Handle type(make_type(column.dtype), H5Tclose);
  if (!file.ok() || !type.ok()) return corrupt("'" + path + "': HDF5 cannot open it");
  const Handle dataset(H5Dopen2(file.id(), column.name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.ok() || H5Dread(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) < 0) {
    return corrupt("'" + path + "': HDF5 cannot read /" + column.name);
  }
  return {};
}

}  // namespace modelhop
