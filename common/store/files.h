#pragma once
// Files that survive a crash: the calls and their order, in one place.
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "common/base/status.h"

namespace modelhop {

// An open file; closed at the end.
class File {
 public:
  explicit File(int descriptor = -1) : descriptor_(descriptor) {}
  ~File();
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// "PATH: cannot be written: No space left on device"; kNotFound where errno says so, else kEnvironment.
Status file_error(const std::string& path, const std::string& what);

// Each new one is durable in its parent. kNotFound: somebody removes them meanwhile.
Status make_folders(const std::string& path);
Status sync_folder(const std::string& path);
Status write_all(const File& file, std::span<const std::uint8_t> bytes, const std::string& path);

struct DiskRoom {
  std::uint64_t free_bytes{};  // for us: what is kept for root is not
  std::uint64_t total_bytes{};
};
Result<DiskRoom> disk_room(const std::string& path);

// The lock of a state directory: held for the life of the value and of the process, whatever ends it.
class FileLock {
 public:
  // kConflict: another process holds it; the message names `what` and that process.
  static Result<FileLock> take(const std::string& path, const std::string& what);
  // Whether some process holds it now. Looks without a trace; false where it cannot be looked at.
  static bool held(const std::string& path);

 private:
  explicit FileLock(File file) : file_(std::move(file)) {}
  File file_;
};

}  // namespace modelhop
