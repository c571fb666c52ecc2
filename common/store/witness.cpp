#include "common/store/witness.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "common/store/file_system.h"
#include "common/wire/bytes.h"

namespace modelhop {
namespace {

constexpr std::string_view kWitnessMagic = "MHOPWIT1";
constexpr std::size_t kWitnessSize = 8 + 8 + 16 + 16;

std::string witness_path(const std::string& state_dir) { return state_dir + "/witness"; }

std::vector<std::uint8_t> witness_bytes(const JournalEnd& end) {
  ByteWriter writer;
  writer.bytes.assign(kWitnessMagic.begin(), kWitnessMagic.end());
  writer.put(end.seq);
  writer.put(end.check);
  writer.put(hash_bytes(writer.bytes));
  return std::move(writer.bytes);
}

}  // namespace

Result<Witness> Witness::open(const std::string& state_dir) {
  const std::string path = witness_path(state_dir);
  File file(file_system().open(path, O_WRONLY | O_CREAT | O_CLOEXEC));
  if (file.get() < 0) return file_error(path, "cannot be opened");
  return Witness(std::move(file), path);
}

Status Witness::write(const JournalEnd& end) {
  const std::vector<std::uint8_t> bytes = witness_bytes(end);
  ssize_t written = 0;
  do {
    written = file_system().pwrite(file_.get(), bytes.data(), bytes.size(), 0);
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(bytes.size())) return {};
  return file_error(path_, "cannot be written");
}

Result<std::optional<JournalEnd>> read_witness(const std::string& state_dir) {
  const std::string path = witness_path(state_dir);
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) return std::optional<JournalEnd>();
    return file_error(path, "cannot be opened");
  }
  std::vector<std::uint8_t> bytes(kWitnessSize + 1);
  const ssize_t length = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  if (length < 0) return file_error(path, "cannot be read");
  bytes.resize(static_cast<std::size_t>(length));
  if (bytes.empty()) return std::optional<JournalEnd>();  // killed before its first commit
  JournalEnd end;
  ByteReader reader(std::span<const std::uint8_t>(bytes).subspan(std::min(bytes.size(), kWitnessMagic.size())));
  reader("seq", end.seq);
  reader("check", end.check);
  if (!reader.status().ok() || bytes != witness_bytes(end)) return corrupt(path + ": is damaged, so it is no witness");
  return std::optional<JournalEnd>(end);
}

}  // namespace modelhop
