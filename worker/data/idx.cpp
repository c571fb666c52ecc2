// IDX, the format of MNIST: two zero bytes, the element type, the number of dimensions, each as 4 bytes, then the
// elements; all big-endian. https://yann.lecun.com/exdb/mnist/
#include <algorithm>
#include <filesystem>

#include "worker/data/input_file.h"
#include "worker/data/source.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kIdxDimensionsMax = 4;

bool element_type(std::uint8_t code, DType& out) {
  switch (code) {
    case 0x08:
      out = DType::kU8;
      return true;
    case 0x09:
      out = DType::kI8;
      return true;
    case 0x0b:
      out = DType::kI16;
      return true;
    case 0x0c:
      out = DType::kI32;
      return true;
    case 0x0d:
      out = DType::kF32;
      return true;
    case 0x0e:
      out = DType::kF64;
      return true;
    default:
      return false;
  }
}

void swap_bytes(std::span<std::uint8_t> bytes, std::size_t width) {
  if (width == 1) return;
  for (auto at = bytes.begin(); at != bytes.end(); at += static_cast<std::ptrdiff_t>(width)) {
    std::reverse(at, at + static_cast<std::ptrdiff_t>(width));
  }
}

// The file of that name in `folder`, plain before gzipped; empty where there is neither.
std::string find(const std::string& folder, const std::string& name) {
  std::error_code error;
  for (const char* suffix : {"", ".gz"}) {
    const fs::path path = fs::path(folder) / (name + suffix);
    if (fs::exists(path, error)) return path.string();
  }
  return {};
}

struct Pair {
  std::string images, labels;
};

// `prefix`: "train" or "t10k". Both empty: neither is there.
Result<Pair> find_pair(const std::string& folder, const std::string& prefix) {
  const std::string images = prefix + "-images-idx3-ubyte", labels = prefix + "-labels-idx1-ubyte";
  Pair pair{find(folder, images), find(folder, labels)};
  if (pair.images.empty() && !pair.labels.empty())
    return not_found("images are missing: '" + folder + "' has no " + images + "[.gz]");
  if (pair.labels.empty() && !pair.images.empty())
    return not_found("labels are missing: '" + folder + "' has no " + labels + "[.gz]");
  return pair;
}

// Two paths, or one "IMAGES,LABELS".
Result<Pair> named_pair(const std::vector<std::string>& paths) {
  if (paths.size() == 2) return Pair{paths[0], paths[1]};
  const std::string& path = paths[0];
  std::error_code error;
  const std::size_t comma = path.find(',');
  if (fs::exists(path, error)) {
    return invalid("'" + path +
                   "' is one file: labels are missing; give IMAGES,LABELS or a folder with the MNIST file names");
  }
  if (comma == std::string::npos) return not_found("'" + path + "' is no folder and no IMAGES,LABELS");
  return Pair{path.substr(0, comma), path.substr(comma + 1)};
}

Result<SourceSet> read_pair(const Pair& pair) {
  SourceSet set;
  ASSIGN_OR_RETURN(set.x, read_idx(pair.images));
  ASSIGN_OR_RETURN(set.y, read_idx(pair.labels));
  // Images without a channel get one, as torchvision does.
  if (set.x.sizes.size() == 3) set.x.sizes.insert(set.x.sizes.begin() + 1, 1);
  return set;
}

bool is_folder(const std::vector<std::string>& paths) {
  std::error_code error;
  return paths.size() == 1 && fs::is_directory(paths[0], error);
}

Status check_count(const std::vector<std::string>& paths) {
  if (paths.size() == 1 || paths.size() == 2) return {};
  return invalid("--from idx takes a folder with the MNIST file names, or an images and a labels file; got " +
                 std::to_string(paths.size()) + " paths");
}

}  // namespace

Result<SourceArray> read_idx(const std::string& path) {
  ASSIGN_OR_RETURN(const auto input, InputFile::open(path));
  const auto bad = [&](std::uint64_t at, const std::string& what) {
    return invalid("'" + path + "' byte " + std::to_string(at) + ": " + what);
  };
  SourceArray array;
  array.file = path;
  std::uint8_t head[4];
  RETURN_IF_ERROR(input->read(head));
  if (head[0] != 0 || head[1] != 0) return bad(0, "not an IDX file: it must start with two zero bytes");
  if (!element_type(head[2], array.dtype)) {
    return bad(2, "unknown element type " + std::to_string(head[2]) + "; IDX has 8, 9, 11, 12, 13, 14");
  }
  if (head[3] < 1 || head[3] > kIdxDimensionsMax) {
    return bad(3, std::to_string(head[3]) + " dimensions; 1 to " + std::to_string(kIdxDimensionsMax) + " are read");
  }
  for (unsigned i = 0; i < head[3]; ++i) {
    std::uint8_t size[4];
    RETURN_IF_ERROR(input->read(size));
    array.sizes.push_back(std::int64_t{size[0]} << 24 | size[1] << 16 | size[2] << 8 | size[3]);
    if (array.sizes.back() == 0) return bad(input->offset() - 4, "dimension " + std::to_string(i) + " is 0");
  }
  array.data_at = input->offset();
  std::uint64_t bytes = 0;
  if (!source_bytes(array.dtype, array.sizes, bytes) || bytes > input->bytes_left_max()) {
    return bad(4, "its header promises more elements than the file can hold");
  }
  array.bytes.resize(bytes);
  RETURN_IF_ERROR(input->read(array.bytes));
  RETURN_IF_ERROR(input->expect_end());
  swap_bytes(array.bytes, size_of(array.dtype));
  return array;
}

Result<Source> read_idx_source(const std::vector<std::string>& paths, const std::vector<std::string>& test_paths) {
  RETURN_IF_ERROR(check_count(paths));
  Pair train, test;
  if (is_folder(paths)) {
    ASSIGN_OR_RETURN(train, find_pair(paths[0], "train"));
    if (train.images.empty()) return not_found("'" + paths[0] + "' has no train-images-idx3-ubyte[.gz]");
    ASSIGN_OR_RETURN(test, find_pair(paths[0], "t10k"));
  } else {
    ASSIGN_OR_RETURN(train, named_pair(paths));
  }
  if (!test_paths.empty()) {
    RETURN_IF_ERROR(check_count(test_paths));
    if (is_folder(test_paths)) {
      ASSIGN_OR_RETURN(test, find_pair(test_paths[0], "t10k"));
      if (test.images.empty()) return not_found("'" + test_paths[0] + "' has no t10k-images-idx3-ubyte[.gz]");
    } else {
      ASSIGN_OR_RETURN(test, named_pair(test_paths));
    }
  }
  Source source;
  ASSIGN_OR_RETURN(source.train, read_pair(train));
  if (!test.images.empty()) {
    ASSIGN_OR_RETURN(source.test, read_pair(test));
  }
  return source;
}

}  // namespace modelhop
