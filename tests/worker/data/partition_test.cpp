#include "worker/data/partition.h"

#include <hdf5.h>

#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "common/base/hash.h"
#include "tests/worker/data/example_data.h"
#include "worker/data/hdf5_shard.h"

using namespace modelhop;

namespace {

Manifest manifest_of(DType x = DType::kF32, TargetKind target = TargetKind::kClasses) {
  Manifest manifest;
  manifest.name = "tiny";
  manifest.columns = {{"x", x, {2}}, {"y", DType::kU8, {}}};
  manifest.target = target;
  manifest.classes = target == TargetKind::kClasses ? 3 : 0;
  return manifest;
}

const std::vector<float> kX{1, 2, 3, 4, 5, 6, 7, 8};
const std::vector<std::uint8_t> kY{0, 1, 2, 1};

// A shard as import writes it, or with rows in chunks, which another tool may make of it.
void write_shard(const std::string& path, const Manifest& manifest) {
  auto image = ShardImage::make(manifest.columns, 4);
  REQUIRE(image.ok());
  std::memcpy(image->column(0).data(), kX.data(), 32);
  std::memcpy(image->column(1).data(), kY.data(), 4);
  write_file(path, {image->bytes().begin(), image->bytes().end()});
}

void write_chunked(const std::string& path) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hsize_t x_sizes[] = {4, 2}, y_sizes[] = {4}, x_chunk[] = {2, 2}, y_chunk[] = {3};
  const auto add = [&](const char* name, int rank, const hsize_t* sizes, const hsize_t* chunk, hid_t type,
                       const void* data) {
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(create, rank, chunk);
    const hid_t space = H5Screate_simple(rank, sizes, nullptr);
    const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    REQUIRE(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(create);
  };
  add("x", 2, x_sizes, x_chunk, H5T_IEEE_F32LE, kX.data());
  add("y", 1, y_sizes, y_chunk, H5T_STD_U8LE, kY.data());
  H5Fclose(file);
}

Shard shard_of(const std::string& path, std::uint64_t rows = 4) {
  const Bytes bytes = read_bytes(path);
  return {"tiny.h5", rows, bytes.size(), hash_bytes(bytes)};
}

std::string refusal(const std::string& path, const Shard& shard, const Manifest& manifest) {
  const auto partition = load_partition(path, shard, manifest);
  REQUIRE_FALSE(partition.ok());
  INFO(partition.status().message());
  REQUIRE(partition.status().code() == Code::kCorrupt);
  REQUIRE(contains(partition.status().message(), path));
  return partition.status().message();
}

}  // namespace

TEST_CASE("a shard is loaded as it was stored, contiguous or in chunks", "[data][partition]") {
  TempFolder folder;
  const std::string path = folder / "tiny.h5";
  for (bool chunked : {false, true}) {
    if (chunked) {
      write_chunked(path);
    } else {
      write_shard(path, manifest_of());
    }
    const auto places = find_columns(path, manifest_of().columns, 4);
    REQUIRE(places.ok());
    CHECK((*places)[0].offset.has_value() == !chunked);
    const auto partition = load_partition(path, shard_of(path), manifest_of());
    INFO(partition.status().message());
    REQUIRE(partition.ok());
    CHECK((*partition)->rows() == 4);
    CHECK((*partition)->size_bytes() == 36);
    CHECK(std::memcmp((*partition)->x().data(), kX.data(), 32) == 0);
    CHECK(std::memcmp((*partition)->y().data(), kY.data(), 4) == 0);
  }
}

TEST_CASE("every flipped bit and every truncation of a shard is refused", "[data][partition][corrupt]") {
  TempFolder folder;
  const std::string path = folder / "tiny.h5";
  write_shard(path, manifest_of());
  const Shard shard = shard_of(path);
  const Bytes good = read_bytes(path);
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    Bytes bad = good;
    bad[byte] ^= static_cast<std::uint8_t>(1u << (byte % 8));
    write_file(path, bad);
    REQUIRE(contains(refusal(path, shard, manifest_of()), "has the hash"));
  }
  for (std::size_t size = 0; size < good.size(); size += 97) {
    write_file(path, {good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
    REQUIRE(contains(refusal(path, shard, manifest_of()), " bytes, its manifest says "));
  }
  std::filesystem::remove(path);
  CHECK(load_partition(path, shard, manifest_of()).status().code() == Code::kNotFound);
}

TEST_CASE("a shard whose hash is right and whose content is another's is refused by what differs",
          "[data][partition][corrupt]") {
  TempFolder folder;
  const std::string path = folder / "tiny.h5";
  write_shard(path, manifest_of());
  Manifest manifest = manifest_of();
  CHECK(contains(refusal(path, shard_of(path, 5), manifest), "/x does not have the rows"));
  manifest.columns[0].shape = {1, 2};
  CHECK(contains(refusal(path, shard_of(path), manifest), "/x does not have the rows and the shape"));
  manifest = manifest_of(DType::kI32);
  CHECK(contains(refusal(path, shard_of(path), manifest), "/x is not int32"));
  manifest = manifest_of();
  manifest.columns[0].name = "z";
  CHECK(contains(refusal(path, shard_of(path), manifest), "no dataset /z"));
  manifest = manifest_of();
  manifest.classes = 2;
  CHECK(contains(refusal(path, shard_of(path), manifest), "labels from 0 to 2, the data set has 2 classes"));
  manifest.target = TargetKind::kValues;  // then a label is only a value
  manifest.classes = 0;
  CHECK(load_partition(path, shard_of(path), manifest).ok());
  write_file(path, Bytes(100, 1));
  CHECK(contains(refusal(path, shard_of(path), manifest_of()), "HDF5 cannot open it"));
}

TEST_CASE("every dtype goes through a shard", "[data][partition]") {
  TempFolder folder;
  const std::string path = folder / "tiny.h5";
  for (DType dtype : {DType::kU8, DType::kI8, DType::kI16, DType::kI32, DType::kI64, DType::kF32, DType::kF64,
                      DType::kF16, DType::kU16, DType::kU32, DType::kBool}) {
    INFO(to_string(dtype));
    Manifest manifest = manifest_of(dtype);
    auto image = ShardImage::make(manifest.columns, 3);
    REQUIRE(image.ok());
    REQUIRE(image->column(0).size() == 6 * size_of(dtype));
    for (std::size_t i = 0; i < image->column(0).size(); ++i) image->column(0)[i] = static_cast<std::uint8_t>(i);
    const Bytes bytes(image->bytes().begin(), image->bytes().end());
    write_file(path, bytes);
    const auto partition = load_partition(path, shard_of(path, 3), manifest);
    INFO(partition.status().message());
    REQUIRE(partition.ok());
    for (std::size_t i = 0; i < (*partition)->x().size(); ++i) REQUIRE((*partition)->x()[i] == i);
  }
}

TEST_CASE("two shards may be made side by side", "[data][partition]") {
  auto first = ShardImage::make(manifest_of().columns, 4);
  auto second = ShardImage::make(manifest_of().columns, 4);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(std::equal(first->bytes().begin(), first->bytes().end(), second->bytes().begin(), second->bytes().end()));
}

TEST_CASE("shards are loaded and made from several threads at once", "[data][partition][threads]") {
  TempFolder folder;
  const std::string path = folder / "tiny.h5";
  write_shard(path, manifest_of());
  const Shard shard = shard_of(path);
  std::vector<int> loaded(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 25; ++round) {
        loaded[i] += load_partition(path, shard, manifest_of()).ok() && ShardImage::make(manifest_of().columns, 4).ok();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(loaded == std::vector<int>(4, 25));
}
