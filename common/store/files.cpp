#include "common/store/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "common/store/file_system.h"

namespace modelhop {
namespace {
constexpr int kLookersMax = 10;  // times 5 ms
}  // namespace

File::~File() {
  if (descriptor_ >= 0) file_system().close(descriptor_);
}

Status file_error(const std::string& path, const std::string& what) {
  const int error = errno;
  return {error == ENOENT ? Code::kNotFound : Code::kEnvironment, path + ": " + what + ": " + std::strerror(error)};
}

Status make_folders(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path whole;
  for (const fs::path& part : fs::path(path).lexically_normal()) {
    const fs::path parent = whole.empty() ? "." : whole;
    whole /= part;
    if (file_system().mkdir(whole.string()) == 0) {
      RETURN_IF_ERROR(sync_folder(parent.string()));
    } else if (const int why = errno; why != EEXIST && !fs::is_directory(whole, error)) {
      errno = why;
      return file_error(whole.string(), "cannot be created");
    }
  }
  if (fs::is_directory(path, error)) return {};
  if (!fs::exists(path, error)) return not_found(path + ": was removed meanwhile");
  return environment(path + ": is no folder");
}

Status sync_folder(const std::string& path) {
  const File folder(file_system().open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return file_error(path, "cannot be opened");
  // EINVAL: this file system keeps folders durable by itself.
  if (file_system().fsync(folder.get()) != 0 && errno != EINVAL) return file_error(path, "cannot be synced");
  return {};
}

Status write_all(const File& file, std::span<const std::uint8_t> bytes, const std::string& path) {
  constexpr std::size_t kChunk = std::size_t{1} << 30;  // Linux writes at most 2 GiB a call
  while (!bytes.empty()) {
    const ssize_t written = file_system().write(file.get(), bytes.data(), std::min(bytes.size(), kChunk));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error(path, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<DiskRoom> disk_room(const std::string& path) {
  struct ::statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return file_error(path, "cannot be asked for its free space");
  return DiskRoom{std::uint64_t{info.f_bavail} * info.f_frsize, std::uint64_t{info.f_blocks} * info.f_frsize};
}

Result<FileLock> FileLock::take(const std::string& path, const std::string& what) {
  File file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (file.get() < 0) return file_error(path, "cannot be opened");
  bool taken = ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
  // held() of another process has it for an instant.
  for (int i = 0; !taken && errno == EWOULDBLOCK && i < kLookersMax; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    taken = ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
  }
  if (!taken) {
    if (errno != EWOULDBLOCK) return file_error(path, "cannot be locked");
    char pid[24] = {};
    const ssize_t length = ::pread(file.get(), pid, sizeof pid - 1, 0);
    const std::string holder = length > 0 ? std::string(pid, std::strcspn(pid, "\n")) : "unknown";
    return conflict(what + " is held by another process (pid " + holder + "); stop it, or name another --state-dir");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0) return file_error(path, "cannot be written");
  RETURN_IF_ERROR(write_all(file, {reinterpret_cast<const std::uint8_t*>(pid.data()), pid.size()}, path));
  return FileLock(std::move(file));
}

bool FileLock::held(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file.get() >= 0 && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace modelhop
