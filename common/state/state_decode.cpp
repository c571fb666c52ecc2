#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <new>
#include <set>

#include "common/base/hash.h"
#include "common/state/state_file.h"
#include "common/state/state_header.h"

namespace modelhop {
namespace {

using namespace state_header;

Status bad(const std::string& what) { return corrupt("state file: " + what); }

// Reads the one spelling that encode_state_header() writes, left to right. The first failure stays; later calls fail.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool expect(std::string_view literal) {
    if (!error_.empty()) return false;
    if (text_.substr(at_, literal.size()) != literal) return fail("expected '" + std::string(literal) + "'");
    at_ += literal.size();
    return true;
  }

  bool peek(char c) const { return error_.empty() && at_ < text_.size() && text_[at_] == c; }

  // A decimal without sign or leading zero.
  bool number(std::uint64_t& out, std::uint64_t max = std::numeric_limits<std::uint64_t>::max()) {
    if (!error_.empty()) return false;
    const char* begin = text_.data() + at_;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc{} || value > max || (*begin == '0' && end != begin + 1)) {
      return fail("expected a number of at most " + std::to_string(max));
    }
    at_ += static_cast<std::size_t>(end - begin);
    out = value;
    return true;
  }

  // Up to the closing quote, which it takes too.
  bool string(std::string& out, std::size_t bytes_max) {
    if (!error_.empty()) return false;
    const std::size_t end = text_.find('"', at_);
    if (end == std::string_view::npos || end - at_ > bytes_max) {
      return fail("expected a string of at most " + std::to_string(bytes_max) + " bytes");
    }
    out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return true;
  }

  bool entry(std::string_view key, std::uint64_t& out, std::uint64_t max = std::numeric_limits<std::uint64_t>::max()) {
    return expect(",\"") && expect(key) && expect("\":\"") && number(out, max) && expect("\"");
  }

  bool entry(std::string_view key, ContentHash& out) {
    std::string digits;
    if (!expect(",\"") || !expect(key) || !expect("\":\"") || !string(digits, kHashDigits)) return false;
    return parse(digits, out) || fail("expected 32 hex digits for " + std::string(key));
  }

  // Always false, so that it can end a chain of &&.
  bool fail(const std::string& what) {
    if (error_.empty()) error_ = "header byte " + std::to_string(at_) + ": " + what;
    return false;
  }

  std::string_view rest() const { return text_.substr(at_); }
  Status status() const { return bad(error_); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::string error_;
};

struct Metadata {
  StateRef ref;
  std::array<std::uint64_t, kSections> counts{};
};

bool scan_metadata(Scanner& scan, Metadata& out) {
  constexpr std::uint64_t kU32Max = std::numeric_limits<std::uint32_t>::max();
  std::string header_hash;  // compared before
  std::uint64_t lineage = 0, epoch = 0, visit = 0, batch = 0;
  StateRef& ref = out.ref;
  const bool ok =
      scan.expect(kOpening) && scan.string(header_hash, kHashDigits) &&
      scan.expect(",\"format\":\"pt\",\"modelhop_state\":\"1\"") && scan.entry("experiment", ref.experiment.value) &&
      scan.entry("trial", ref.trial.value) && scan.entry("lineage", lineage, kU32Max) &&
      scan.entry("epoch", epoch, kU32Max) && scan.entry("visit", visit, kU32Max) &&
      scan.entry("batch", batch, kU32Max) && scan.entry("step", ref.at.step) && scan.entry("samples", ref.at.samples) &&
      scan.entry("layout", ref.layout) && scan.entry("state", ref.hash) && scan.entry("parameters", out.counts[0]) &&
      scan.entry("buffers", out.counts[1]) && scan.entry("moments", out.counts[2]) && scan.expect("}");
  ref.lineage = static_cast<std::uint32_t>(lineage);
  ref.at.epoch = static_cast<std::uint32_t>(epoch);
  ref.at.visit = static_cast<std::uint32_t>(visit);
  ref.at.batch = static_cast<std::uint32_t>(batch);
  return ok;
}

// `,"NAME":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}`, which must start at `begin` in the arena.
bool scan_tensor(Scanner& scan, std::uint64_t begin, TensorSpec& out, std::uint64_t& end) {
  std::string dtype;
  if (!scan.expect(",\"") || !scan.string(out.name, kTensorNameBytesMax) || !scan.expect(":{\"dtype\":\"") ||
      !scan.string(dtype, 8)) {
    return false;
  }
  const auto known = std::find_if(std::begin(kDTypeNames), std::end(kDTypeNames),
                                  [&](const DTypeName& entry) { return dtype == entry.name; });
  if (known == std::end(kDTypeNames)) return scan.fail("unknown dtype '" + dtype + "' of tensor '" + out.name + "'");
  out.dtype = known->dtype;
  if (!scan.expect(",\"shape\":[")) return false;
  out.sizes.clear();
  while (!scan.peek(']')) {
    std::uint64_t size = 0;
    if (!out.sizes.empty() && !scan.expect(",")) return false;
    if (out.sizes.size() == kTensorDimensionsMax) return scan.fail("too many dimensions of tensor '" + out.name + "'");
    if (!scan.number(size, kArenaBytesMax)) return false;
    out.sizes.push_back(static_cast<std::int64_t>(size));
  }
  std::uint64_t bytes = 0, from = 0, to = 0;
  if (!tensor_bytes(out.dtype, out.sizes, bytes)) return scan.fail("impossible shape of tensor '" + out.name + "'");
  if (!scan.expect("],\"data_offsets\":[") || !scan.number(from) || !scan.expect(",") || !scan.number(to) ||
      !scan.expect("]}")) {
    return false;
  }
  if (from != begin || bytes > kArenaBytesMax - begin || to != begin + bytes) {
    return scan.fail("data_offsets of '" + out.name +
                     "' are not where the tensor before ends and as long as its shape");
  }
  out.offset_bytes = begin;
  end = to;
  return true;
}

