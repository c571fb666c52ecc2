#pragma once
// Whole files, with errors that name the file and the byte. Every function from any thread.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/store/files.h"

namespace modelhop {

// kNotFound where there is no such file, kEnvironment for the rest.
Result<File> open_to_read(const std::string& path);
Result<std::uint64_t> size_of_file(const File& file, const std::string& path);

// Reads exactly out.size() bytes at `offset`; kCorrupt where the file ends before.
Status read_at(const File& file, const std::string& path, std::uint64_t offset, std::span<std::uint8_t> out);

// kCorrupt above bytes_max.
Result<std::string> read_text(const std::string& path, std::uint64_t bytes_max);

struct FileDigest {
  std::uint64_t size_bytes{};
  ContentHash hash;
};
Result<FileDigest> digest_file(const std::string& path);

// Creates `path`, which must not exist, and returns when its bytes are on disk. On an error the file is gone.
Status write_durably(const std::string& path, std::span<const std::uint8_t> bytes);

// Copies `from` to `to` by way of `to`.part and a rename; kCorrupt, naming `from`, unless it is `expected`.
inline constexpr const char* kPartSuffix = ".part";
Status copy_checked(const std::string& from, const std::string& to, const FileDigest& expected);

// `error`: an errno.
Status system_error(const std::string& what, int error);

}  // namespace modelhop
