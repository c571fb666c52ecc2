#include "worker/data/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "common/base/hash.h"
#include "common/store/file_system.h"

namespace modelhop {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;  // of a file that is hashed or copied

// The bytes read, fewer than out.size() only at the end of the file.
Result<std::size_t> read_some(const File& file, const std::string& path, std::uint64_t offset,
                              std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::pread(file.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("cannot read '" + path + "' at byte " + std::to_string(offset + done), errno);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Status write_at(const File& file, const std::string& path, std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t piece = std::min<std::size_t>(bytes.size() - done, 64 * kPieceBytes);
    const ssize_t count =
        file_system().pwrite(file.get(), bytes.data() + done, piece, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("cannot write '" + path + "' at byte " + std::to_string(offset + done), errno);
    done += static_cast<std::size_t>(count);
  }
  return {};
}

// Removes a file that was not finished.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    if (!path_.empty()) file_system().unlink(path_);
  }
  void finished() { path_.clear(); }

 private:
  std::string path_;
};

// One pass over the file, a piece at a time.
template <class Take>
Result<FileDigest> for_each_piece(const File& file, const std::string& path, Take take) {
  FileDigest digest;
  Hasher hasher;
  std::vector<std::uint8_t> piece(kPieceBytes);
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t count, read_some(file, path, digest.size_bytes, piece));
    const auto bytes = std::span<const std::uint8_t>(piece).first(count);
    hasher.add(bytes);
    RETURN_IF_ERROR(take(digest.size_bytes, bytes));
    digest.size_bytes += count;
    if (count < piece.size()) break;
  }
  digest.hash = hasher.finish();
  return digest;
}

}  // namespace

Status system_error(const std::string& what, int error) {
  const std::string why = std::generic_category().message(error);
  if (error == ENOENT || error == ENOTDIR) return not_found(what + ": " + why);
  return environment(what + ": " + why);
}

Result<File> open_to_read(const std::string& path) {
  File file(file_system().open(path, O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error("cannot open '" + path + "'", errno);
  return file;
}

Result<std::uint64_t> size_of_file(const File& file, const std::string& path) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot stat '" + path + "'", errno);
  if (!S_ISREG(info.st_mode)) return invalid("'" + path + "' is not a file");
  return static_cast<std::uint64_t>(info.st_size);
}

Status read_at(const File& file, const std::string& path, std::uint64_t offset, std::span<std::uint8_t> out) {
  ASSIGN_OR_RETURN(const std::size_t count, read_some(file, path, offset, out));
  if (count == out.size()) return {};
  return corrupt("'" + path + "' ends at byte " + std::to_string(offset + count) + ", " +
                 std::to_string(out.size() - count) + " bytes early");
}

Result<std::string> read_text(const std::string& path, std::uint64_t bytes_max) {
  ASSIGN_OR_RETURN(const File file, open_to_read(path));
  ASSIGN_OR_RETURN(const std::uint64_t size, size_of_file(file, path));
  if (size > bytes_max) {
    return corrupt("'" + path + "' has " + std::to_string(size) + " bytes, more than the limit of " +
                   std::to_string(bytes_max));
  }
  std::string text(size, '\0');
  RETURN_IF_ERROR(read_at(file, path, 0, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()}));
  return text;
}

Result<FileDigest> digest_file(const std::string& path) {
  ASSIGN_OR_RETURN(const File file, open_to_read(path));
  ASSIGN_OR_RETURN([[maybe_unused]] const std::uint64_t size, size_of_file(file, path));
  return for_each_piece(file, path, [](std::uint64_t, std::span<const std::uint8_t>) { return Status(); });
}

Status write_durably(const std::string& path, std::span<const std::uint8_t> bytes) {
  const File file(file_system().open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC));
  if (file.get() < 0) return system_error("cannot create '" + path + "'", errno);
  Unfinished unfinished(path);
  RETURN_IF_ERROR(write_at(file, path, 0, bytes));
  if (file_system().fsync(file.get()) != 0) return system_error("cannot sync '" + path + "'", errno);
  unfinished.finished();
  return {};
}

Status copy_checked(const std::string& from, const std::string& to, const FileDigest& expected) {
  ASSIGN_OR_RETURN(const File source, open_to_read(from));
  ASSIGN_OR_RETURN(const std::uint64_t size, size_of_file(source, from));
  if (size != expected.size_bytes) {
    return corrupt("'" + from + "' has " + std::to_string(size) + " bytes, its manifest says " +
                   std::to_string(expected.size_bytes));
  }
  const std::string temp = to + kPartSuffix;
  const File copy(file_system().open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC));
  if (copy.get() < 0) return system_error("cannot create '" + temp + "'", errno);
  Unfinished unfinished(temp);
  ASSIGN_OR_RETURN(const FileDigest digest,
                   for_each_piece(source, from, [&](std::uint64_t offset, std::span<const std::uint8_t> bytes) {
                     return write_at(copy, temp, offset, bytes);
                   }));
  if (digest.size_bytes != expected.size_bytes || digest.hash != expected.hash) {
    return corrupt("'" + from + "' has the hash " + to_string(digest.hash) + ", its manifest says " +
                   to_string(expected.hash));
  }
  if (file_system().rename(temp, to) != 0) return system_error("cannot rename '" + temp + "'", errno);
  unfinished.finished();
  return {};
}

}  // namespace modelhop
