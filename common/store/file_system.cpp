#include "common/store/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

namespace modelhop {
namespace {

class RealFileSystem final : public FileSystem {
 public:
  int open(const std::string& path, int flags, unsigned mode) override { return ::open(path.c_str(), flags, mode); }
  ssize_t write(int file, const void* bytes, std::size_t count) override { return ::write(file, bytes, count); }
  ssize_t pwrite(int file, const void* bytes, std::size_t count, off_t offset) override {
    return ::pwrite(file, bytes, count, offset);
  }
  int fsync(int file) override { return ::fsync(file); }
  int close(int file) override { return ::close(file); }
  int mkdir(const std::string& path) override { return ::mkdir(path.c_str(), 0777); }
  int rmdir(const std::string& path) override { return ::rmdir(path.c_str()); }
  int rename(const std::string& from, const std::string& to) override { return ::rename(from.c_str(), to.c_str()); }
  int rename_exclusive(const std::string& from, const std::string& to) override {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    // A file system without it (NFS): a link is exclusive everywhere.
    if (::link(from.c_str(), to.c_str()) != 0) return -1;
    ::unlink(from.c_str());
    return 0;
  }
  int unlink(const std::string& path) override { return ::unlink(path.c_str()); }
};

std::atomic<FileSystem*> file_system_in_use{nullptr};

}  // namespace

FileSystem& real_file_system() {
  static RealFileSystem real;
  return real;
}

FileSystem& file_system() {
  FileSystem* files = file_system_in_use.load(std::memory_order_acquire);
  return files == nullptr ? real_file_system() : *files;
}

void use_file_system(FileSystem* files) { file_system_in_use.store(files, std::memory_order_release); }

}  // namespace modelhop
