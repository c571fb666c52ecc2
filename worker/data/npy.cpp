// NumPy's .npy: magic, version, the length of a header and the header, a Python dictionary literal of just the keys
// descr, fortran_order and shape; then the elements. Read strictly; nothing is evaluated.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "worker/data/column.h"
#include "worker/data/input_file.h"
#include "worker/data/source.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNpyHeaderBytesMax = 64 << 10;  // numpy's own limit is 10,000 characters

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> sizes;
};

// Reads the dictionary left to right; false at the first thing that is not in the grammar, and at() says where.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}
  std::size_t at() const { return at_; }

  bool parse(Header& out) {
    bool descr = false, order = false, shape = false;
    if (!take('{')) return false;
    while (!take('}')) {
      std::string key;
      if (!string(key) || !take(':')) return false;
      if (key == "descr" && !descr) {
        descr = true;
        if (peek() == '[') {
          out.descr = "[structured]";
          return true;  // refused by its name; what follows is its business
        }
        if (!string(out.descr)) return false;
      } else if (key == "fortran_order" && !order) {
        order = true;
        if (!boolean(out.fortran_order)) return false;
      } else if (key == "shape" && !shape) {
        shape = true;
        if (!tuple(out.sizes)) return false;
      } else {
        return false;
      }
      if (!take(',') && peek() != '}') return false;
    }
    skip();
    return at_ == text_.size() && descr && order && shape;
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  char peek() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  bool string(std::string& out) {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return false;
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return false;
    out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return out.find('\\') == std::string::npos;
  }
  bool boolean(bool& out) {
    skip();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>("True", true), {"False", false}}) {
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      out = value;
      return true;
    }
    return false;
  }
  bool tuple(std::vector<std::int64_t>& out) {
    if (!take('(')) return false;
    while (!take(')')) {
      skip();
      std::uint64_t size = 0;
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error != std::errc{} || size > kSourceBytesMax || out.size() > kSourceDimensionsMax) return false;
      at_ += static_cast<std::size_t>(end - begin);
      if (peek() == 'L') ++at_;  // Python 2 wrote (3L,)
      out.push_back(static_cast<std::int64_t>(size));
      if (!take(',') && peek() != ')') return false;
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// What `descr` is: a dtype that is read, or the name under which it is refused.
struct Described {
  DType dtype{};
  bool unsigned64 = false;  // read as int64, where every value fits
  std::string refusal;
};

Described describe(const std::string& descr) {
  static constexpr std::pair<const char*, DType> kRead[] = {
      {"|b1", DType::kBool}, {"|u1", DType::kU8},  {"|i1", DType::kI8},  {"<u1", DType::kU8},  {"<i1", DType::kI8},
      {"<i2", DType::kI16},  {"<i4", DType::kI32}, {"<i8", DType::kI64}, {"<u2", DType::kU16}, {"<u4", DType::kU32},
      {"<f2", DType::kF16},  {"<f4", DType::kF32}, {"<f8", DType::kF64}};
  Described out;
  for (const auto& [name, dtype] : kRead) {
    if (descr != name) continue;
    out.dtype = dtype;
    return out;
  }
  if (descr == "<u8") {
    out.dtype = DType::kI64;
    out.unsigned64 = true;
    return out;
  }
  const char order = descr.empty() ? '\0' : descr[0];
  const char kind = descr.size() < 2 ? '\0' : descr[1];
  if (order == '[') {
    out.refusal = "a structured dtype; save one plain array";
  } else if (kind == 'O') {
    out.refusal = "an array of Python objects; save numbers";
  } else if (kind == 'c') {
    out.refusal = "complex numbers (" + descr + "); save real numbers";
  } else if (kind == 'U' || kind == 'S' || kind == 'a') {
    out.refusal = "strings (" + descr + "); save numbers";
  } else if (kind == 'M' || kind == 'm') {
    out.refusal = "dates or times (" + descr + "); save numbers";
  } else if (order == '>') {
    out.refusal = "big-endian (" + descr + "); save it with .astype('" + "<" + descr.substr(1) + "')";
  } else {
    out.refusal = "dtype '" + descr + "'; bool, integers and float16, float32, float64 are read";
  }
  return out;
}

Status check_elements(const SourceArray& array, bool unsigned64) {
  const std::uint64_t width = size_of(array.dtype);
  for (std::uint64_t i = 0; (unsigned64 || array.dtype == DType::kBool) && i < array.bytes.size() / width; ++i) {
    const std::uint8_t top = array.bytes[i * width + width - 1];
    if (unsigned64 && top > 0x7f)
      return invalid("'" + array.file + "' " + array.where(i) + ": a uint64 above the largest int64");
    if (!unsigned64 && top > 1)
      return invalid("'" + array.file + "' " + array.where(i) + ": a bool that is neither 0 nor 1");
  }
  return {};
}

Result<SourceSet> read_pair(const std::string& folder, const std::string& x, const std::string& y) {
  SourceSet set;
  ASSIGN_OR_RETURN(set.x, read_npy((fs::path(folder) / x).string()));
  ASSIGN_OR_RETURN(set.y, read_npy((fs::path(folder) / y).string()));
  return set;
}

Result<std::string> one_folder(const std::vector<std::string>& paths) {
  if (paths.size() != 1) return invalid("--from npy takes one folder, got " + std::to_string(paths.size()) + " paths");
  std::error_code error;
  if (fs::is_directory(paths[0], error)) return paths[0];
  if (fs::exists(paths[0], error))
    return invalid("'" + paths[0] + "' is a file; --from npy takes the folder with x.npy and y.npy");
  return not_found("'" + paths[0] + "' does not exist");
}

bool exists(const std::string& folder, const char* name) {
  std::error_code error;
  return fs::exists(fs::path(folder) / name, error);
}

}  // namespace

