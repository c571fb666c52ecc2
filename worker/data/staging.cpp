#include "worker/data/staging.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "common/base/hash.h"
#include "common/base/time.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImportPrefix = ".import-";
constexpr const char* kDeletePrefix = ".delete-";
constexpr const char* kLockSuffix = ".lock";

std::string random_name() {
  std::uint64_t words[2] = {};
  if (::getrandom(words, sizeof words, 0) != static_cast<ssize_t>(sizeof words)) {
    words[0] = static_cast<std::uint64_t>(::getpid());  // the exclusive create below still tells two apart
    words[1] = static_cast<std::uint64_t>(monotonic_now().ns);
  }
  Hasher hasher;
  hasher.add_u64(words[0]);
  hasher.add_u64(words[1]);
  return to_string(hasher.finish()).substr(0, 16);
}

// Whether `path` still names the file that `file` has open: a sweep may have removed it before it was locked.
bool is_same_file(const File& file, const std::string& path) {
  struct stat opened {
  }, named{};
  return ::fstat(file.get(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

// Renames, but never onto something. An errno, or 0.
int rename_exclusively(const std::string& from, const std::string& to) {
  if (::syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // File systems without it: rename() refuses a folder that is not empty, which a data set never is.
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

void remove_quietly(const std::string& path) {
  std::error_code ignored;  // what stays is swept later
  fs::remove_all(path, ignored);
}

}  // namespace

Staging::Staging(std::string parent, std::string folder, File lock)
    : parent_(std::move(parent)), folder_(std::move(folder)), lock_(std::move(lock)) {}

Result<Staging> Staging::begin(const std::string& parent) {
  for (int attempt = 0; attempt < 16; ++attempt) {
    const std::string folder = parent + "/" + kImportPrefix + random_name();
    const std::string lock_path = folder + kLockSuffix;
    File lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (lock.get() < 0 && errno == EEXIST) continue;
    if (lock.get() < 0) return system_error("cannot create '" + lock_path + "'", errno);
    ::flock(lock.get(), LOCK_EX);
    if (!is_same_file(lock, lock_path)) continue;
    if (::mkdir(folder.c_str(), 0755) != 0) {
      const int error = errno;
      ::unlink(lock_path.c_str());
      return system_error("cannot create '" + folder + "'", error);
    }
    return Staging(parent, folder, std::move(lock));
  }
  return environment("cannot create a folder in '" + parent + "'");
}

Staging::~Staging() {
  if (folder_.empty()) return;
  remove_quietly(folder_);
  ::unlink((folder_ + kLockSuffix).c_str());
}

Status Staging::commit(const std::string& name) {
  RETURN_IF_ERROR(sync_folder(folder_));
  const std::string to = parent_ + "/" + name;
  if (const int error = rename_exclusively(folder_, to); error != 0) {
    if (error == EEXIST || error == ENOTEMPTY || error == ENOTDIR) return conflict("'" + to + "' exists already");
    return system_error("cannot rename '" + folder_ + "' to '" + to + "'", error);
  }
  return sync_folder(parent_);
}

void sweep(const std::string& parent) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  for (const std::string& name : names) {
    const std::string path = parent + "/" + name;
    if (name.starts_with(kDeletePrefix)) {
      remove_quietly(path);
    } else if (name.starts_with(kImportPrefix)) {
      const std::string folder = name.ends_with(kLockSuffix) ? path.substr(0, path.size() - 5) : path;
      const std::string lock_path = folder + kLockSuffix;
      const File lock(::open(lock_path.c_str(), O_RDWR | O_CLOEXEC));
      // The lock file is made before the folder and removed after it, so a folder without one has no owner.
      if (lock.get() < 0 && errno != ENOENT) continue;
      if (lock.get() >= 0 && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;
      remove_quietly(folder);
      if (lock.get() >= 0 && is_same_file(lock, lock_path)) ::unlink(lock_path.c_str());
    }
  }
}

Status remove_folder(const std::string& parent, const std::string& name) {
  const std::string from = parent + "/" + name;
  const std::string to = parent + "/" + kDeletePrefix + random_name();
  if (std::rename(from.c_str(), to.c_str()) != 0) return system_error("cannot remove '" + from + "'", errno);
  RETURN_IF_ERROR(sync_folder(parent));
  remove_quietly(to);
  return {};
}

}  // namespace modelhop
