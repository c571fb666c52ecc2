#include "worker/data/hdf5_shard.h"

#include <hdf5.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <span>

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
  // Closes now; false: HDF5 could not.
  bool close() {
    const hid_t id = id_;
    id_ = -1;
    return close_(id) >= 0;
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

Result<std::vector<std::uint64_t>> write_layout(const std::string& path, const std::vector<Column>& columns,
                                                std::uint64_t rows) {
  const Session session;
  const auto failed = [](const std::string& what) { return environment("HDF5 cannot lay out a shard: " + what); };
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  if (!file.ok()) return failed("create");
  std::vector<std::uint64_t> offsets;
  for (const Column& column : columns) {
    const std::vector<hsize_t> sizes = dimensions(column, rows);
    const Handle type(make_type(column.dtype), H5Tclose);
    const Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose);
    const Handle create(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (!type.ok() || !space.ok() || !create.ok() || H5Pset_layout(create.id(), H5D_CONTIGUOUS) < 0 ||
        H5Pset_alloc_time(create.id(), H5D_ALLOC_TIME_EARLY) < 0 ||
        H5Pset_fill_time(create.id(), H5D_FILL_TIME_NEVER) < 0 || H5Pset_obj_track_times(create.id(), false) < 0) {
      return failed("describe column " + column.name);
    }
    const Handle dataset(
        H5Dcreate2(file.id(), column.name.c_str(), type.id(), space.id(), H5P_DEFAULT, create.id(), H5P_DEFAULT),
        H5Dclose);
    if (!dataset.ok()) return failed("create column " + column.name);
    const haddr_t offset = H5Dget_offset(dataset.id());
    if (offset == HADDR_UNDEF) return failed("place column " + column.name);
    offsets.push_back(offset);
  }
  if (!file.close()) return failed("close");
  return offsets;
}

}  // namespace

Result<ShardImage> make_shard_image(const std::vector<Column>& columns, std::uint64_t rows) {
  // HDF5 writes its few kilobytes of structure into a file in memory that is sparse where the rows will be.
  const OpenFile file(::memfd_create("shard", MFD_CLOEXEC));
  if (file.fd() < 0) return system_error("cannot make a file in memory", errno);
  const std::string path = "/proc/self/fd/" + std::to_string(file.fd());
  ShardImage image;
  ASSIGN_OR_RETURN(image.offsets, write_layout(path, columns, rows));
  ASSIGN_OR_RETURN(const std::uint64_t size, size_of_file(file, path));
  image.bytes.resize(size);
  std::uint64_t at = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> holes;  // offset, size
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::uint64_t bytes = 0;
    CHECK(column_bytes(columns[i], rows, bytes));
    holes.emplace_back(image.offsets[i], bytes);
  }
  std::sort(holes.begin(), holes.end());
  holes.emplace_back(size, 0);
  for (const auto& [offset, bytes] : holes) {
    if (offset < at || bytes > size - offset) return environment("HDF5 placed a column outside of its shard");
    RETURN_IF_ERROR(read_at(file, path, at, std::span(image.bytes).subspan(at, offset - at)));
    at = offset + bytes;
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
