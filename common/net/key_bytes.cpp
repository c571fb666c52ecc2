#include "common/net/key_bytes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "common/net/keys.h"
#include "common/store/files.h"

namespace modelhop {

Result<KeyBytes> read_key_bytes(const std::string& file) {
  const File in(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (in.get() < 0) return file_error(file, "cannot be opened");
  struct stat entry {};
  if (::fstat(in.get(), &entry) != 0) return file_error(file, "cannot be read");
  if (!S_ISREG(entry.st_mode)) return corrupt(file + ": is no file");
  KeyBytes out{std::string(kKeyFileBytesMax + 1, '\0'), entry.st_mode};
  std::size_t size = 0;
  while (size < out.text.size()) {
    const ssize_t got = ::read(in.get(), out.text.data() + size, out.text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(file, "cannot be read");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kKeyFileBytesMax) {
    return corrupt(file + ": is over " + std::to_string(kKeyFileBytesMax) + " bytes, so it is no key");
  }
  out.text.resize(size);
  return out;
}

Result<std::vector<std::string>> key_names(const std::string& folder) {
  constexpr std::string_view kSuffix = ".pub";
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()),
                                                    [](DIR* open) { return ::closedir(open); });
  if (!entries) {
    if (errno == ENOENT) return out;
    return file_error(folder, "cannot be read");
  }
  errno = 0;
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view file = entry->d_name;
    if (!file.ends_with(kSuffix)) continue;
    const std::string_view name = file.substr(0, file.size() - kSuffix.size());
    if (is_key_name(name)) out.emplace_back(name);
  }
  if (errno != 0) return file_error(folder, "cannot be read");
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace modelhop
