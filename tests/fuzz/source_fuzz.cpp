// read_npy() and read_idx() over any file. The first byte chooses.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "worker/data/column.h"
#include "worker/data/source.h"

using namespace modelhop;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const int file = ::memfd_create("input", 0);
  if (file < 0 || ::write(file, data + 1, size - 1) != static_cast<ssize_t>(size - 1)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const auto array = data[0] % 2 == 0 ? read_npy(path) : read_idx(path);
  if (array.ok()) {
    std::uint64_t bytes = 0;
    if (!source_bytes(array->dtype, array->sizes, bytes) || bytes != array->bytes.size()) std::abort();
    (void)first_not_finite(array->dtype, array->bytes);
    if (is_integer(array->dtype)) (void)label_range(array->dtype, array->bytes);
  }
  ::close(file);
  return 0;
}
