#include "worker/data/input_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

namespace modelhop {
namespace {

constexpr std::size_t kPackedBytes = 256 << 10;
constexpr std::uint64_t kDeflateRatioMax = 1032;  // zlib's documentation: 1032:1 at most

}  // namespace

struct InputFile::Gzip {
  z_stream stream{};
  std::vector<std::uint8_t> packed = std::vector<std::uint8_t>(kPackedBytes);
  bool member_ended = false;
  bool started = false;
  ~Gzip() {
    if (started) inflateEnd(&stream);
  }
};

InputFile::InputFile(std::string path, File file, std::uint64_t size_bytes)
    : path_(std::move(path)), file_(std::move(file)), size_bytes_(size_bytes) {}

InputFile::~InputFile() = default;

Result<std::unique_ptr<InputFile>> InputFile::open(const std::string& path) {
  ASSIGN_OR_RETURN(File file, open_to_read(path));
  ASSIGN_OR_RETURN(const std::uint64_t size, size_of_file(file, path));
  std::unique_ptr<InputFile> input(new InputFile(path, std::move(file), size));
  std::array<std::uint8_t, 2> magic{};
  if (size >= magic.size()) RETURN_IF_ERROR(read_at(input->file_, path, 0, magic));
  if (magic == std::array<std::uint8_t, 2>{0x1f, 0x8b}) {
    input->gzip_ = std::make_unique<Gzip>();
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&input->gzip_->stream, kGzipOnly) != Z_OK) return environment("zlib cannot start");
    input->gzip_->started = true;
  }
  return input;
}

std::uint64_t InputFile::bytes_left_max() const {
  if (!gzip_) return size_bytes_ - std::min(size_bytes_, offset_);
  return size_bytes_ > std::numeric_limits<std::uint64_t>::max() / kDeflateRatioMax ? size_bytes_
                                                                                    : size_bytes_ * kDeflateRatioMax;
}

Result<std::size_t> InputFile::read_plain(std::span<std::uint8_t> out) {
  const std::size_t count = std::min<std::uint64_t>(out.size(), size_bytes_ - std::min(size_bytes_, packed_offset_));
  RETURN_IF_ERROR(read_at(file_, path_, packed_offset_, out.first(count)));
  packed_offset_ += count;
  return count;
}

Result<std::size_t> InputFile::read_gzip(std::span<std::uint8_t> out) {
  z_stream& stream = gzip_->stream;
  std::size_t done = 0;
  while (done < out.size()) {
    if (stream.avail_in == 0) {
      ASSIGN_OR_RETURN(const std::size_t count, read_plain(gzip_->packed));
      if (count == 0 && gzip_->member_ended) break;
      if (count == 0) {
        return invalid("'" + path_ + "': gzip data ends early at byte " + std::to_string(packed_offset_) + ", after " +
                       std::to_string(offset_ + done) + " unpacked bytes");
      }
      stream.next_in = gzip_->packed.data();
      stream.avail_in = static_cast<uInt>(count);
    }
    if (gzip_->member_ended) {  // gzip files may be joined
      if (inflateReset(&stream) != Z_OK) return environment("zlib cannot go on");
      gzip_->member_ended = false;
    }
    const std::size_t room = std::min<std::size_t>(out.size() - done, 1 << 30);
    stream.next_out = out.data() + done;
    stream.avail_out = static_cast<uInt>(room);
    const int result = inflate(&stream, Z_NO_FLUSH);
    done += room - stream.avail_out;
    if (result == Z_STREAM_END) {
      gzip_->member_ended = true;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return invalid("'" + path_ + "': damaged gzip data near byte " +
                     std::to_string(packed_offset_ - stream.avail_in) + ", after " + std::to_string(offset_ + done) +
                     " unpacked bytes: " + (stream.msg != nullptr ? stream.msg : "unknown"));
    }
  }
  return done;
}

Status InputFile::read(std::span<std::uint8_t> out) {
  ASSIGN_OR_RETURN(const std::size_t count, read_some(out));
  offset_ += count;
  if (count == out.size()) return {};
  return invalid("'" + path_ + "' ends at byte " + std::to_string(offset_) + ", " + std::to_string(out.size() - count) +
                 " bytes early");
}

Status InputFile::expect_end() {
  std::array<std::uint8_t, 1> more{};
  ASSIGN_OR_RETURN(const std::size_t count, read_some(more));  // in gzip, also reads and checks the member's checksum
  if (count == 0) return {};
  return invalid("'" + path_ + "' goes on at byte " + std::to_string(offset_) + ", where its header says it ends");
}

}  // namespace modelhop
