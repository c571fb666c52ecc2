// What an import refuses: each by file and offset, and nothing is left behind.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <catch2/catch_test_macros.hpp>
#include <functional>
#include <limits>

#include "tests/worker/data/example_data.h"
#include "worker/data/source.h"

using namespace modelhop;

namespace {

namespace fs = std::filesystem;

std::size_t entries_in(const std::string& folder) {
  if (!fs::exists(folder)) return 0;
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// The message of an import that must fail with `code` and leave nothing.
std::string refusal(const TempFolder& folder, const ImportRequest& request, Code code = Code::kInvalid) {
  const auto manifest = import_dataset(folder / "store", request);
  REQUIRE_FALSE(manifest.ok());
  INFO(manifest.status().message());
  REQUIRE(manifest.status().code() == code);
  REQUIRE(entries_in(folder / "store/data") == 0);
  return manifest.status().message();
}

std::string refused_images(const Bytes& images) {
  TempFolder folder;
  write_file(folder / "images", images);
  write_file(folder / "labels", idx(8, {2}, std::vector<std::uint8_t>{0, 1}));
  return refusal(folder, request_of(ImportFrom::kIdx, {folder / "images", folder / "labels"}, 1));
}

std::string refused_npy(const Bytes& x, const Bytes& y = npy("<i8", "(2,)", std::vector<std::int64_t>{0, 1})) {
  TempFolder folder;
  write_file(folder / "in/x.npy", x);
  write_file(folder / "in/y.npy", y);
  return refusal(folder, request_of(ImportFrom::kNpy, {folder / "in"}, 1));
}

std::string refused_header(const std::string& dictionary) {
  return refused_npy(joined(npy_header(dictionary), Bytes(32)));
}

Bytes without_last(Bytes bytes, std::size_t count) {
  bytes.resize(bytes.size() - count);
  return bytes;
}

const std::vector<std::uint8_t> kPixels{1, 2, 3, 4, 5, 6};

}  // namespace

TEST_CASE("bad IDX bytes are refused by file and byte", "[data][import][bad]") {
  const Bytes good = idx(8, {2, 3}, kPixels);
  CHECK(contains(refused_images({}), "images' ends at byte 0, 4 bytes early"));
  CHECK(contains(refused_images({1, 0, 8, 1}), "images' byte 0: not an IDX file"));
  CHECK(contains(refused_images({0, 0, 7, 1}), "byte 2: unknown element type 7"));
  CHECK(contains(refused_images({0, 0, 8, 0}), "byte 3: 0 dimensions"));
  CHECK(contains(refused_images(idx(8, {1, 1, 1, 1, 1}, std::vector<std::uint8_t>{1})), "byte 3: 5 dimensions"));
  CHECK(contains(refused_images(without_last(good, 7)), "ends at byte 11, 1 bytes early"));
  CHECK(contains(refused_images(without_last(good, 1)), "more elements than the file can hold"));
  CHECK(contains(refused_images(joined(good, {0})), "goes on at byte 18"));
  CHECK(contains(refused_images(idx(8, {2, 0}, std::vector<std::uint8_t>{})), "byte 8: dimension 1 is 0"));
  CHECK(contains(refused_images(idx(14, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, std::vector<double>{})),
                 "more elements than the file can hold"));
  CHECK(contains(refused_images(idx(8, {3, 2}, kPixels)), "counts differ"));
  CHECK(contains(refused_images(idx(13, {2, 1}, std::vector<float>{1, std::numeric_limits<float>::quiet_NaN()})),
                 "images' row 1 (byte 16): NaN"));
  CHECK(
      contains(refused_images(idx(14, {2, 2}, std::vector<double>{1, 2, -std::numeric_limits<double>::infinity(), 4})),
               "images' row 1 (byte 28): NaN or infinity"));
}

TEST_CASE("every truncation of an IDX file and of its gzip is refused", "[data][import][bad]") {
  TempFolder folder;
  const Bytes plain = idx(11, {3, 4}, std::vector<std::int16_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  for (const Bytes& whole : {plain, gzip(plain)}) {
    write_file(folder / "file", whole);
    REQUIRE(read_idx(folder / "file").ok());
    for (std::size_t size = 0; size < whole.size(); ++size) {
      write_file(folder / "file", {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
      const auto array = read_idx(folder / "file");
      INFO(size << " of " << whole.size());
      REQUIRE_FALSE(array.ok());
      REQUIRE(array.status().code() == Code::kInvalid);
      REQUIRE(contains(array.status().message(), "file'"));
    }
  }
}

TEST_CASE("every flipped bit of a gzip file is refused or changes nothing", "[data][import][bad]") {
  TempFolder folder;
  const Bytes plain = idx(8, {4, 8}, std::vector<std::uint8_t>(32, 7));
  Bytes packed = gzip(plain);
  write_file(folder / "file", packed);
  const Bytes good = read_idx(folder / "file")->bytes;
  for (std::size_t bit = 0; bit < 8 * packed.size(); ++bit) {
    packed[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    write_file(folder / "file", packed);
    const auto array = read_idx(folder / "file");
    INFO(bit);
    REQUIRE((!array.ok() || array->bytes == good));  // the time stamp in gzip's header is nobody's data
    packed[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  }
}

TEST_CASE("gzip data that is damaged, ends early or goes on is refused by its offset", "[data][import][bad]") {
  const Bytes images = idx(8, {2, 3}, kPixels);
  Bytes damaged = gzip(images);
  damaged[damaged.size() - 6] ^= 1;  // the checksum
  CHECK(contains(refused_images(damaged), "images': damaged gzip data near byte"));
  CHECK(contains(refused_images(without_last(gzip(images), 9)), "images': gzip data ends early at byte"));
  CHECK(contains(refused_images(joined(gzip(images), {'x', 'y', 'z'})), "damaged gzip data"));
  CHECK(contains(refused_images(gzip(joined(images, {9}))), "goes on at byte 18"));
  TempFolder folder;  // joined members are one file, as gzip has it
  write_file(folder / "two",
             joined(gzip({images.begin(), images.begin() + 5}), gzip({images.begin() + 5, images.end()})));
  CHECK(read_idx(folder / "two").ok());
}

TEST_CASE("missing files and labels are told by name", "[data][import][bad]") {
  TempFolder folder;
  fs::create_directories(folder / "empty");
  const auto not_found = [&](ImportFrom from, std::vector<std::string> paths) {
    return refusal(folder, request_of(from, std::move(paths)), Code::kNotFound);
  };
  CHECK(contains(not_found(ImportFrom::kIdx, {folder / "empty"}), "has no train-images-idx3-ubyte[.gz]"));
  CHECK(contains(not_found(ImportFrom::kIdx, {folder / "nowhere"}), "nowhere' is no folder"));
  CHECK(contains(not_found(ImportFrom::kNpy, {folder / "empty"}), "empty/x.npy'"));
  CHECK(contains(not_found(ImportFrom::kNpy, {folder / "nowhere"}), "nowhere' does not exist"));
  write_mnist(folder / "in", 10, 4);
  fs::remove(folder / "in/t10k-labels-idx1-ubyte");
  CHECK(contains(not_found(ImportFrom::kIdx, {folder / "in"}), "labels are missing: "));
  fs::remove(folder / "in/train-images-idx3-ubyte");
  CHECK(contains(not_found(ImportFrom::kIdx, {folder / "in"}), "images are missing: "));
  CHECK(contains(refusal(folder, request_of(ImportFrom::kIdx, {folder / "in/train-labels-idx1-ubyte"})),
                 "labels are missing"));
  CHECK(contains(refusal(folder, request_of(ImportFrom::kIdx, {})), "got 0 paths"));
  CHECK(contains(refusal(folder, request_of(ImportFrom::kIdx, {"a", "b", "c"})), "got 3 paths"));
  CHECK(contains(refusal(folder, request_of(ImportFrom::kNpy, {"a", "b"})), "takes one folder"));
  write_file(folder / "one/x.npy", npy("<f4", "(2, 1)", std::vector<float>{1, 2}));
  CHECK(contains(not_found(ImportFrom::kNpy, {folder / "one"}), "one/y.npy'"));
  write_file(folder / "one/y.npy", npy("<f4", "(2,)", std::vector<float>{1, 2}));
  write_file(folder / "one/y_test.npy", npy("<f4", "(2,)", std::vector<float>{1, 2}));
  CHECK(contains(not_found(ImportFrom::kNpy, {folder / "one"}), "one/x_test.npy'"));
  CHECK(contains(refusal(folder, request_of(ImportFrom::kNpy, {folder / "one/x.npy"})), "is a file"));
}

TEST_CASE("npy of another order, byte order or kind is refused by name", "[data][import][bad]") {
  const auto header = [](const std::string& descr, const std::string& order = "False",
                         const std::string& shape = "(2, 1)") {
    return refused_header("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }");
  };
  CHECK(contains(header("'<f4'", "True"), "x.npy' byte 10: Fortran order"));
  CHECK(contains(header("'>f4'"), "big-endian (>f4)"));
  CHECK(contains(header("'|O'"), "Python objects"));
  CHECK(contains(header("'<c8'"), "complex numbers (<c8)"));
  CHECK(contains(header("'<U3'"), "strings (<U3)"));
  CHECK(contains(header("'|S3'"), "strings"));
  CHECK(contains(header("'<M8[ns]'"), "dates or times"));
  CHECK(contains(header("[('a', '<f4'), ('b', '<i4')]"), "a structured dtype"));
  CHECK(contains(header("'<f16'"), "dtype '<f16'"));
  CHECK(contains(header("'='"), "dtype '='"));
  CHECK(contains(header("''"), "dtype ''"));
  CHECK(contains(header("'<f4'", "False", "()"), "0 dimensions"));
  CHECK(contains(header("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"), "9 dimensions"));
  CHECK(contains(header("'<f4'", "False", "(2, 0)"), "a dimension is 0"));
  CHECK(contains(header("'<f4'", "False", "(2, -1)"), "not a dictionary"));
  CHECK(contains(header("'<f4'", "False", "(4000000000, 4000000000)"), "too many elements"));
  CHECK(contains(header("'<f4'", "False", "(4000000000000,)"), "too many elements"));
  CHECK(contains(header("'<f4'", "False", "(400000, 1000)"), "promises more elements than the file can hold"));
  CHECK(contains(header("'<f4'", "0"), "not a dictionary"));
}

TEST_CASE("an npy header that is no plain dictionary is refused at its byte", "[data][import][bad]") {
  for (const char* dictionary :
       {"", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)} __import__('os')",
        "{'descr': '<f\\x34', 'fortran_order': False, 'shape': (2, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 1]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2**3, 1)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 1)}"}) {
    INFO(dictionary);
    CHECK(contains(refused_header(dictionary), "its header is not a dictionary of descr, fortran_order and shape"));
  }
  CHECK(contains(refused_npy({'P', 'K', 3, 4, 0, 0, 0, 0, 0, 0}), "x.npy' byte 0: not a .npy file"));
  CHECK(contains(refused_npy({0x93, 'N', 'U', 'M'}), "ends at byte 4"));
  CHECK(contains(refused_npy({0x93, 'N', 'U', 'M', 'P', 'Y', 4, 0, 0, 0}), "byte 6: version 4.0"));
  CHECK(contains(refused_npy({0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 1, 0, 1, 0}),
                 "a header of 65537 bytes is above the limit"));
}

TEST_CASE("npy values that cannot be are refused by row and byte", "[data][import][bad]") {
  const Bytes x = npy("<f4", "(2, 1)", std::vector<float>{1, 2});
  CHECK(contains(refused_npy(npy("<f4", "(2, 1)", std::vector<float>{1, std::numeric_limits<float>::infinity()})),
                 "x.npy' row 1 (byte 132): NaN or infinity"));
  CHECK(contains(refused_npy(npy("<f2", "(2, 1)", std::vector<std::uint16_t>{0x7e00, 0})),
                 "x.npy' row 0 (byte 128): NaN"));
  CHECK(contains(refused_npy(x, npy("<f8", "(2,)", std::vector<double>{1, std::numeric_limits<double>::quiet_NaN()})),
                 "y.npy' row 1 (byte 136): NaN"));
  CHECK(contains(refused_npy(x, npy("<i8", "(2,)", std::vector<std::int64_t>{0, -1})),
                 "y.npy' row 1 (byte 136): label -1"));
  CHECK(contains(refused_npy(x, npy("<i8", "(2,)", std::vector<std::int64_t>{1 << 20, 0})),
                 "row 0 (byte 128): label 1048576 is above the limit of 1048576 classes"));
  CHECK(contains(refused_npy(x, npy("<u8", "(2,)", std::vector<std::uint64_t>{0, 1ull << 63})), "a uint64 above"));
  CHECK(contains(refused_npy(npy("|b1", "(2, 1)", std::vector<std::uint8_t>{0, 2})), "a bool that is neither"));
  CHECK(contains(refused_npy(x, npy("<i8", "(3,)", std::vector<std::int64_t>{0, 1, 2})), "counts differ"));
  CHECK(contains(refused_npy(without_last(x, 1)), "promises more elements than the file can hold"));
  CHECK(contains(refused_npy(joined(x, {0})), "goes on at byte 136"));
}

TEST_CASE("the largest number of classes is a data set", "[data][import][limit]") {
  TempFolder folder;
  write_file(folder / "in/x.npy", npy("<f4", "(2, 1)", std::vector<float>{1, 2}));
  write_file(folder / "in/y.npy", npy("<i8", "(2,)", std::vector<std::int64_t>{0, kClassesMax - 1}));
  CHECK(import_dataset(folder / "store", request_of(ImportFrom::kNpy, {folder / "in"}))->classes == kClassesMax);
}

TEST_CASE("a test set unlike the training set is refused", "[data][import][bad]") {
  TempFolder folder;
  write_file(folder / "in/x.npy", npy("<f4", "(2, 1)", std::vector<float>{1, 2}));
  write_file(folder / "in/y.npy", npy("<i8", "(2,)", std::vector<std::int64_t>{0, 1}));
  write_file(folder / "in/y_test.npy", npy("<i8", "(2,)", std::vector<std::int64_t>{0, 1}));
  write_file(folder / "in/x_test.npy", npy("<f4", "(2, 2)", std::vector<float>{1, 2, 3, 4}));
  CHECK(contains(refusal(folder, request_of(ImportFrom::kNpy, {folder / "in"})),
                 "x_test.npy' has another dtype or row shape"));
  write_file(folder / "in/x_test.npy", npy("<f8", "(2, 1)", std::vector<double>{1, 2}));
  CHECK(contains(refusal(folder, request_of(ImportFrom::kNpy, {folder / "in"})),
                 "x_test.npy' has another dtype or row shape"));
  write_file(folder / "in/x_test.npy", npy("<f4", "(2, 1)", std::vector<float>{1, 2}));
  write_file(folder / "in/y_test.npy", npy("<i8", "(2,)", std::vector<std::int64_t>{0, -1}));
  CHECK(contains(refusal(folder, request_of(ImportFrom::kNpy, {folder / "in"})), "y_test.npy' row 1"));
}

TEST_CASE("names, partitions and stores that cannot be are refused", "[data][import][bad]") {
  TempFolder folder;
  write_mnist(folder / "in", 10, 0);
  ImportRequest request = request_of(ImportFrom::kIdx, {folder / "in"}, 11);
  CHECK(contains(refusal(folder, request), "too few for --partitions 11"));
  for (const std::string& name : {std::string(""), std::string("A"), std::string("a/b"), std::string("../a"),
                                  std::string(".a"), std::string("-a"), std::string("a b"), std::string(129, 'a')}) {
    request.name = name;
    CHECK(contains(refusal(folder, request), "is no data set name"));
  }
  CHECK(is_dataset_name(std::string(128, 'a')));
  CHECK(is_dataset_name("fashion-mnist_v1.2"));
  request.name = "tiny";
  CHECK(import_dataset("s3://bucket/x", request).status().code() == Code::kInvalid);
  CHECK(import_dataset("", request).status().code() == Code::kInvalid);
}

TEST_CASE("a name that is taken is refused, and the data set there stays as it is", "[data][import][bad]") {
  TempFolder folder;
  write_mnist(folder / "in", 10, 0);
  const ImportRequest request = request_of(ImportFrom::kIdx, {folder / "in"});
  REQUIRE(import_dataset(folder / "store", request).ok());
  const Bytes before = read_bytes(folder / "store/data/tiny/manifest.json");
  const auto again = import_dataset("file://" + (folder / "store"), request);
  CHECK(again.status().code() == Code::kConflict);
  CHECK(contains(again.status().message(), "modelhop data delete tiny"));
  CHECK(read_bytes(folder / "store/data/tiny/manifest.json") == before);
  CHECK(entries_in(folder / "store/data") == 1);
}

TEST_CASE("a full disk is refused by file and byte, and nothing is left behind", "[data][import][bad]") {
  TempFolder folder;
  write_mnist(folder / "in", 20'000, 0);
  const ImportRequest request = request_of(ImportFrom::kIdx, {folder / "in"}, 2);
  fs::create_directories(folder / "store");
  const auto in_child = [&](const std::function<bool()>& prepare) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (!prepare()) ::_exit(77);
      const auto manifest = import_dataset(folder / "store", request);
      const std::string& message = manifest.status().message();
      const bool refused =
          manifest.status().code() == Code::kEnvironment && message.find(".h5' at byte ") != std::string::npos;
      if (!refused) std::fprintf(stderr, "%s\n", message.c_str());
      ::_exit(refused && entries_in(folder / "store/data") == 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  SECTION("a limit on the size of a file") {
    CHECK(in_child([] {
            const rlimit limit{30'000, 30'000};
            return ::signal(SIGXFSZ, SIG_IGN) != SIG_ERR && ::setrlimit(RLIMIT_FSIZE, &limit) == 0;
          }) == 0);
  }
  SECTION("a file system of 96 KiB") {
    const int result = in_child([&] {
      if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
      return ::mount("tmpfs", (folder / "store").c_str(), "tmpfs", 0, "size=96k") == 0;
    });
    if (result == 77) SKIP("this user may not mount a tmpfs");
    CHECK(result == 0);
  }
}

TEST_CASE("an import killed at any moment leaves a whole data set or none", "[data][import][kill]") {
  TempFolder folder;
  write_mnist(folder / "in", 2'000, 100, true);
  const ImportRequest request = request_of(ImportFrom::kIdx, {folder / "in"}, 4);
  int whole = 0, none = 0;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      const bool ok = import_dataset(folder / "store", request).ok();
      ::_exit(ok ? 0 : 1);
    }
    ::usleep(static_cast<useconds_t>(round * 700));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto listed = list_datasets(folder / "store");
    REQUIRE(listed.ok());
    REQUIRE(listed->size() == entries_in(folder / "store/data"));  // what was half done is swept
    if (listed->empty()) {
      ++none;
      continue;
    }
    ++whole;
    REQUIRE((*listed)[0].status.ok());
    REQUIRE(verify_dataset(folder / "store", "tiny").ok());
    REQUIRE(delete_dataset(folder / "store", "tiny").ok());
  }
  INFO(whole << " whole, " << none << " none");
  CHECK(none > 0);
}
