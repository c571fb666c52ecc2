#pragma once
// Key files as bytes: small, regular, read whole.
#include <sys/types.h>

#include <string>
#include <vector>

#include "common/base/status.h"

namespace modelhop {

struct KeyBytes {
  std::string text;
  mode_t mode{};
};
// Follows links (a mounted secret is one); never waits for a pipe. kNotFound: it is not there. kCorrupt: too large to
// be a key, or no file.
Result<KeyBytes> read_key_bytes(const std::string& file);
// NAME of every NAME.pub in there, sorted; none where there is no such folder.
Result<std::vector<std::string>> key_names(const std::string& folder);

}  // namespace modelhop
