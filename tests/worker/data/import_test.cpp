// What an import makes of good files.
#include <catch2/catch_test_macros.hpp>
#include <set>

#include "tests/worker/data/example_data.h"
#include "worker/data/gather.h"
#include "worker/data/partition.h"

using namespace modelhop;

namespace {

Manifest imported(const TempFolder& folder, const ImportRequest& request) {
  auto manifest = import_dataset(folder / "store", request);
  INFO(manifest.status().message());
  REQUIRE(manifest.ok());
  const Status verified = verify_dataset(folder / "store", request.name);
  INFO(verified.message());
  REQUIRE(verified.ok());
  return std::move(manifest).value();
}

std::shared_ptr<const Partition> loaded(const TempFolder& folder, const Manifest& manifest, const Shard& shard) {
  auto partition = load_partition(folder / ("store/data/" + manifest.name + "/" + shard.file), shard, manifest);
  INFO(partition.status().message());
  REQUIRE(partition.ok());
  return std::move(partition).value();
}

// The one partition of a data set without validation rows, back in the order of the source's first value.
template <class T>
std::vector<T> sorted_x(const TempFolder& folder, const Manifest& manifest) {
  const auto partition = loaded(folder, manifest, manifest.partitions[0]);
  std::vector<T> values(partition->x().size() / sizeof(T));
  std::memcpy(values.data(), partition->x().data(), partition->x().size());
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

TEST_CASE("a folder with the MNIST file names is imported, gzipped or not, to the same bytes", "[data][import]") {
  TempFolder folder;
  write_mnist(folder / "plain", 100, 20);
  write_mnist(folder / "packed", 100, 20, true);
  ImportRequest request = request_of(ImportFrom::kIdx, {folder / "plain"}, 4);
  const Manifest plain = imported(folder, request);
  request.name = "packed";
  request.paths = {folder / "packed"};
  const Manifest packed = imported(folder, request);
  CHECK(identity(plain) == identity(packed));

  CHECK(plain.x().shape == std::vector<std::int64_t>{1, 2, 3});
  CHECK(plain.x().dtype == DType::kU8);
  CHECK(plain.y().shape.empty());
  CHECK(plain.target == TargetKind::kClasses);
  CHECK(plain.classes == 3);
  CHECK(plain.partitions.size() == 4);
  CHECK(plain.train_rows() == 90);
  REQUIRE(plain.validation);
  CHECK(plain.validation->rows == 10);  // a tenth
  REQUIRE(plain.test);
  CHECK(plain.test->rows == 20);
  CHECK(plain.shuffled);
  CHECK(plain.seed == 7);
}

TEST_CASE("every row is in just one partition or the validation set, with its label", "[data][import]") {
  TempFolder folder;
  write_mnist(folder / "in", 200, 10);
  const Manifest manifest = imported(folder, request_of(ImportFrom::kIdx, {folder / "in"}, 3));
  std::vector<Shard> shards = manifest.partitions;
  shards.push_back(*manifest.validation);
  std::set<int> seen;
  std::vector<int> order;
  for (const Shard& shard : shards) {
    const auto data = loaded(folder, manifest, shard);
    REQUIRE(data->rows() == shard.rows);
    for (std::uint64_t row = 0; row < data->rows(); ++row) {
      const int number = data->x()[row * 6];
      REQUIRE(seen.insert(number).second);
      REQUIRE(data->x()[row * 6 + 5] == static_cast<std::uint8_t>(number + 5));
      REQUIRE(data->y()[row] == number % 3);
      order.push_back(number);
    }
  }
  CHECK(seen.size() == 200);
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  const auto test = loaded(folder, manifest, *manifest.test);
  for (std::uint64_t row = 0; row < 10; ++row) CHECK(test->x()[row * 6] == row);  // a test set keeps its order
}

TEST_CASE("the same request gives the same bytes, another seed another order", "[data][import]") {
  TempFolder folder;
  write_mnist(folder / "in", 60, 0);
  ImportRequest request = request_of(ImportFrom::kIdx, {folder / "in"});
  const Manifest first = imported(folder, request);
  request.name = "again";
  const Manifest again = imported(folder, request);
  request.name = "other";
  request.seed = 8;
  const Manifest other = imported(folder, request);
  CHECK(identity(first) == identity(again));
  CHECK(identity(first) != identity(other));
  for (const char* file : {"train-0000.h5", "train-0001.h5", "validation.h5"}) {
    CHECK(read_bytes(folder / "store/data/tiny/" + file) == read_bytes(folder / "store/data/again/" + file));
    CHECK(read_bytes(folder / "store/data/tiny/" + file) != read_bytes(folder / "store/data/other/" + file));
  }
  CHECK_FALSE(first.test);
}

TEST_CASE("every element type of IDX is stored little-endian as it is", "[data][import][idx]") {
  TempFolder folder;
  const auto check = [&](const char* name, std::uint8_t code, DType dtype, auto values) {
    INFO(name);
    using T = typename decltype(values)::value_type;
    const Bytes images = idx(code, {static_cast<std::uint32_t>(values.size())}, values);
    write_file(folder / name, images);
    write_file(folder / (std::string(name) + "-y"),
               idx(8, {static_cast<std::uint32_t>(values.size())}, std::vector<std::uint8_t>(values.size(), 1)));
    ImportRequest request = request_of(ImportFrom::kIdx, {folder / name, folder / (std::string(name) + "-y")}, 1);
    request.name = name;
    request.validation_rows = 0;
    const Manifest manifest = imported(folder, request);
    CHECK(manifest.x().dtype == dtype);
    CHECK(manifest.x().shape == std::vector<std::int64_t>{1});
    CHECK(manifest.classes == 2);
    CHECK_FALSE(manifest.validation);
    std::sort(values.begin(), values.end());
    CHECK(sorted_x<T>(folder, manifest) == values);
  };
  check("u8", 8, DType::kU8, std::vector<std::uint8_t>{0, 1, 255});
  check("i8", 9, DType::kI8, std::vector<std::int8_t>{-128, -1, 127});
  check("i16", 11, DType::kI16, std::vector<std::int16_t>{-32768, 258, 32767});
  check("i32", 12, DType::kI32, std::vector<std::int32_t>{-2147483647, 16909060, 5});
  check("f32", 13, DType::kF32, std::vector<float>{-1.5f, 3e-30f, 1e30f});
  check("f64", 14, DType::kF64, std::vector<double>{-1.5, 3e-300, 1e300});
}

TEST_CASE("images of IDX become rows with a channel; labels may be floats or another folder's test set",
          "[data][import][idx]") {
  TempFolder folder;
  const std::vector<std::uint8_t> pixels(24);
  write_file(folder / "two", idx(8, {4, 6}, pixels));
  write_file(folder / "three", idx(8, {4, 2, 3}, pixels));
  write_file(folder / "four", idx(8, {4, 3, 1, 2}, pixels));
  write_file(folder / "targets", idx(14, {4}, std::vector<double>{0.5, 1.5, 2.5, 3.5}));
  const auto shape = [&](const char* name) {
    ImportRequest request = request_of(ImportFrom::kIdx, {folder / name + "," + (folder / "targets")}, 1);
    request.name = name;
    const Manifest manifest = imported(folder, request);
    CHECK(manifest.target == TargetKind::kValues);
    CHECK(manifest.classes == 0);
    CHECK(manifest.y().dtype == DType::kF64);
    return manifest.x().shape;
  };
  CHECK(shape("two") == std::vector<std::int64_t>{6});
  CHECK(shape("three") == std::vector<std::int64_t>{1, 2, 3});
  CHECK(shape("four") == std::vector<std::int64_t>{3, 1, 2});

  write_mnist(folder / "in", 20, 0);
  write_mnist(folder / "elsewhere", 0, 5);
  ImportRequest request = request_of(ImportFrom::kIdx, {folder / "in"});
  request.test_paths = {folder / "elsewhere"};
  CHECK(imported(folder, request).test->rows == 5);
}

TEST_CASE("every dtype of npy is imported; what has no stored type of its own becomes int64", "[data][import][npy]") {
  TempFolder folder;
  const auto check = [&](const std::string& name, const std::string& descr, DType dtype, auto values) {
    INFO(name);
    using T = typename decltype(values)::value_type;
    write_file(folder / name + "/x.npy", npy(descr, "(3, 1)", values));
    write_file(folder / name + "/y.npy", npy("<i8", "(3,)", std::vector<std::int64_t>{2, 0, 1}));
    ImportRequest request = request_of(ImportFrom::kNpy, {folder / name}, 1);
    request.name = name;
    request.validation_rows = 0;
    const Manifest manifest = imported(folder, request);
    CHECK(manifest.x().dtype == dtype);
    CHECK(manifest.y().dtype == DType::kI64);
    CHECK(manifest.classes == 3);
    std::sort(values.begin(), values.end());
    CHECK(sorted_x<T>(folder, manifest) == values);
  };
  check("bool", "|b1", DType::kBool, std::vector<std::uint8_t>{0, 1, 1});
  check("u1", "|u1", DType::kU8, std::vector<std::uint8_t>{0, 1, 255});
  check("i1", "|i1", DType::kI8, std::vector<std::int8_t>{-128, 0, 127});
  check("u2", "<u2", DType::kU16, std::vector<std::uint16_t>{0, 1, 65535});
  check("i2", "<i2", DType::kI16, std::vector<std::int16_t>{-32768, 0, 32767});
  check("u4", "<u4", DType::kU32, std::vector<std::uint32_t>{0, 1, 4294967295u});
  check("i4", "<i4", DType::kI32, std::vector<std::int32_t>{-5, 0, 5});
  check("u8", "<u8", DType::kI64, std::vector<std::int64_t>{0, 1, INT64_MAX});
  check("i8", "<i8", DType::kI64, std::vector<std::int64_t>{INT64_MIN, 0, INT64_MAX});
  check("f2", "<f2", DType::kF16, std::vector<std::uint16_t>{0x0000, 0x3c00, 0x7bff});
  check("f4", "<f4", DType::kF32, std::vector<float>{-1.5f, 0.0f, 1e30f});
  check("f8", "<f8", DType::kF64, std::vector<double>{-1.5, 0.0, 1e300});
}

TEST_CASE("npy targets are classes, values or several labels by y's dtype and shape", "[data][import][npy]") {
  TempFolder folder;
  const auto import_y = [&](const std::string& name, const Bytes& y) {
    write_file(folder / name + "/x.npy", npy("<f4", "(4, 2)", std::vector<float>(8)));
    write_file(folder / name + "/y.npy", y);
    ImportRequest request = request_of(ImportFrom::kNpy, {folder / name}, 1);
    request.name = name;
    return imported(folder, request);
  };
  for (const char* descr : {"<f2", "<f4", "<f8"}) {
    const std::string name = std::string("y") + descr[2];
    const Manifest manifest = import_y(
        name, joined(npy_header(std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (4,), }"),
                     Bytes(4 * static_cast<std::size_t>(descr[2] - '0'))));
    CHECK(manifest.target == TargetKind::kValues);
    CHECK(manifest.y().shape.empty());
  }
  const Manifest columns = import_y("columns", npy("<f4", "(4, 1)", std::vector<float>(4)));
  CHECK(columns.y().shape == std::vector<std::int64_t>{1});
  const Manifest labels =
      import_y("labels", npy("|i1", "(4, 3)", std::vector<std::int8_t>{1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0}));
  CHECK(labels.target == TargetKind::kValues);
  CHECK(labels.y().shape == std::vector<std::int64_t>{3});
  const Manifest yes_no = import_y("yes-no", npy("|b1", "(4,)", std::vector<std::uint8_t>{1, 0, 1, 0}));
  CHECK(yes_no.target == TargetKind::kClasses);
  CHECK(yes_no.classes == 2);
}

TEST_CASE("npy has its test set in x_test and y_test, or where --test says; headers of every version are read",
          "[data][import][npy]") {
  TempFolder folder;
  const auto write_pair = [&](const std::string& at, const std::string& suffix, std::int64_t rows) {
    const auto count = static_cast<std::size_t>(rows);
    write_file(folder / at + "/x" + suffix + ".npy",
               npy("<f4", "(" + std::to_string(rows) + ", 2)", std::vector<float>(2 * count)));
    write_file(folder / at + "/y" + suffix + ".npy",
               npy("<i4", "(" + std::to_string(rows) + ",)", std::vector<std::int32_t>(count, 1)));
  };
  write_pair("in", "", 30);
  ImportRequest request = request_of(ImportFrom::kNpy, {folder / "in"});
  request.name = "none";
  CHECK_FALSE(imported(folder, request).test);
  write_pair("in", "_test", 4);
  request.name = "beside";
  CHECK(imported(folder, request).test->rows == 4);
  write_pair("other", "", 5);
  request.name = "given";
  request.test_paths = {folder / "other"};
  CHECK(imported(folder, request).test->rows == 5);

  const std::string dictionary = "{\"shape\": (30L, 2), 'fortran_order':False,'descr':'<f4'}\n";
  for (std::uint8_t version : {2, 3}) {
    std::string header("\x93NUMPY", 6);
    for (std::size_t byte :
         {std::size_t{version}, std::size_t{0}, dictionary.size(), std::size_t{0}, std::size_t{0}, std::size_t{0}}) {
      header.push_back(static_cast<char>(byte));
    }
    header += dictionary;
    write_file(folder / "in/x.npy", joined({header.begin(), header.end()}, Bytes(240)));
    request.name = "version" + std::to_string(version);
    CHECK(imported(folder, request).train_rows() == 27);
  }
}
