#include <algorithm>
#include <cstring>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/state/state_file.h"
#include "common/state/state_header.h"

namespace modelhop {
namespace state_header {

const char* dtype_name(DType dtype) {
  for (const DTypeName& entry : kDTypeNames) {
    if (entry.dtype == dtype) return entry.name;
  }
  check_failed(__FILE__, __LINE__, "a DType has a name in safetensors");
}

std::string hash_of(std::span<const std::uint8_t> header) {
  static constexpr char kZeros[kHashDigits + 1] = "00000000000000000000000000000000";
  Hasher hasher;
  hasher.add(header.first(kHashAt));
  hasher.add(std::string_view(kZeros, kHashDigits));
  hasher.add(header.subspan(kHashAt + kHashDigits));
  return to_string(hasher.finish());
}

}  // namespace state_header

namespace {

using namespace state_header;

void add_entry(std::string& text, const char* key, const std::string& value) {
  text.append(",\"").append(key).append("\":\"").append(value).append("\"");
}

void add_tensor(std::string& text, const std::string& name, DType dtype, const std::vector<std::int64_t>& sizes,
                std::uint64_t begin, std::uint64_t end) {
  text.append(",\"").append(name).append("\":{\"dtype\":\"").append(dtype_name(dtype)).append("\",\"shape\":[");
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (i > 0) text.push_back(',');
    text.append(std::to_string(sizes[i]));
  }
  text.append("],\"data_offsets\":[").append(std::to_string(begin)).append(",").append(std::to_string(end));
  text.append("]}");
}

}  // namespace

std::vector<std::uint8_t> encode_state_header(const StateLayout& layout, const StateRef& ref) {
  CHECK(ref.layout == layout.hash);
  std::array<std::uint64_t, kSections> counts{};
  for (const TensorSpec& tensor : layout.tensors) ++counts[static_cast<std::size_t>(tensor.section)];

  std::string text(kOpening);
  text.append(kHashDigits, '0').push_back('"');
  add_entry(text, "format", "pt");
  add_entry(text, "modelhop_state", "1");
  add_entry(text, "experiment", std::to_string(ref.experiment.value));
  add_entry(text, "trial", std::to_string(ref.trial.value));
  add_entry(text, "lineage", std::to_string(ref.lineage));
  add_entry(text, "epoch", std::to_string(ref.at.epoch));
  add_entry(text, "visit", std::to_string(ref.at.visit));
  add_entry(text, "batch", std::to_string(ref.at.batch));
  add_entry(text, "step", std::to_string(ref.at.step));
  add_entry(text, "samples", std::to_string(ref.at.samples));
  add_entry(text, "layout", to_string(ref.layout));
  add_entry(text, "state", to_string(ref.hash));
  add_entry(text, "parameters", std::to_string(counts[0]));
  add_entry(text, "buffers", std::to_string(counts[1]));
  add_entry(text, "moments", std::to_string(counts[2]));
  text.push_back('}');
  std::uint64_t pads = 0;
  for (const TensorSpec& tensor : layout.tensors) {
    const std::uint64_t end = tensor.offset_bytes + tensor.size_bytes();
    add_tensor(text, tensor.name, tensor.dtype, tensor.sizes, tensor.offset_bytes, end);
    if (const std::uint64_t pad = aligned(end) - end; pad > 0) {
      add_tensor(text, "_pad." + std::to_string(pads++), DType::kU8, {static_cast<std::int64_t>(pad)}, end,
                 aligned(end));
    }
  }
  text.push_back('}');
  text.append(aligned(8 + text.size()) - 8 - text.size(), ' ');
  CHECK(text.size() <= kStateHeaderBytesMax);

  std::vector<std::uint8_t> bytes(8 + text.size());
  for (int i = 0; i < 8; ++i) bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(text.size() >> (8 * i));
  std::memcpy(bytes.data() + 8, text.data(), text.size());
  const std::string hash = hash_of(std::span(bytes).subspan(8));
  std::memcpy(bytes.data() + 8 + kHashAt, hash.data(), kHashDigits);
  return bytes;
}

}  // namespace modelhop
