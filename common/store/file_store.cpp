#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <random>

#include "common/store/blob_store.h"
#include "common/store/file_system.h"
#include "common/store/files.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

constexpr int kFolderRetriesMax = 100;  // a folder that is emptied and removed while we write into it

Status check_name(const std::string& name) {
  const auto bad = [&] {
    return invalid("blob name \"" + name + "\": wants parts of [A-Za-z0-9._-] between single '/'");
  };
  if (name.empty() || name.size() > kBlobNameBytesMax || name.starts_with("tmp/") || name == "tmp") return bad();
  std::string part;
  for (std::size_t i = 0; i <= name.size(); ++i) {
    if (i == name.size() || name[i] == '/') {
      if (part.empty() || part == "." || part == "..") return bad();
      part.clear();
      continue;
    }
    const char c = name[i];
    const bool legal =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!legal) return bad();
    part += c;
  }
  return {};
}

int rename_exclusive(const std::string& from, const std::string& to) {
  return file_system().rename_exclusive(from, to) == 0 ? 0 : errno;
}

int rename_over(const std::string& from, const std::string& to) {
  return file_system().rename(from, to) == 0 ? 0 : errno;
}

using Rename = int (*)(const std::string& from, const std::string& to);  // an errno

class FileBlobStore final : public BlobStore {
 public:
  explicit FileBlobStore(std::string root)
      : root_(std::move(root)), salt_((std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()) {}

  Status prepare() {
    RETURN_IF_ERROR(make_folders(root_ + "/tmp"));
    const std::string probe = temp_path();
    for (const bool first : {true, false}) {
      const File file(file_system().open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC));
      const bool opened = file.get() >= 0;
      const int error = errno;
      if (opened && first) continue;
      file_system().unlink(probe);
      errno = error;
      if (first) return file_error(root_, "cannot be written");
      if (opened)
        return environment(root_ + ": does not keep exclusive creates; use another file system for the store");
    }
    remove_old_leftovers();
    return {};
  }

  Result<Put> create(const std::string& name, std::span<const std::span<const std::uint8_t>> pieces) override {
    RETURN_IF_ERROR(check_name(name));
    const std::string temp = temp_path();
    Result<Put> put = write_and_name(temp, root_ + "/" + name, pieces, rename_exclusive);
    if (!put.ok() || *put == Put::kExists) file_system().unlink(temp);
    return put;
  }

  Status replace(const std::string& name, std::span<const std::span<const std::uint8_t>> pieces) override {
    RETURN_IF_ERROR(check_name(name));
    const std::string temp = temp_path();
    const Result<Put> put = write_and_name(temp, root_ + "/" + name, pieces, rename_over);
    if (!put.ok()) file_system().unlink(temp);
    return put.status();
  }

  Result<std::vector<std::uint8_t>> read(const std::string& name, std::uint64_t bytes_max) override {
    ASSIGN_OR_RETURN(const BlobEntry entry, stat(name));
    if (entry.size_bytes > bytes_max) {
      return corrupt("blob " + name + ": has " + std::to_string(entry.size_bytes) + " bytes, expected at most " +
                     std::to_string(bytes_max));
    }
    const std::string path = root_ + "/" + name;
    const File file(file_system().open(path, O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) return file_error(path, "cannot be opened");
    std::vector<std::uint8_t> bytes(entry.size_bytes);
    std::size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t count = ::read(file.get(), bytes.data() + at, bytes.size() - at);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return file_error(path, "cannot be read");
      if (count == 0)
        return corrupt(path + ": ends at byte " + std::to_string(at) + " of " + std::to_string(bytes.size()));
      at += static_cast<std::size_t>(count);
    }
    return bytes;
  }

  Result<std::string> local_path(const std::string& name) override {
    RETURN_IF_ERROR(stat(name).status());
    return root_ + "/" + name;
  }

  Result<BlobEntry> stat(const std::string& name) override {
    RETURN_IF_ERROR(check_name(name));
    struct ::stat info {};
    const std::string path = root_ + "/" + name;
    if (::stat(path.c_str(), &info) != 0) {
      if (errno == ENOTDIR) errno = ENOENT;
      return file_error(path, "cannot be found");
    }
    if (!S_ISREG(info.st_mode)) return not_found(path + ": is no blob");
    return BlobEntry{name, static_cast<std::uint64_t>(info.st_size), modified(info)};
  }

