#pragma once
// FileSystem: the calls that change files which must survive a crash, so that a test can stand in for the disk: refuse
// them, or forget what was not synced. Each is the system call of its name: -1 and errno. Any thread.
#include <sys/types.h>

#include <cstddef>
#include <string>

namespace modelhop {

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual int open(const std::string& path, int flags, unsigned mode = 0666) = 0;  // to read, too
  virtual ssize_t write(int file, const void* bytes, std::size_t count) = 0;
  virtual ssize_t pwrite(int file, const void* bytes, std::size_t count, off_t offset) = 0;
  virtual int fsync(int file) = 0;
  virtual int close(int file) = 0;
  virtual int mkdir(const std::string& path) = 0;
  virtual int rmdir(const std::string& path) = 0;
  virtual int rename(const std::string& from, const std::string& to) = 0;            // over what is there
  virtual int rename_exclusive(const std::string& from, const std::string& to) = 0;  // EEXIST: something is there
  virtual int unlink(const std::string& path) = 0;
};

FileSystem& file_system();
FileSystem& real_file_system();
// For tests: every later call goes there; null: to the real one again. `files` outlives what was opened through it.
void use_file_system(FileSystem* files);

}  // namespace modelhop
