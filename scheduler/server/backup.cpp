#include "scheduler/server/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "common/store/archive.h"
#include "common/store/files.h"
#include "common/store/journal_format.h"
#include "common/store/snapshot_file.h"
#include "scheduler/server/fence.h"
#include "scheduler/server/recovery.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

Status sync_file(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || ::fsync(file.get()) != 0) return file_error(path, "cannot be synced");
  return {};
}

// kNotFound: it was removed meanwhile, as old snapshots and segments are.
Status copy_durably(const std::string& from, const std::string& to, Copied& copied) {
  std::error_code error;
  if (!fs::copy_file(from, to, error)) {
    if (error == std::errc::no_such_file_or_directory) return not_found(from + ": is gone");
    return environment(to + ": cannot be copied: " + error.message());
  }
  ++copied.files;
  copied.bytes += fs::file_size(to, error);
  return sync_file(to);
}

Status want_empty(const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_empty(folder, error)) {
    return conflict(folder + ": is not empty; name a folder that is, or that is not there yet");
  }
  return make_folders(folder);
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

// Snapshots before the journal, since a snapshot of a record that the copy lacks is of no use to it; segments after it,
// since what leaves the journal meanwhile is in one of them.
Status copy_all(const std::string& from, const std::string& to, Copied& copied) {
  for (const std::uint64_t seq : list_snapshots(from)) {
    Status status = copy_durably(snapshot_path(from, seq), snapshot_path(to, seq), copied);
    if (!status.ok() && status.code() != Code::kNotFound) return status;
  }
  {
    ASSIGN_OR_RETURN(Database journal, Database::open(journal_path(from), Database::Mode::kRead));
    RETURN_IF_ERROR(verify_journal_header(journal, journal_path(from)));
    RETURN_IF_ERROR(journal.run("VACUUM INTO " + quoted(journal_path(to))));
  }
  RETURN_IF_ERROR(sync_file(journal_path(to)));
  std::error_code error;
  ++copied.files;
  copied.bytes += fs::file_size(journal_path(to), error);
  const std::vector<Segment> segments = list_segments(from);
  if (!segments.empty()) RETURN_IF_ERROR(make_folders(to + "/archive"));
  for (const Segment& segment : segments) {
    const std::string copy = to + "/archive/" + fs::path(segment.path).filename().string();
    Status status = copy_durably(segment.path, copy, copied);
    if (!status.ok() && status.code() != Code::kNotFound) return status;
  }
  if (!segments.empty()) RETURN_IF_ERROR(sync_folder(to + "/archive"));
  return sync_folder(to);
}

Result<Copied> copy_and_verify(const std::string& from, const std::string& to) {
  if (!journal_begun(from)) return not_found(from + ": holds no journal.db; name a scheduler's state directory");
  RETURN_IF_ERROR(want_empty(to));
  Copied copied;
  RETURN_IF_ERROR(copy_all(from, to, copied));
  ASSIGN_OR_RETURN(const Recovery recovery, recover(to, CoreConfig{}));
  copied.seq = recovery.end.seq;
  ASSIGN_OR_RETURN(Witness witness, Witness::open(to));  // so that a tail that the copy loses is found
  RETURN_IF_ERROR(witness.write(recovery.end));
  RETURN_IF_ERROR(sync_file(to + "/witness"));
  RETURN_IF_ERROR(sync_folder(to));
  return copied;
}

}  // namespace

Result<Copied> backup_state(const std::string& state_dir, const std::string& into) {
  return copy_and_verify(state_dir, into);
}

Result<Copied> restore_state(const std::string& backup, const std::string& state_dir) {
  return copy_and_verify(backup, state_dir);
}

Result<std::uint64_t> take_store_over(const std::string& state_dir, BlobStore& store, bool accept_lost_tail) {
  if (!journal_begun(state_dir)) return not_found(state_dir + ": holds no journal.db to take the store over with");
  ASSIGN_OR_RETURN(FileLock lock, lock_state_dir(state_dir));
  CoreConfig config;
  config.accept_lost_tail = accept_lost_tail;
  ASSIGN_OR_RETURN(const Recovery recovery, recover(state_dir, config));
  ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                   open_journal(std::move(lock), state_dir, {kJournalQueueMax, recovery.end}));
  ASSIGN_OR_RETURN(const FenceIdentity owner, fence_identity(state_dir, journal->cluster()));
  RETURN_IF_ERROR(take_over(store, owner, recovery.end.seq));
  return recovery.end.seq;
}

}  // namespace modelhop
