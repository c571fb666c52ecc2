// decode_state() over any bytes. The first byte says whether the hashes are made right first: without that, no input
// comes past the header's hash, and what stands behind it would never be tried.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "common/state/state_file.h"
#include "common/state/state_header.h"

using namespace modelhop;

namespace {

void fix_header(std::vector<std::uint8_t>& file) {
  const std::size_t spaces = (kTensorAlignment - file.size() % kTensorAlignment) % kTensorAlignment;
  file.insert(file.end(), spaces, ' ');
  const std::uint64_t size = file.size() - 8;
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<std::uint8_t>(size >> (8 * i));
  std::copy(state_header::kOpening.begin(), state_header::kOpening.end(), file.begin() + 8);
  const std::string hash = state_header::hash_of(std::span(file).subspan(8));
  std::copy(hash.begin(), hash.end(), file.begin() + 8 + state_header::kHashAt);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<std::uint8_t> file(data + 1, data + size);
  if (data[0] % 2 == 1 && file.size() >= 8 + state_header::kHashAt + state_header::kHashDigits) {
    fix_header(file);  // all input is header
    file.insert(file.end(), std::size_t{data[0] / 2u} * kTensorAlignment, 0);
  }
  auto decoded = decode_state(file, nullptr);
  if (!decoded.ok()) return 0;
  // What is accepted must be what would be written.
  std::vector<std::uint8_t> again = encode_state_header(decoded->state->layout(), decoded->ref);
  again.insert(again.end(), decoded->state->bytes().begin(), decoded->state->bytes().end());
  if (again != file) std::abort();
  return 0;
}
