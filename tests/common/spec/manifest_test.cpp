#include "common/spec/manifest.h"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "common/base/hash.h"
#include "common/base/limits.h"
#include "common/base/rng.h"

using namespace modelhop;

namespace {

Manifest example() {
  Manifest manifest;
  manifest.name = "digits";
  manifest.columns = {{"x", DType::kU8, {1, 28, 28}}, {"y", DType::kU8, {}}};
  manifest.target = TargetKind::kClasses;
  manifest.classes = 10;
  for (int i = 0; i < 4; ++i) {
    manifest.partitions.push_back({"train-000" + std::to_string(i) + ".h5", 100u + static_cast<unsigned>(i), 80'000,
                                   hash_bytes(std::to_string(i))});
  }
  manifest.validation = Shard{"validation.h5", 50, 40'000, hash_bytes("v")};
  manifest.seed = 18446744073709551615ull;
  manifest.shuffled = true;
  manifest.created = "2026-11-21T08:41:00.123Z";
  return manifest;
}

std::string refusal(const std::string& text) {
  const auto result = parse_manifest(text);
  return result.ok() ? "accepted" : result.status().message();
}

// The example with one JSON value changed.
std::string with(const std::string& pointer, const nlohmann::json& value) {
  auto document = nlohmann::json::parse(to_json(example()));
  document[nlohmann::json::json_pointer(pointer)] = value;
  return refusal(document.dump());
}

}  // namespace

TEST_CASE("a manifest reads back as it was written", "[spec][manifest]") {
  const std::string text = to_json(example());
  const auto back = parse_manifest(text);
  REQUIRE(back.ok());
  CHECK(to_json(*back) == text);
  CHECK(back->partitions[3].rows == 103);
  CHECK(back->partitions[3].hash == example().partitions[3].hash);
  CHECK(back->train_rows() == 406);
  CHECK(back->seed == 18446744073709551615ull);
  CHECK_FALSE(back->test.has_value());
  CHECK(back->x().shape == std::vector<std::int64_t>{1, 28, 28});
}

TEST_CASE("same data is same identity, whatever its name and date", "[spec][manifest]") {
  Manifest other = example();
  other.name = "renamed";
  other.created = "2027-01-01T00:00:00.000Z";
  CHECK(identity(other) == identity(example()));
  other.partitions[2].hash = hash_bytes("changed");
  CHECK(identity(other) != identity(example()));
}

TEST_CASE("a manifest that says too little, too much or nonsense is refused by place", "[spec][manifest]") {
  CHECK(with("/format", "x") == "manifest /format: must be \"modelhop-dataset\"");
  CHECK(with("/version", 2).find("/version") != std::string::npos);
  CHECK(with("/extra", 1) == "manifest /extra: is unknown");
  CHECK(with("/name", "").find("/name") != std::string::npos);
  CHECK(with("/name", std::string(kNameBytesMax + 1, 'a')).find("/name") != std::string::npos);
  CHECK(with("/classes", 0).find("/classes") != std::string::npos);
  CHECK(with("/target", "labels").find("/target") != std::string::npos);
  CHECK(with("/seed", -1).find("/seed") != std::string::npos);
  CHECK(with("/shuffled", 1).find("/shuffled") != std::string::npos);
  CHECK(with("/columns/0/dtype", "float8").find("/columns/0/dtype") != std::string::npos);
  CHECK(with("/columns/0/shape/1", 0).find("/columns/0/shape/1") != std::string::npos);
  CHECK(with("/columns/0/shape/1", 4294967297ull).find("/columns/0/shape/1") != std::string::npos);
  CHECK(with("/columns/0/name", "y").find("/columns/0/name") != std::string::npos);
  CHECK(with("/columns/1/dtype", "float32").find("whole numbers") != std::string::npos);
  CHECK(with("/partitions", nlohmann::json::array()).find("/partitions") != std::string::npos);
  CHECK(with("/partitions/1/rows", 0).find("/partitions/1/rows") != std::string::npos);
  CHECK(with("/partitions/1/rows", 1.5).find("/partitions/1/rows") != std::string::npos);
  CHECK(with("/partitions/1/file", "../x.h5").find("plain file name") != std::string::npos);
  CHECK(with("/partitions/1/file", "train-0000.h5").find("named twice") != std::string::npos);
  CHECK(with("/partitions/1/hash", "00").find("32 hexadecimal digits") != std::string::npos);
  CHECK(with("/validation", 3).find("/validation") != std::string::npos);
  CHECK(refusal("{}") == "manifest /format: is missing");
  CHECK(refusal("[]").find("must be an object") != std::string::npos);
  CHECK(refusal("{\"a\":1,\"a\":1}").find("twice") != std::string::npos);
}

TEST_CASE("a manifest with one partition too many is refused", "[spec][manifest]") {
  Manifest manifest = example();
  manifest.validation.reset();
  manifest.partitions.clear();
  for (std::uint32_t i = 0; i < kPartitionsMax; ++i) {
    manifest.partitions.push_back({"p" + std::to_string(i), 1, 1, hash_bytes(std::to_string(i))});
  }
  CHECK(parse_manifest(to_json(manifest)).ok());
  manifest.partitions.push_back({"last", 1, 1, hash_bytes("")});
  CHECK_FALSE(parse_manifest(to_json(manifest)).ok());
}

TEST_CASE("a manifest with changed bytes never crashes the reader", "[spec][manifest]") {
  const std::string text = to_json(example());
  KeyedRng rng(5, Purpose::kSimulator);
  for (int round = 0; round < 3'000; ++round) {
    std::string bytes = text;
    for (std::uint64_t i = 0, n = 1 + rng.below(3); i < n; ++i) {
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    }
    if (rng.below(4) == 0) bytes.resize(rng.below(bytes.size()));
    const auto result = parse_manifest(bytes);
    if (!result.ok()) REQUIRE_FALSE(result.status().message().empty());
  }
}

TEST_CASE("element types carry numpy's names and sizes", "[spec][manifest]") {
  DType dtype{};
  for (const auto& [name, size] : {std::pair{"uint8", 1u},
                                   {"int8", 1u},
                                   {"int16", 2u},
                                   {"int32", 4u},
                                   {"int64", 8u},
                                   {"float16", 2u},
                                   {"float32", 4u},
                                   {"float64", 8u},
                                   {"uint16", 2u},
                                   {"uint32", 4u},
                                   {"bool", 1u}}) {
    REQUIRE(parse(name, dtype));
    CHECK(size_of(dtype) == size);
    CHECK(std::string(to_string(dtype)) == name);
  }
  CHECK_FALSE(parse("complex64", dtype));
}
