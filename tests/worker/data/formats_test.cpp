#include <catch2/catch_test_macros.hpp>

#include "tests/common/documented.h"
#include "tests/worker/data/example_data.h"

using namespace modelhop;

TEST_CASE("the data set in docs/formats.md is what is written", "[data][docs]") {
  TempFolder folder;
  write_file(folder / "in/x.npy", npy("<f4", "(3, 2)", std::vector<float>{1, 2, 3, 4, 5, 6}));
  write_file(folder / "in/y.npy", npy("|u1", "(3,)", std::vector<std::uint8_t>{0, 1, 1}));
  ImportRequest request = request_of(ImportFrom::kNpy, {folder / "in"}, 1);
  request.validation_rows = 0;
  Manifest manifest = *import_dataset(folder / "store", request);
  manifest.created = "2026-11-21T09:00:00.000Z";
  CHECK(is_documented("formats.md", "manifest", to_json(manifest)));
  CHECK(is_documented("formats.md", "shard", hexdump(read_bytes(folder / "store/data/tiny/train-0000.h5"), 0x7f0)));
}