Result<SourceArray> read_npy(const std::string& path) {
  ASSIGN_OR_RETURN(const auto input, InputFile::open(path));
  const auto bad = [&](std::uint64_t at, const std::string& what) {
    return invalid("'" + path + "' byte " + std::to_string(at) + ": " + what);
  };
  std::uint8_t head[8];
  RETURN_IF_ERROR(input->read(head));
  if (std::memcmp(head, "\x93NUMPY", 6) != 0) return bad(0, "not a .npy file: it must start with \\x93NUMPY");
  if (head[6] < 1 || head[6] > 3 || head[7] != 0) {
    return bad(6, "version " + std::to_string(head[6]) + "." + std::to_string(head[7]) + "; 1.0, 2.0 and 3.0 are read");
  }
  std::uint8_t length[4] = {};
  RETURN_IF_ERROR(input->read(std::span(length).first(head[6] == 1 ? 2 : 4)));
  const std::size_t header_bytes = std::size_t{length[0]} | std::size_t{length[1]} << 8 | std::size_t{length[2]} << 16 |
                                   std::size_t{length[3]} << 24;
  const std::uint64_t header_at = input->offset();
  if (header_bytes > kNpyHeaderBytesMax)
    return bad(8, "a header of " + std::to_string(header_bytes) + " bytes is above the limit");
  std::vector<std::uint8_t> text(header_bytes);
  RETURN_IF_ERROR(input->read(text));
  HeaderParser parser(std::string_view(reinterpret_cast<const char*>(text.data()), text.size()));
  Header header;
  if (!parser.parse(header)) {
    return bad(header_at + parser.at(), "its header is not a dictionary of descr, fortran_order and shape");
  }
  const Described described = describe(header.descr);
  if (!described.refusal.empty()) return bad(header_at, described.refusal);
  if (header.fortran_order && header.sizes.size() > 1) {
    return bad(header_at, "Fortran order; save it with numpy.ascontiguousarray()");
  }
  if (header.sizes.empty() || header.sizes.size() > kSourceDimensionsMax) {
    return bad(header_at, std::to_string(header.sizes.size()) + " dimensions; 1 to " +
                              std::to_string(kSourceDimensionsMax) + " are read");
  }
  SourceArray array;
  array.file = path;
  array.dtype = described.dtype;
  array.sizes = std::move(header.sizes);
  array.data_at = input->offset();
  std::uint64_t bytes = 0;
  if (!source_bytes(array.dtype, array.sizes, bytes))
    return bad(header_at, "a dimension is 0, or there are too many elements");
  if (bytes > input->bytes_left_max())
    return bad(header_at, "its header promises more elements than the file can hold");
  array.bytes.resize(bytes);
  RETURN_IF_ERROR(input->read(array.bytes));
  RETURN_IF_ERROR(input->expect_end());
  RETURN_IF_ERROR(check_elements(array, described.unsigned64));
  return array;
}

Result<Source> read_npy_source(const std::vector<std::string>& paths, const std::vector<std::string>& test_paths) {
  ASSIGN_OR_RETURN(const std::string folder, one_folder(paths));
  Source source;
  ASSIGN_OR_RETURN(source.train, read_pair(folder, "x.npy", "y.npy"));
  if (!test_paths.empty()) {
    ASSIGN_OR_RETURN(const std::string test, one_folder(test_paths));
    const bool named = exists(test, "x_test.npy") || exists(test, "y_test.npy");
    ASSIGN_OR_RETURN(source.test, read_pair(test, named ? "x_test.npy" : "x.npy", named ? "y_test.npy" : "y.npy"));
  } else if (exists(folder, "x_test.npy") || exists(folder, "y_test.npy")) {
    ASSIGN_OR_RETURN(source.test, read_pair(folder, "x_test.npy", "y_test.npy"));
  }
  return source;
}

}  // namespace modelhop
