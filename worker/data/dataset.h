#pragma once
// The data sets of a store: STORE/data/NAME/, one HDF5 file per partition and a manifest. Written once, then immutable.
// Formats: docs/formats.md, "Manifest and data set".
//
// All or nothing: an import builds in STORE/data/.import-<random> and renames at the end, so a killed one leaves no
// data set. What it leaves is removed by the next import or list, once the lock its process held is free. Threads:
// every function from any thread; two imports of one name race and the second is refused.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/spec/manifest.h"

namespace modelhop {

inline constexpr std::uint64_t kDatasetRowsMax = 0xffffffff;  // a row's number is 32 bits while it is shuffled
inline constexpr std::uint64_t kClassesMax = 1 << 20;         // more is a regression target read as a label
inline constexpr std::size_t kManifestBytesMax = 4 << 20;     // kPartitionsMax shards are about 1 MiB

enum class ImportFrom : std::uint8_t { kIdx, kNpy };
bool parse(std::string_view text, ImportFrom& out);  // "idx", "npy"

struct ImportRequest {
  std::string name;  // [a-z0-9][a-z0-9._-]*, at most kNameBytesMax
  ImportFrom from{};
  // idx: a folder with the MNIST file names (its t10k files are the test set), or an images and a labels file, as two
  // paths or as one "IMAGES,LABELS". npy: a folder with x.npy, y.npy and, where there is a test set, x_test.npy,
  // y_test.npy.
  std::vector<std::string> paths;
  std::vector<std::string> test_paths;           // the test set instead of the one in `paths`; the same forms
  std::uint32_t partitions{};                    // P
  std::uint64_t round_to{};                      // rows of a partition are a multiple of this; 0 = 1
  std::optional<std::uint64_t> validation_rows;  // absent: a tenth of the training rows; 0: no validation set
  std::uint64_t seed{};
};

// Shuffles all training rows once by the seed, takes the first validation_rows as the validation set and cuts the rest
// into P partitions. With R = round_to: of the floor(N / R) whole blocks of R rows each partition gets its share, the
// first ones one more where P does not divide them; the last partition also gets the N mod R rows that fill no block.
// `store`: a path or file:///path. Equal requests and files give equal bytes and hashes.
// kConflict: the name exists. kNotFound: a file is missing. kInvalid: a file's bytes or the request, by file and
// offset. kEnvironment: disk full and the like. Nothing is left behind in any of them.
Result<Manifest> import_dataset(const std::string& store, const ImportRequest& request);

struct DatasetEntry {
  std::string name;
  Status status;  // not ok: `manifest` is unreadable, and why
  Manifest manifest;
};
Result<std::vector<DatasetEntry>> list_datasets(const std::string& store);  // by name

Result<Manifest> read_dataset(const std::string& store, const std::string& name);
Result<std::string> data_folder(const std::string& store);                              // STORE/data
Result<std::string> dataset_folder(const std::string& store, const std::string& name);  // STORE/data/NAME

// Hashes every file again and opens it. kCorrupt: the message has a line for each bad file.
Status verify_dataset(const std::string& store, const std::string& name);
Status delete_dataset(const std::string& store, const std::string& name);

bool is_dataset_name(std::string_view name);

}  // namespace modelhop
