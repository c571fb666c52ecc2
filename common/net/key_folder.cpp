#include "common/net/key_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/net/allowed_folder.h"
#include "common/net/key_bytes.h"
#include "common/store/files.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

std::string in(const std::string& folder, const std::string& name, const char* suffix) {
  return folder + "/" + name + suffix;
}

std::string parent_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Who could write there could allow himself.
Status check_unwritable_by_others(const std::string& folder) {
  struct stat entry {};
  if (::stat(folder.c_str(), &entry) != 0) return errno == ENOENT ? Status{} : file_error(folder, "cannot be read");
  if ((entry.st_mode & 022) == 0) return {};
  return conflict(folder + ": others can write there, and so could allow themselves; run: chmod go-w " + folder);
}

Status make_private_folder(const std::string& path) {
  RETURN_IF_ERROR(make_folders(parent_of(path)));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return file_error(path, "cannot be created");
  return sync_folder(parent_of(path));
}

Status check_name(const std::string& name) {
  if (name == kSchedulerKeyName)
    return invalid("key \"scheduler\": that is the scheduler's own; name a worker's another");
  if (is_key_name(name)) return {};
  return invalid("key \"" + name + "\": a name wants 1 to 128 of [A-Za-z0-9._-], not beginning with '.'");
}

}  // namespace

Result<KeyFile> read_secret_key(const std::string& file) {
  ASSIGN_OR_RETURN(const KeyBytes bytes, read_key_bytes(file));
  if ((bytes.mode & 077) != 0) {
    return conflict(file + ": others can read this secret key; run: chmod 600 " + file +
                    " (and make a new one, if others have been there)");
  }
  ASSIGN_OR_RETURN(KeyFile key, parse_key_file(bytes.text, file));
  if (key.secret_key.empty()) return invalid(file + ": is a public key; a secret one (.key) is needed here");
  return key;
}

Status write_key(const std::string& file, const KeyFile& key, bool replace) {
  const std::string folder = parent_of(file);
  const std::string temp = folder + "/." + fs::path(file).filename().string() + "." + std::to_string(::getpid());
  const std::string text = to_text(key);
  ::unlink(temp.c_str());  // of a process with our number that did not come further
  {
    const File out(::open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, key.secret_key.empty() ? 0644 : 0600));
    if (out.get() < 0) return file_error(temp, "cannot be created");
    Status written = write_all(out, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, temp);
    if (written.ok() && ::fsync(out.get()) != 0) written = file_error(temp, "cannot be synced");
    if (!written.ok()) {
      ::unlink(temp.c_str());
      return written;
    }
  }
  const int moved = replace ? ::rename(temp.c_str(), file.c_str()) : ::link(temp.c_str(), file.c_str());
  Status status;
  if (moved != 0)
    status = errno == EEXIST ? conflict(file + ": exists already") : file_error(file, "cannot be created");
  ::unlink(temp.c_str());
  return status.ok() ? sync_folder(folder) : status;
}

Result<WorkerKeys> read_worker_keys(const std::string& file) {
  ASSIGN_OR_RETURN(const KeyFile key, read_secret_key(file));
  if (key.scheduler.empty()) {
    return invalid(file + ": does not name its scheduler; make a worker's key with: modelhop keys generate NAME");
  }
  return WorkerKeys{{key.public_key, key.secret_key}, key.scheduler};
}

Result<KeyPair> KeyFolder::scheduler() const {
  RETURN_IF_ERROR(check_unwritable_by_others(path_));
  RETURN_IF_ERROR(check_unwritable_by_others(path_ + "/allowed"));
  ASSIGN_OR_RETURN(const KeyFile key, read_secret_key(in(path_, kSchedulerKeyName, ".key")));
  return KeyPair{key.public_key, key.secret_key};
}

KeyFolder::KeyFolder(std::string path) : path_(std::move(path)) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
}

bool KeyFolder::has_scheduler_public() const {
  std::error_code error;
  return fs::exists(in(path_, kSchedulerKeyName, ".pub"), error);
}

Result<KeyPair> KeyFolder::make_scheduler() {
  RETURN_IF_ERROR(make_private_folder(path_));
  RETURN_IF_ERROR(make_private_folder(path_ + "/allowed"));
  Result<KeyPair> pair = scheduler();
  if (!pair.ok() && pair.status().code() == Code::kNotFound) {
    const KeyPair made = make_key_pair();
    const Status written = write_key(in(path_, kSchedulerKeyName, ".key"),
                                     {kSchedulerKeyName, made.public_key, made.secret_key, ""}, false);
    if (!written.ok() && written.code() != Code::kConflict) return written;
    pair = scheduler();  // ours, or another process's that was first
  }
  if (!pair.ok()) return pair;
  RETURN_IF_ERROR(write_key(in(path_, kSchedulerKeyName, ".pub"), {kSchedulerKeyName, pair->public_key, "", ""}, true));
  return pair;
}

