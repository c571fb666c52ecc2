// Data sets in a store: listing, verifying, deleting, and what killed processes leave.
#include "worker/data/dataset.h"

#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/worker/data/example_data.h"
#include "worker/data/staging.h"

using namespace modelhop;

namespace {

namespace fs = std::filesystem;

void import_into(const TempFolder& folder, const std::string& name) {
  write_mnist(folder / "in", 40, 8);
  ImportRequest request = request_of(ImportFrom::kIdx, {folder / "in"}, 3);
  request.name = name;
  REQUIRE(import_dataset(folder / "store", request).ok());
}

void flip_bit(const std::string& path, std::size_t byte) {
  Bytes bytes = read_bytes(path);
  bytes[byte] ^= 1;
  write_file(path, bytes);
}

std::vector<std::string> names(const std::vector<DatasetEntry>& entries) {
  std::vector<std::string> out;
  for (const DatasetEntry& entry : entries) out.push_back(entry.name);
  return out;
}

}  // namespace

TEST_CASE("data sets are listed by name, a damaged one with its fault", "[data][dataset]") {
  TempFolder folder;
  CHECK(list_datasets(folder / "store")->empty());
  import_into(folder, "b");
  import_into(folder, "a");
  import_into(folder, "c");
  write_file(folder / "store/data/notes.txt", {});  // a file that is no folder
  write_file(folder / "store/data/README", {});     // no data set's name
  write_file(folder / "store/data/b/manifest.json", {'{'});
  auto entries = list_datasets(folder / "store");
  REQUIRE(entries.ok());
  CHECK(names(*entries) == std::vector<std::string>{"a", "b", "c"});
  CHECK((*entries)[0].status.ok());
  CHECK((*entries)[0].manifest.train_rows() == 36);
  CHECK((*entries)[1].status.code() == Code::kCorrupt);
  CHECK(contains((*entries)[1].status.message(), "b/manifest.json'"));
}

TEST_CASE("a data set is read by name; a name that is none is not found", "[data][dataset]") {
  TempFolder folder;
  import_into(folder, "a");
  const auto manifest = read_dataset("file://" + (folder / "store"), "a");
  REQUIRE(manifest.ok());
  CHECK(manifest->name == "a");
  for (const char* name : {"b", "", "../data/a", "A", "."}) {
    INFO(name);
    CHECK(read_dataset(folder / "store", name).status().code() == Code::kNotFound);
    CHECK(verify_dataset(folder / "store", name).code() == Code::kNotFound);
    CHECK(delete_dataset(folder / "store", name).code() == Code::kNotFound);
  }
  fs::rename(folder / "store/data/a", folder / "store/data/b");
  const Status renamed = read_dataset(folder / "store", "b").status();
  CHECK(renamed.code() == Code::kCorrupt);
  CHECK(contains(renamed.message(), "is the manifest of 'a'"));
}

TEST_CASE("verify names each bad file and what differs", "[data][dataset]") {
  TempFolder folder;
  import_into(folder, "a");
  CHECK(verify_dataset(folder / "store", "a").ok());
  flip_bit(folder / "store/data/a/train-0001.h5", 100);
  fs::remove(folder / "store/data/a/validation.h5");
  write_file(folder / "store/data/a/test.h5", joined(read_bytes(folder / "store/data/a/test.h5"), {0}));
  const Status status = verify_dataset(folder / "store", "a");
  CHECK(status.code() == Code::kCorrupt);
  CHECK(contains(status.message(), "data set 'a': 3 of 5 files are bad"));
  CHECK(contains(status.message(), "train-0001.h5' has the hash "));
  CHECK(contains(status.message(), "validation.h5'"));
  CHECK(contains(status.message(), "test.h5' has "));
  CHECK_FALSE(contains(status.message(), "train-0000.h5"));
}

TEST_CASE("a manifest over the limit is refused before it is parsed", "[data][dataset][limit]") {
  TempFolder folder;
  import_into(folder, "a");
  write_file(folder / "store/data/a/manifest.json", Bytes(kManifestBytesMax + 1, ' '));
  CHECK(contains(read_dataset(folder / "store", "a").status().message(), "more than the limit of 4194304"));
}

TEST_CASE("a deleted data set is gone, and its name free", "[data][dataset]") {
  TempFolder folder;
  import_into(folder, "a");
  REQUIRE(delete_dataset(folder / "store", "a").ok());
  CHECK(fs::is_empty(folder / "store/data"));
  import_into(folder, "a");
  CHECK(verify_dataset(folder / "store", "a").ok());
}

TEST_CASE("what a living import builds stays, what a killed one left is swept", "[data][dataset][kill]") {
  TempFolder folder;
  fs::create_directories(folder / "store/data");
  const std::string parent = folder / "store/data";
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto staging = Staging::begin(parent);
    if (!staging.ok()) ::_exit(1);
    write_file(staging->folder() + "/train-0000.h5", Bytes(100));
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const auto entries = [&] { return std::distance(fs::directory_iterator(parent), fs::directory_iterator()); };
  CHECK(list_datasets(folder / "store")->empty());
  CHECK(entries() == 2);  // the folder and its lock
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  fs::create_directories(parent + "/.delete-0123456789abcdef");
  fs::create_directories(parent + "/.import-0123456789abcdef");  // without a lock: nobody's
  CHECK(list_datasets(folder / "store")->empty());
  CHECK(entries() == 0);
}

TEST_CASE("a staged folder never lands on something", "[data][dataset]") {
  TempFolder folder;
  fs::create_directories(folder / "taken");
  {
    auto staging = Staging::begin(folder.path());
    REQUIRE(staging.ok());
    CHECK(staging->commit("taken").code() == Code::kConflict);
    CHECK(staging->commit("free").ok());
  }
  CHECK(fs::is_directory(folder / "free"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 2);
}
