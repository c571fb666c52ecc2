#pragma once
// Staging: a folder beside the data sets that becomes one by a single rename, or nothing.
// Lifecycle: begin() takes a lock file and makes .import-<random>; commit() renames; the destructor removes what is
// left. A killed process leaves folder and lock file; its lock is then free, and sweep() removes both. Where the file
// system has no flock(), nothing is swept, since nobody can tell who is alive. Threads: one.
#include <string>

#include "common/base/status.h"
#include "worker/data/file_io.h"

namespace modelhop {

class Staging {
 public:
  static Result<Staging> begin(const std::string& parent);
  Staging(Staging&&) = default;
  Staging& operator=(Staging&&) = delete;
  ~Staging();
  const std::string& folder() const { return folder_; }
  // Durable on return. kConflict: `name` exists already in the parent folder.
  Status commit(const std::string& name);

 private:
  Staging(std::string parent, std::string folder, File lock);
  std::string parent_, folder_;  // folder_ empty: moved from
  File lock_;
};

// Removes what imports and deletions that were killed left in `parent`.
void sweep(const std::string& parent);

// Makes `parent`/`name` vanish at once, then removes it. kNotFound where it is not there.
Status remove_folder(const std::string& parent, const std::string& name);

}  // namespace modelhop
