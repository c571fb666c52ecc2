#pragma once
// PartitionCache: the partitions a worker was given, copied from the store to its own disk once, and resident in memory
// within a budget.
// Lifecycle: open() takes the data directory (one worker process each); place() says what to hold; get() loads.
// Threads: every call from any thread. One thread loads a shard, others that ask for it wait.
// Invariant: bytes of partitions alive (resident, or still held by a caller) never exceed memory_bytes.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/spec/manifest.h"
#include "worker/data/partition.h"

namespace modelhop {

// A data set as the scheduler names it: the identity tells a data set from another that was imported under its name.
struct DatasetRef {
  std::string name;
  ContentHash identity;
  auto operator<=>(const DatasetRef&) const = default;
};

class PartitionCache {
 public:
  // kConflict: another process holds `data_dir`.
  static Result<std::unique_ptr<PartitionCache>> open(std::string store, std::string data_dir,
                                                      std::uint64_t memory_bytes);
  ~PartitionCache();
  PartitionCache(const PartitionCache&) = delete;
  PartitionCache& operator=(const PartitionCache&) = delete;

  // The store's manifest, if it is still the one named; kConflict otherwise.
  Result<std::shared_ptr<const Manifest>> manifest(const DatasetRef& dataset);

  // The partitions of `dataset` to hold from now on, instead of those before. Drops the others from memory and disk;
  // copies nothing yet (prefetch with get()).
  Status place(const DatasetRef& dataset, const std::vector<PartitionIndex>& partitions);

  // Loads what is not resident: from the data directory, else from the store by way of it. A damaged copy is made
  // again once. kEnvironment: it does not fit in memory_bytes beside what callers hold.
  // A partition that was not placed here is loaded all the same, and its copy goes at the next place().
  Result<std::shared_ptr<const Partition>> get(const DatasetRef& dataset, PartitionIndex partition);
  // kNotFound where the data set has none.
  Result<std::shared_ptr<const Partition>> validation(const DatasetRef& dataset);
  Result<std::shared_ptr<const Partition>> test(const DatasetRef& dataset);

  std::uint64_t live_bytes() const;  // resident or held by a caller

 private:
  struct Impl;
  explicit PartitionCache(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace modelhop