Result<KeyFolder::Made> KeyFolder::make_worker(const std::string& name) {
  RETURN_IF_ERROR(check_name(name));
  const std::string allowed = in(path_ + "/allowed", name, ".pub"), file = in(path_, name, ".key");
  std::error_code error;
  if (fs::exists(allowed, error)) {
    return conflict("key \"" + name + "\" is allowed already; for a new one, first run: modelhop keys revoke " + name);
  }
  const Result<KeyPair> own = scheduler();
  if (!own.ok() && own.status().code() != Code::kNotFound) return own.status();
  std::string scheduler_key = own.ok() ? own->public_key : "";
  if (!own.ok()) {
    const std::string public_file = in(path_, kSchedulerKeyName, ".pub");
    ASSIGN_OR_RETURN(const KeyBytes bytes, read_key_bytes(public_file));
    ASSIGN_OR_RETURN(const KeyFile key, parse_key_file(bytes.text, public_file));
    scheduler_key = key.public_key;
  }
  const KeyPair made = make_key_pair();
  RETURN_IF_ERROR(write_key(file, {name, made.public_key, made.secret_key, scheduler_key}, true));
  const std::string public_file = own.ok() ? allowed : in(path_, name, ".pub");
  RETURN_IF_ERROR(write_key(public_file, {name, made.public_key, "", ""}, !own.ok()));
  if (own.ok()) ::unlink(in(path_ + "/revoked", name, ".pub").c_str());  // the older key of that name stays revoked
  return Made{file, public_file, own.ok()};
}

Result<std::string> KeyFolder::allow(const std::string& file_or_name) {
  std::error_code error;
  const std::string revoked = in(path_ + "/revoked", file_or_name, ".pub");
  const bool by_name = is_key_name(file_or_name) && fs::exists(revoked, error);
  const std::string source = by_name ? revoked : file_or_name;
  Result<KeyBytes> bytes = read_key_bytes(source);
  if (!bytes.ok() && bytes.status().code() == Code::kNotFound) {
    if (is_key_name(file_or_name) && fs::exists(in(path_ + "/allowed", file_or_name, ".pub"), error))
      return file_or_name;
    return not_found("key \"" + file_or_name + "\": there is no such file, and no key of that name was revoked in " +
                     path_ + "; modelhop keys list shows them");
  }
  if (!bytes.ok()) return bytes.status();
  ASSIGN_OR_RETURN(KeyFile key, parse_key_file(bytes->text, source));
  RETURN_IF_ERROR(check_name(key.name));
  ASSIGN_OR_RETURN(const std::vector<Listed> known, list());
  for (const Listed& other : known) {
    if (!other.allowed) continue;
    if (other.name == key.name && other.public_key == key.public_key) return key.name;
    if (other.name == key.name) {
      return conflict("another key is allowed as \"" + key.name + "\"; first run: modelhop keys revoke " + key.name);
    }
    if (other.public_key == key.public_key) {
      return conflict(source + ": this key is allowed already, as \"" + other.name + "\"");
    }
  }
  RETURN_IF_ERROR(make_private_folder(path_));
  RETURN_IF_ERROR(make_private_folder(path_ + "/allowed"));
  RETURN_IF_ERROR(write_key(in(path_ + "/allowed", key.name, ".pub"), {key.name, key.public_key, "", ""}, false));
  if (by_name) ::unlink(revoked.c_str());
  return key.name;
}

Status KeyFolder::revoke(const std::string& name) {
  RETURN_IF_ERROR(check_name(name));
  RETURN_IF_ERROR(make_private_folder(path_ + "/revoked"));
  const std::string from = in(path_ + "/allowed", name, ".pub"), to = in(path_ + "/revoked", name, ".pub");
  if (::rename(from.c_str(), to.c_str()) != 0) {
    std::error_code error;
    if (errno != ENOENT) return file_error(from, "cannot be moved to revoked/");
    if (fs::exists(to, error)) return {};
    return not_found("key \"" + name + "\": none of that name is allowed in " + path_ + "; see: modelhop keys list");
  }
  RETURN_IF_ERROR(sync_folder(path_ + "/allowed"));
  return sync_folder(path_ + "/revoked");
}

Result<std::vector<KeyFolder::Listed>> KeyFolder::list() const {
  std::vector<Listed> out;
  for (const bool allowed : {true, false}) {
    const std::string folder = path_ + (allowed ? "/allowed" : "/revoked");
    ASSIGN_OR_RETURN(const std::vector<std::string> names, key_names(folder));
    for (const std::string& name : names) {
      const std::string file = in(folder, name, ".pub");
      const Result<KeyBytes> bytes = read_key_bytes(file);
      const Result<KeyFile> key = bytes.ok() ? parse_key_file(bytes->text, file) : Result<KeyFile>(bytes.status());
      out.push_back({name, allowed, key.ok() ? key->public_key : "", key.status().message()});
    }
  }
  return out;
}

AllowList KeyFolder::watch() const {
  return [folder = AllowedFolder(path_ + "/allowed")]() mutable { return folder.poll(); };
}

}  // namespace modelhop
