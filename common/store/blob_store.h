#pragma once
// BlobStore: immutable named bytes on shared storage. Temp, fsync, rename, fsync directory; never overwrites what
// create() made.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/store/files.h"

namespace modelhop {

inline constexpr std::size_t kBlobNameBytesMax = 1024;

enum class Put : std::uint8_t { kCreated, kExists };

inline constexpr std::int64_t kLeftoverMs = 86'400'000;  // no writer is as slow as a day, by the store's own clock
inline constexpr std::size_t kLeftoversMax = 1'024;      // looked at when a store is opened

struct BlobEntry {
  std::string name;
  std::uint64_t size_bytes{};
  WallMs modified;
};

struct BlobScan {
  std::vector<BlobEntry> entries;  // by name
  bool complete{};                 // there are no more
};

// Names are '/'-separated paths of [A-Za-z0-9._-] (no "." or ".." part), made of our own ids and hashes only.
// Threads: every call from any thread.
class BlobStore {
 public:
  virtual ~BlobStore() = default;
  // All or nothing, durable on return. `pieces` are written one after another.
  virtual Result<Put> create(const std::string& name, std::span<const std::span<const std::uint8_t>> pieces) = 0;
  // The same over what the name has now, if anything: readers see all of the old bytes or all of the new. Of two at
  // once, one wins. For the fence, which says how far its owner came, and for what the disk has spoiled.
  virtual Status replace(const std::string& name, std::span<const std::span<const std::uint8_t>> pieces) = 0;
  virtual Result<std::vector<std::uint8_t>> read(const std::string& name, std::uint64_t bytes_max) = 0;
  // The blob as a local file, where the store has one (a shared file system): for mmap, pread, copy.
  virtual Result<std::string> local_path(const std::string& name) = 0;
  virtual Result<BlobEntry> stat(const std::string& name) = 0;
  virtual Result<std::vector<BlobEntry>> list(const std::string& prefix) = 0;  // by name
  // The first `max` blobs of a folder ("states/c1/"; "": of all) whose names come after `after`. Bounded, and strict:
  // an entry that cannot be looked at is an error that names it. Links are not followed; what is no plain file is no
  // blob.
  virtual Result<BlobScan> scan(const std::string& folder, const std::string& after, std::size_t max) = 0;
  // What writers that died have left behind: names of remove_leftover(), in no order, at most `max`.
  virtual Result<std::vector<BlobEntry>> leftovers(std::size_t max) = 0;
  virtual Status remove_leftover(const std::string& name) = 0;  // removing what is not there is ok
  virtual Result<WallMs> clock() = 0;                           // the store's own, as `modified` shows it
  virtual Result<DiskRoom> room() = 0;                          // of the disk it lies on
  virtual Status remove(const std::string& name) = 0;           // removing what is not there is ok
};

// `uri`: a path or file:///path. Creates the folder; probes by writing that it is writable and keeps exclusive creates.
Result<std::unique_ptr<BlobStore>> open_store(const std::string& uri);
// Neither creates, probes nor tidies: for looking only. kNotFound: there is no such folder.
Result<std::unique_ptr<BlobStore>> open_store_to_look(const std::string& uri);

}  // namespace modelhop