  Result<std::vector<BlobEntry>> list(const std::string& prefix) override {
    std::vector<BlobEntry> entries;
    const std::size_t slash = prefix.rfind('/');
    const fs::path folder = slash == std::string::npos ? fs::path(root_) : fs::path(root_) / prefix.substr(0, slash);
    if (slash != std::string::npos) RETURN_IF_ERROR(check_name(prefix.substr(0, slash)));
    // Folder by folder: one that is emptied and removed meanwhile holds nothing to list.
    std::vector<fs::path> folders{folder};
    while (!folders.empty()) {
      const fs::path next = std::move(folders.back());
      folders.pop_back();
      std::error_code error;
      fs::directory_iterator at(next, error), end;
      if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) continue;
      for (; !error && at != end; at.increment(error)) {
        std::error_code gone;
        if (at->is_directory(gone)) folders.push_back(at->path());
        const std::string name = at->path().lexically_relative(root_).generic_string();
        if (!name.starts_with(prefix) || !check_name(name).ok()) continue;
        if (Result<BlobEntry> entry = stat(name); entry.ok()) entries.push_back(std::move(*entry));
      }
      if (error) return environment(next.string() + ": cannot be listed: " + error.message());
    }
    std::sort(entries.begin(), entries.end(), [](const BlobEntry& a, const BlobEntry& b) { return a.name < b.name; });
    return entries;
  }

  Result<BlobScan> scan(const std::string& folder, const std::string& after, std::size_t max) override {
    if (!folder.empty()) RETURN_IF_ERROR(check_name(folder.substr(0, folder.size() - 1)));
    BlobScan found;
    found.complete = true;
    RETURN_IF_ERROR(scan_folder(root_, folder, after, max, found));
    return found;
  }

  Result<std::vector<BlobEntry>> leftovers(std::size_t max) override {
    BlobScan found;
    RETURN_IF_ERROR(scan_folder(root_ + "/tmp", "", "", max, found));
    return std::move(found.entries);
  }

  Status remove_leftover(const std::string& name) override {
    RETURN_IF_ERROR(check_name(name));
    const std::string path = root_ + "/tmp/" + name;
    if (file_system().unlink(path) != 0 && errno != ENOENT) return file_error(path, "cannot be removed");
    return {};
  }

  Result<WallMs> clock() override {
    const std::string path = temp_path();
    struct ::stat info {};
    {
      const File file(file_system().open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC));
      if (file.get() < 0) return file_error(path, "cannot be created");
      const std::uint8_t byte = 0;  // on a shared file system the server's clock tells when something was written
      const Status written = write_all(file, {&byte, 1}, path);
      const bool known = written.ok() && file_system().fsync(file.get()) == 0 && ::fstat(file.get(), &info) == 0;
      const int error = errno;
      file_system().unlink(path);
      errno = error;
      RETURN_IF_ERROR(written);
      if (!known) return file_error(path, "cannot be asked for its time");
    }
    return modified(info);
  }

  Result<DiskRoom> room() override { return disk_room(root_); }

  Status remove(const std::string& name) override {
    RETURN_IF_ERROR(check_name(name));
    const fs::path path = fs::path(root_) / name;
    if (file_system().unlink(path.string()) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return {};
      return file_error(path.string(), "cannot be removed");
    }
    fs::path folder = path.parent_path();
    const Status synced = sync_folder(folder.string());
    if (synced.code() == Code::kNotFound) return {};  // another removed the folder: it was empty
    RETURN_IF_ERROR(synced);
    while (folder != fs::path(root_) && file_system().rmdir(folder.string()) == 0) folder = folder.parent_path();
    return {};
  }

 private:
  static WallMs modified(const struct ::stat& info) {
    return {info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1'000'000};
  }

  std::string temp_path() {
    char name[64];
    std::snprintf(name, sizeof name, "/tmp/%d-%016llx-%llu", static_cast<int>(::getpid()),
                  static_cast<unsigned long long>(salt_), static_cast<unsigned long long>(next_.fetch_add(1)));
    return root_ + name;
  }

  Result<Put> write_and_name(const std::string& temp, const std::string& path,
                             std::span<const std::span<const std::uint8_t>> pieces, Rename rename) {
    {
      const File file(file_system().open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC));
      if (file.get() < 0) return Status(Code::kEnvironment, file_error(temp, "cannot be created").message());
      for (const auto piece : pieces) {
        if (Status status = write_all(file, piece, temp); !status.ok()) {
          return Status(Code::kEnvironment, path + ": cannot be stored: " + status.message());
        }
      }
      if (file_system().fsync(file.get()) != 0) {
        return Status(Code::kEnvironment, file_error(path, "cannot be stored: its fsync failed").message());
      }
    }
    const std::string folder = fs::path(path).parent_path().string();
    int error = ENOENT;
    for (int i = 0; i < kFolderRetriesMax && error == ENOENT; ++i) {
      const Status made = make_folders(folder);
      if (made.code() == Code::kNotFound) continue;
      RETURN_IF_ERROR(made);
      error = rename(temp, path);
      if (error != 0 && error != EEXIST) continue;
      // Also where it exists: its writer may have died between naming it and this.
      const Status synced = sync_folder(folder);
      if (synced.ok()) return error == 0 ? Put::kCreated : Put::kExists;
      // What existed is gone again, and its folder with it.
      if (synced.code() != Code::kNotFound || error == 0) return Status(Code::kEnvironment, synced.message());
      error = ENOENT;
    }
    errno = error;
    return Status(Code::kEnvironment, file_error(path, "cannot be named").message());
  }

  // Adds what comes after `after`, folder by folder in order of name, a folder's name ending in '/' as its blobs' do.
  // What is removed meanwhile is left out.
  static Status scan_folder(const std::string& root, const std::string& folder, const std::string& after,
                            std::size_t max, BlobScan& found) {
    const std::string path = root + "/" + folder;
    const int descriptor = file_system().open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT) return {};
    if (descriptor < 0) return file_error(path, "cannot be listed");
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::fdopendir(descriptor), ::closedir);
    if (open == nullptr) return file_error(path, "cannot be listed");
    std::map<std::string, struct ::stat> entries;
    for (errno = 0; const ::dirent* entry = ::readdir(open.get()); errno = 0) {
      std::string name = folder + entry->d_name;
      struct ::stat info {};
      if (!check_name(name).ok()) continue;
      if (::fstatat(descriptor, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;
        return file_error((fs::path(root) / name).string(), "cannot be looked at");
      }
      if (S_ISDIR(info.st_mode)) {
        name += '/';
        if (name > after || after.starts_with(name)) entries.emplace(std::move(name), info);
      } else if (S_ISREG(info.st_mode) && name > after) {
        entries.emplace(std::move(name), info);
      }
    }
    if (errno != 0) return file_error(path, "cannot be listed");
    for (const auto& [name, info] : entries) {
      if (name.back() == '/') {
        RETURN_IF_ERROR(scan_folder(root, name, after, max, found));
        if (!found.complete) return {};
      } else if (found.entries.size() == max) {
        found.complete = false;
        return {};
      } else {
        found.entries.push_back({name, static_cast<std::uint64_t>(info.st_size), modified(info)});
      }
    }
    return {};
  }

  // What cannot be removed now can be later: it stands in nobody's way.
  void remove_old_leftovers() {
    const Result<WallMs> now = clock();
    const Result<std::vector<BlobEntry>> found = leftovers(kLeftoversMax);
    if (!now.ok() || !found.ok()) return;
    for (const BlobEntry& left : *found) {
      if (now->value - left.modified.value > kLeftoverMs) (void)remove_leftover(left.name);
    }
  }

  const std::string root_;
  const std::uint64_t salt_;  // so that two machines with equal pids do not meet in tmp/
  std::atomic<std::uint64_t> next_{0};
};

Result<std::string> path_of(const std::string& uri) {
  const std::string path = uri.starts_with("file://") ? uri.substr(7) : uri;
  if (path.empty() || path.find("://") != std::string::npos) {
    return invalid("store \"" + uri + "\": wants a path or file:///path");
  }
  return fs::absolute(path).lexically_normal().string();
}

}  // namespace

Result<std::unique_ptr<BlobStore>> open_store(const std::string& uri) {
  ASSIGN_OR_RETURN(std::string path, path_of(uri));
  auto store = std::make_unique<FileBlobStore>(std::move(path));
  RETURN_IF_ERROR(store->prepare());
  return std::unique_ptr<BlobStore>(std::move(store));
}

Result<std::unique_ptr<BlobStore>> open_store_to_look(const std::string& uri) {
  ASSIGN_OR_RETURN(std::string path, path_of(uri));
  std::error_code error;
  if (!fs::is_directory(path, error)) return not_found("store " + path + ": there is no such folder");
  return std::unique_ptr<BlobStore>(std::make_unique<FileBlobStore>(std::move(path)));
}

}  // namespace modelhop
