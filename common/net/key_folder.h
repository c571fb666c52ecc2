#pragma once
// KeyFolder: a scheduler's keys on its disk. Format: docs/formats.md, "Keys".
//   scheduler.key   secret, 0600          allowed/NAME.pub   may speak
//   scheduler.pub                         revoked/NAME.pub   no longer
//   NAME.key        secret, 0600: what a worker is given (its own pair, and the scheduler's public key)
// Every change is one rename, so a scheduler that reads the folder meanwhile sees it before or after.
// Threads: one a value; several processes may work on one folder.
#include <string>
#include <vector>

#include "common/net/keys.h"

namespace modelhop {

class KeyFolder {
 public:
  explicit KeyFolder(std::string path);
  const std::string& path() const { return path_; }

  // kNotFound: there is none. kConflict: others can read it, or change who is allowed.
  Result<KeyPair> scheduler() const;
  bool has_scheduler_public() const;
  // Makes it where there is none. ENSURES: scheduler.key and scheduler.pub are durable.
  Result<KeyPair> make_scheduler();

  struct Made {
    std::string file;         // NAME.key
    std::string public_file;  // NAME.pub
    bool allowed{};           // false: this folder has scheduler.pub alone, so `public_file` must go to the scheduler
  };
  // kConflict: NAME is allowed already, or the folder has no scheduler's key to put into it.
  Result<Made> make_worker(const std::string& name);
  // A .pub file from elsewhere, or the NAME of a key that was revoked; returns its name. kConflict: another key has
  // that name, or the key another name.
  Result<std::string> allow(const std::string& file_or_name);
  Status revoke(const std::string& name);

  struct Listed {
    std::string name;
    bool allowed{};
    std::string public_key;  // empty: the file is no key, and `problem` says why
    std::string problem;
  };
  Result<std::vector<Listed>> list() const;  // by name, allowed ones first

  // The folder's allow-list, read again where something in it has changed.
  AllowList watch() const;

 private:
  std::string path_;
};

// A .key file. kConflict: others can read it.
Result<KeyFile> read_secret_key(const std::string& file);
// All or nothing and durable; 0600 where it holds a secret. kConflict: the file exists and may not be replaced.
Status write_key(const std::string& file, const KeyFile& key, bool replace);
// What a worker is started with: NAME.key, which must name its scheduler.
Result<WorkerKeys> read_worker_keys(const std::string& file);

}  // namespace modelhop
