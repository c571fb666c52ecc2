#include "common/store/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "common/store/file_system.h"
#include "common/wire/bytes.h"

namespace modelhop {
namespace {

constexpr std::string_view kSnapshotMagic = "MHOPSNAP";
constexpr std::uint32_t kSnapshotVersion = 1;
constexpr std::string_view kSnapshotPrefix = "snapshot-";
constexpr std::size_t kSnapshotHeaderBytes = 8 + 4 + 8 + 16 + 8, kSnapshotHashBytes = 16;

std::vector<std::uint8_t> snapshot_header(const JournalEnd& end, std::uint64_t state_bytes) {
  ByteWriter writer;
  writer.bytes.assign(kSnapshotMagic.begin(), kSnapshotMagic.end());
  writer.put(kSnapshotVersion);
  writer.put(end.seq);
  writer.put(end.check);
  writer.put(state_bytes);
  return std::move(writer.bytes);
}

Status write_durably(const std::string& path, std::initializer_list<std::span<const std::uint8_t>> pieces) {
  const File file(file_system().open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC));
  if (file.get() < 0) return file_error(path, "cannot be created");
  for (const auto& piece : pieces) RETURN_IF_ERROR(write_all(file, piece, path));
  if (file_system().fsync(file.get()) != 0) return file_error(path, "cannot be synced");
  return {};
}

Result<std::vector<std::uint8_t>> read_whole(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) return file_error(path, "cannot be opened");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > kSnapshotBytesMax) return corrupt(path + ": has " + std::to_string(size) + " bytes, over the limit");
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t count = ::pread(file.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error(path, "cannot be read");
    if (count == 0) return corrupt(path + ": became shorter while it was read");
    at += static_cast<std::size_t>(count);
  }
  return bytes;
}

Status remove_snapshot(const std::string& path) {
  if (file_system().unlink(path) != 0 && errno != ENOENT) return file_error(path, "cannot be removed");
  return {};
}

}  // namespace

std::string snapshot_path(const std::string& state_dir, std::uint64_t seq) {
  return state_dir + "/" + std::string(kSnapshotPrefix) + std::to_string(seq);
}

Status write_snapshot(const std::string& state_dir, const Snapshot& snapshot) {
  const std::vector<std::uint8_t> head = snapshot_header(snapshot.end, snapshot.state.size());
  Hasher hasher;
  hasher.add(head);
  hasher.add(snapshot.state);
  const ContentHash hash = hasher.finish();
  const std::string path = snapshot_path(state_dir, snapshot.end.seq), temp = state_dir + "/.snapshot.new";
  if (Status status = write_durably(temp, {head, snapshot.state, hash.bytes}); !status.ok()) {
    file_system().unlink(temp);
    return status;
  }
  if (file_system().rename(temp, path) != 0) return file_error(path, "cannot be named");
  return sync_folder(state_dir);
}

std::vector<std::uint64_t> list_snapshots(const std::string& state_dir) {
  std::vector<std::uint64_t> seqs;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(state_dir, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kSnapshotPrefix)) continue;
    std::uint64_t seq = 0;
    const auto parsed = std::from_chars(name.data() + kSnapshotPrefix.size(), name.data() + name.size(), seq);
    if (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size() && seq > 0) seqs.push_back(seq);
  }
  std::sort(seqs.rbegin(), seqs.rend());
  return seqs;
}

Result<Snapshot> read_snapshot(const std::string& state_dir, std::uint64_t seq) {
  const std::string path = snapshot_path(state_dir, seq);
  ASSIGN_OR_RETURN(std::vector<std::uint8_t> bytes, read_whole(path));
  if (bytes.size() < kSnapshotHeaderBytes + kSnapshotHashBytes) return corrupt(path + ": is cut short");
  const std::span<const std::uint8_t> whole(bytes), body = whole.first(whole.size() - kSnapshotHashBytes);
  const auto hash = whole.last(kSnapshotHashBytes);
  if (!std::equal(kSnapshotMagic.begin(), kSnapshotMagic.end(), whole.begin()))
    return corrupt(path + ": is no snapshot");
  if (!std::equal(hash.begin(), hash.end(), hash_bytes(body).bytes.begin())) {
    return corrupt(path + ": is not what was written");
  }
  Snapshot snapshot;
  std::uint32_t version = 0;
  std::uint64_t state_bytes = 0;
  ByteReader reader(body.subspan(kSnapshotMagic.size()));
  reader("version", version);
  if (version != kSnapshotVersion) {
    return invalid(path + ": has version " + std::to_string(version) + ", this program reads version " +
                   std::to_string(kSnapshotVersion));
  }
  reader("seq", snapshot.end.seq);
  reader("check", snapshot.end.check);
  reader("state_bytes", state_bytes);
  RETURN_IF_ERROR(reader.status());
  if (snapshot.end.seq != seq || state_bytes != body.size() - kSnapshotHeaderBytes) {
    return corrupt(path + ": is of record " + std::to_string(snapshot.end.seq));
  }
  bytes.resize(body.size());
  bytes.erase(bytes.begin(), bytes.begin() + kSnapshotHeaderBytes);
  snapshot.state = std::move(bytes);
  return snapshot;
}

Status remove_snapshots_after(const std::string& state_dir, std::uint64_t seq) {
  for (const std::uint64_t one : list_snapshots(state_dir)) {
    if (one > seq) RETURN_IF_ERROR(remove_snapshot(snapshot_path(state_dir, one)));
  }
  return sync_folder(state_dir);
}

Status remove_old_snapshots(const std::string& state_dir) {
  const std::vector<std::uint64_t> seqs = list_snapshots(state_dir);
  for (std::size_t i = kSnapshotsKept; i < seqs.size(); ++i) {
    RETURN_IF_ERROR(remove_snapshot(snapshot_path(state_dir, seqs[i])));
  }
  return {};
}

}  // namespace modelhop
