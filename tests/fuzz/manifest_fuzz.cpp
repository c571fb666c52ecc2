// parse_manifest() over any bytes; what it accepts must survive being written and read again.
#include <cstdlib>
#include <string_view>

#include "common/spec/manifest.h"

using namespace modelhop;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto manifest = parse_manifest({reinterpret_cast<const char*>(data), size});
  if (!manifest.ok()) return 0;
  const std::string text = to_json(*manifest);
  const auto again = parse_manifest(text);
  if (!again.ok() || to_json(*again) != text || identity(*again) != identity(*manifest)) std::abort();
  return 0;
}
