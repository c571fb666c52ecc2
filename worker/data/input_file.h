#pragma once
// A file read front to back, unpacked on the way where it is gzipped. Threads: one.
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/base/status.h"
#include "worker/data/file_io.h"

namespace modelhop {

class InputFile {
 public:
  static Result<std::unique_ptr<InputFile>> open(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Exactly out.size() bytes. kInvalid, with the offset, where the file ends before or its gzip data is damaged.
  Status read(std::span<std::uint8_t> out);
  // kInvalid where bytes follow.
  Status expect_end();
  std::uint64_t offset() const { return offset_; }  // in the unpacked bytes
  // No more than this can follow: the rest of a plain file, or what gzip could pack at best. Bounds allocations.
  std::uint64_t bytes_left_max() const;
  const std::string& path() const { return path_; }

 private:
  struct Gzip;
  InputFile(std::string path, File file, std::uint64_t size_bytes);
  Result<std::size_t> read_plain(std::span<std::uint8_t> out);
  Result<std::size_t> read_gzip(std::span<std::uint8_t> out);
  Result<std::size_t> read_some(std::span<std::uint8_t> out) { return gzip_ ? read_gzip(out) : read_plain(out); }

  const std::string path_;
  const File file_;
  const std::uint64_t size_bytes_;  // packed
  std::uint64_t offset_ = 0;
  std::uint64_t packed_offset_ = 0;
  std::unique_ptr<Gzip> gzip_;  // none: a plain file
};

}  // namespace modelhop