// All tensors up to the closing brace, each followed by its pad.
bool scan_tensors(Scanner& scan, const std::array<std::uint64_t, kSections>& counts, std::vector<TensorSpec>& out) {
  std::set<std::string> names;
  std::uint64_t at = 0, pads = 0;
  for (std::size_t section = 0; section < kSections; ++section) {
    for (std::uint64_t i = 0; i < counts[section]; ++i) {
      TensorSpec tensor, pad;
      tensor.section = static_cast<Section>(section);
      std::uint64_t end = 0;
      if (!scan_tensor(scan, at, tensor, end)) return false;
      if (!is_tensor_name(tensor.name)) return scan.fail("'" + tensor.name + "' is not a tensor's name");
      if (!names.insert(tensor.name).second) return scan.fail("two tensors are named '" + tensor.name + "'");
      out.push_back(std::move(tensor));
      at = aligned(end);
      if (at == end) continue;
      std::uint64_t pad_end = 0;
      if (!scan_tensor(scan, end, pad, pad_end)) return false;
      if (pad.name != "_pad." + std::to_string(pads++) || pad.dtype != DType::kU8 || pad_end != at) {
        return scan.fail("'" + pad.name + "' is not the pad that belongs here");
      }
    }
  }
  return scan.expect("}");
}

Status check_pads(const StateLayout& layout, std::span<const std::uint8_t> arena) {
  for (const TensorSpec& tensor : layout.tensors) {
    const std::uint64_t end = tensor.offset_bytes + tensor.size_bytes();
    const auto pad = arena.subspan(end, aligned(end) - end);
    if (std::any_of(pad.begin(), pad.end(), [](std::uint8_t byte) { return byte != 0; })) {
      return bad("the pad after tensor '" + tensor.name + "' is not zero");
    }
  }
  return {};
}

}  // namespace

Result<DecodedState> decode_state(std::span<const std::uint8_t> file, std::shared_ptr<const StateLayout> expected) try {
  if (file.size() < 8) return bad(std::to_string(file.size()) + " bytes are too few for a header");
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < 8; ++i) header_bytes |= std::uint64_t{file[i]} << (8 * i);
  if (header_bytes > kStateHeaderBytesMax || header_bytes > file.size() - 8 || header_bytes < kHashAt + kHashDigits) {
    return bad("a header of " + std::to_string(header_bytes) + " bytes in a file of " + std::to_string(file.size()));
  }
  if ((8 + header_bytes) % kTensorAlignment != 0) return bad("its tensors do not start at a multiple of 256");
  const auto header = file.subspan(8, header_bytes);
  const auto arena = file.subspan(8 + header_bytes);
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  if (!text.starts_with(kOpening)) return bad("not a state: the header does not start with " + std::string(kOpening));
  if (text.substr(kHashAt, kHashDigits) != hash_of(header)) return bad("the header does not have its header_hash");

  Scanner scan(text);
  Metadata metadata;
  std::vector<TensorSpec> tensors;
  if (!scan_metadata(scan, metadata) || !scan_tensors(scan, metadata.counts, tensors)) return scan.status();
  auto layout = std::make_shared<const StateLayout>(StateLayout::make(std::move(tensors)));
  StateRef& ref = metadata.ref;
  if (layout->hash != ref.layout) return bad("its tensors do not have the layout hash it gives");
  if (expected != nullptr && expected->hash != layout->hash) {
    return bad("layout " + to_string(layout->hash) + ", but the recipe's is " + to_string(expected->hash));
  }
  if (arena.size() != layout->size_bytes) {
    return bad(std::to_string(arena.size()) + " bytes of tensors instead of " + std::to_string(layout->size_bytes));
  }
  const std::vector<std::uint8_t> canonical = encode_state_header(*layout, ref);
  if (!std::equal(canonical.begin(), canonical.end(), file.begin(), file.begin() + 8 + header.size())) {
    return bad("the header does not end in just the spaces that align the tensors");
  }
  RETURN_IF_ERROR(check_pads(*layout, arena));

  ref.size_bytes = file.size();
  auto state = std::make_unique<StateArena>(expected != nullptr ? std::move(expected) : std::move(layout));
  state->cursor = ref.at;
  std::copy(arena.begin(), arena.end(), state->bytes().begin());
  if (const ContentHash hash = state_hash(*state); hash != ref.hash) {
    return bad("its content has the hash " + to_string(hash) + " instead of " + to_string(ref.hash));
  }
  return DecodedState{ref, std::move(state)};
} catch (const std::bad_alloc&) {
  return environment("state file: no memory for " + std::to_string(file.size()) + " bytes");
}

}  // namespace modelhop
