// parse_spec on arbitrary bytes: no crash, no undefined behaviour, and what it accepts it can restore and expand again.
// The first byte picks what is known of the data set.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/check.h"
#include "common/spec/recipe.h"
#include "common/spec/spec.h"

namespace {

modelhop::Manifest manifest_of(std::uint8_t kind) {
  modelhop::Manifest out;
  out.columns = {{"x", modelhop::DType::kU8, {1, 28, 28}}, {"y", modelhop::DType::kU8, {}}};
  out.target = modelhop::TargetKind::kClasses;
  out.classes = 10;
  if (kind % 3 == 1) {
    out.columns = {{"x", modelhop::DType::kF32, {5}}, {"y", modelhop::DType::kF32, {3}}};
    out.target = modelhop::TargetKind::kValues;
    out.classes = 0;
  }
  out.partitions = {{"a", 1000, 1, {}}, {"b", 999, 1, {}}};
  if (kind % 2 == 0) out.validation = modelhop::Shard{"v", 10, 1, {}};
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const modelhop::Manifest data = manifest_of(bytes[0]);
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const modelhop::ParsedSpec parsed = modelhop::parse_spec(text, bytes[0] % 3 == 2 ? nullptr : &data);
  CHECK(!modelhop::format_problems("spec.json", parsed.problems).empty() || parsed.problems.empty());
  CHECK(parsed.spec != nullptr || !parsed.problems.empty());
  if (parsed.spec != nullptr) {
    CHECK(modelhop::dataset_of_spec(text) == parsed.spec->dataset);
    const auto restored = modelhop::restore_spec(parsed.spec->expanded);
    CHECK(restored.ok());
    CHECK((*restored)->expanded == parsed.spec->expanded);
    if (parsed.spec->space.empty() && bytes[0] % 3 != 2) {
      CHECK(modelhop::parse_recipe(modelhop::recipe_json(*parsed.spec, {}), data).ok());
    }
  }
  return 0;
}
