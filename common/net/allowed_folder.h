#pragma once
// AllowedFolder: the folder `allowed` as an AllowList.
// A file is read again when its times, size or inode differ from the last look, or when it changed so shortly before
// that look that a later change may carry the same time. What cannot be read for a moment (no descriptor left, a disk
// error) stays as it was; what is gone or is no key allows nobody. Threads: one.
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/net/keys.h"

namespace modelhop {

class AllowedFolder {
 public:
  explicit AllowedFolder(std::string path) : path_(std::move(path)) {}
  std::optional<AllowedKeys> poll();

 private:
  struct Look {  // at one file
    std::uint64_t device{}, inode{}, size{};
    std::int64_t modified_ns{}, changed_ns{};
    bool operator==(const Look&) const = default;
  };
  struct Known {
    Look look;
    bool settled{};          // no later change can look the same
    std::string public_key;  // empty: allows nobody
    std::string problem;
  };
  void look_at(const std::string& name, Known& known);

  const std::string path_;
  std::map<std::string, Known> known_;  // by name
  std::optional<AllowedKeys> last_;
};

}  // namespace modelhop
