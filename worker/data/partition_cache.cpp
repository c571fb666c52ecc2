#include "worker/data/partition_cache.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <iterator>
#include <map>
#include <mutex>
#include <set>

#include "common/store/files.h"
#include "worker/data/column.h"
#include "worker/data/dataset.h"
#include "worker/data/file_io.h"

namespace modelhop {
namespace {

namespace fs = std::filesystem;

// A data set's folder in the data directory. '@' is in no data set's name.
std::string local_name(const DatasetRef& dataset) { return dataset.name + "@" + to_string(dataset.identity); }

// What a shard takes in memory.
Result<std::uint64_t> resident_bytes(const Manifest& manifest, const Shard& shard) {
  std::uint64_t total = 0;
  for (const Column& column : manifest.columns) {
    std::uint64_t bytes = 0;
    if (!column_bytes(column, shard.rows, bytes)) return corrupt("shard " + shard.file + " is too large");
    total += bytes;
  }
  return total;
}

Status no_partition(const DatasetRef& dataset, PartitionIndex partition) {
  return invalid("data set '" + dataset.name + "' has no partition " + std::to_string(partition.value));
}

}  // namespace

struct PartitionCache::Impl {
  struct Key {
    DatasetRef dataset;
    std::string file;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    std::shared_ptr<const Partition> resident;
    bool loading = false;
    std::uint64_t used = 0;  // grows with each use: the smallest goes first
  };

  Impl(std::string store_, std::string data_dir_, std::uint64_t memory_bytes_, FileLock lock_)
      : store(std::move(store_)), data_dir(std::move(data_dir_)), memory_bytes(memory_bytes_), lock(std::move(lock_)) {}

  const std::string store, data_dir;
  const std::uint64_t memory_bytes;
  const FileLock lock;  // of data_dir, while this process lives

  std::mutex mutex;                // guards what follows
  std::condition_variable loaded;  // an entry stopped loading
  std::map<DatasetRef, std::shared_ptr<const Manifest>> manifests;
  std::map<Key, Entry> entries;
  std::uint64_t uses = 0;
  std::uint64_t reserved_bytes = 0;  // of what is being loaded
  // Of partitions alive; shared with their deleters, which may outlive the cache.
  const std::shared_ptr<std::atomic<std::uint64_t>> live_bytes = std::make_shared<std::atomic<std::uint64_t>>(0);

  std::string local_folder(const DatasetRef& dataset) const { return data_dir + "/" + local_name(dataset); }

  // Drops what nobody uses, oldest first, until `bytes` more fit. REQUIRES: mutex held.
  Status make_room(std::uint64_t bytes, const std::string& what) {
    const auto total = [&] { return live_bytes->load() + reserved_bytes; };
    if (bytes > memory_bytes) {
      return environment(what + " takes " + std::to_string(bytes) + " bytes of memory, --memory allows " +
                         std::to_string(memory_bytes) + "; raise it, or import with more --partitions");
    }
    while (total() > memory_bytes - bytes) {
      Entry* oldest = nullptr;
      for (auto& [key, entry] : entries) {
        if (entry.resident == nullptr || entry.resident.use_count() > 1) continue;
        if (oldest == nullptr || entry.used < oldest->used) oldest = &entry;
      }
      if (oldest == nullptr) {
        return environment(what + " takes " + std::to_string(bytes) + " bytes of memory beside " +
                           std::to_string(total()) + " in use, --memory allows " + std::to_string(memory_bytes));
      }
      oldest->resident.reset();
    }
    return {};
  }

  // From the data directory; where that has no good copy, a new one from the store.
  Result<std::shared_ptr<const Partition>> load(const DatasetRef& dataset, const Manifest& manifest,
                                                const Shard& shard) const {
    const std::string folder = local_folder(dataset);
    const std::string path = folder + "/" + shard.file;
    auto local = load_partition(path, shard, manifest);
    if (local.ok() || (local.status().code() != Code::kNotFound && local.status().code() != Code::kCorrupt))
      return local;
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return environment("cannot create '" + folder + "': " + error.message());
    ASSIGN_OR_RETURN(const std::string source, dataset_folder(store, dataset.name));
    RETURN_IF_ERROR(copy_checked(source + "/" + shard.file, path, {shard.size_bytes, shard.hash}));
    return load_partition(path, shard, manifest);
  }

  // All files of `dataset` but `keep`, and all of older data sets of its name, which nobody can ask for any more.
  void remove_copies(const DatasetRef& dataset, const std::set<std::string>& keep) const {
    std::error_code ignored;  // what stays is removed by a later call
    std::vector<fs::path> gone;
    const std::string folder = local_folder(dataset);
    for (fs::directory_iterator at(data_dir, ignored), end; !ignored && at != end; at.increment(ignored)) {
      const std::string name = at->path().filename().string();
      if (name.starts_with(dataset.name + "@") && at->path() != folder) gone.push_back(at->path());
    }
    for (fs::directory_iterator at(folder, ignored), end; !ignored && at != end; at.increment(ignored)) {
      std::string name = at->path().filename().string();
      if (name.ends_with(kPartSuffix)) name.resize(name.size() - std::string_view(kPartSuffix).size());  // being copied
      if (!keep.contains(name)) gone.push_back(at->path());
    }
    for (const fs::path& path : gone) fs::remove_all(path, ignored);
    if (keep.empty()) fs::remove(folder, ignored);
  }

  std::shared_ptr<const Partition> counted(std::shared_ptr<const Partition> partition) const {
    const Partition* address = partition.get();
    live_bytes->fetch_add(address->size_bytes());
    return {address, [live = live_bytes, owner = std::move(partition)](const Partition*) mutable {
              const std::uint64_t bytes = owner->size_bytes();
              owner.reset();
              live->fetch_sub(bytes);
            }};
  }

  Result<std::shared_ptr<const Partition>> get(const DatasetRef& dataset, const Manifest& manifest,
                                               const Shard& shard) {
    ASSIGN_OR_RETURN(const std::uint64_t bytes, resident_bytes(manifest, shard));
    std::unique_lock hold(mutex);
    const Key key{dataset, shard.file};
    Entry* entry = &entries[key];  // stays where it is: an entry is erased only when it is not loading and not resident
    while (entry->loading) {
      loaded.wait(hold);
      entry = &entries[key];
    }
    entry->used = ++uses;
    if (entry->resident != nullptr) return entry->resident;
    RETURN_IF_ERROR(make_room(bytes, "'" + dataset.name + "' " + shard.file));
    entry->loading = true;
    reserved_bytes += bytes;
    hold.unlock();
    auto partition = load(dataset, manifest, shard);
    hold.lock();
    reserved_bytes -= bytes;
    entry->loading = false;
    loaded.notify_all();
    if (!partition.ok()) return partition.status();
    entry->resident = counted(std::move(partition).value());
    return entry->resident;
  }
};

PartitionCache::PartitionCache(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PartitionCache::~PartitionCache() = default;

Result<std::unique_ptr<PartitionCache>> PartitionCache::open(std::string store, std::string data_dir,
                                                             std::uint64_t memory_bytes) {
  RETURN_IF_ERROR(make_folders(data_dir));
  auto lock = FileLock::take(data_dir + "/.lock", "data directory");
  if (lock.status().code() == Code::kConflict) {
    return conflict("data directory '" + data_dir + "' is another worker's; give each its own --data-dir");
  }
  if (!lock.ok()) return lock.status();
  auto impl = std::make_unique<Impl>(std::move(store), std::move(data_dir), memory_bytes, std::move(lock).value());
  return std::unique_ptr<PartitionCache>(new PartitionCache(std::move(impl)));
}

Result<std::shared_ptr<const Manifest>> PartitionCache::manifest(const DatasetRef& dataset) {
  {
    const std::lock_guard hold(impl_->mutex);
    if (const auto found = impl_->manifests.find(dataset); found != impl_->manifests.end()) return found->second;
  }
  ASSIGN_OR_RETURN(Manifest manifest, read_dataset(impl_->store, dataset.name));
  if (const ContentHash found = identity(manifest); found != dataset.identity) {
    return conflict("data set '" + dataset.name + "' in the store is " + to_string(found) +
                    ", the experiment was made with " + to_string(dataset.identity) +
                    "; import the same files with the same options again");
  }
  auto shared = std::make_shared<const Manifest>(std::move(manifest));
  const std::lock_guard hold(impl_->mutex);
  return impl_->manifests.emplace(dataset, std::move(shared)).first->second;
}

Status PartitionCache::place(const DatasetRef& dataset, const std::vector<PartitionIndex>& partitions) {
  std::set<std::string> keep;
  if (!partitions.empty()) {  // to hold nothing, the data set need not be in the store any more
    ASSIGN_OR_RETURN(const auto data, manifest(dataset));
    for (const PartitionIndex partition : partitions) {
      if (partition.value >= data->partitions.size()) return no_partition(dataset, partition);
      keep.insert(data->partitions[partition.value].file);
    }
    // A worker that trains here also evaluates here.
    if (data->validation) keep.insert(data->validation->file);
    if (data->test) keep.insert(data->test->file);
  }
  const std::lock_guard hold(impl_->mutex);
  for (auto entry = impl_->entries.begin(); entry != impl_->entries.end();) {
    const bool dropped = entry->first.dataset == dataset && !keep.contains(entry->first.file);
    if (dropped && entry->second.loading) keep.insert(entry->first.file);  // goes at the next call
    entry = dropped && !entry->second.loading ? impl_->entries.erase(entry) : std::next(entry);
  }
  impl_->remove_copies(dataset, keep);
  return {};
}

Result<std::shared_ptr<const Partition>> PartitionCache::get(const DatasetRef& dataset, PartitionIndex partition) {
  ASSIGN_OR_RETURN(const auto data, manifest(dataset));
  if (partition.value >= data->partitions.size()) return no_partition(dataset, partition);
  return impl_->get(dataset, *data, data->partitions[partition.value]);
}

Result<std::shared_ptr<const Partition>> PartitionCache::validation(const DatasetRef& dataset) {
  ASSIGN_OR_RETURN(const auto data, manifest(dataset));
  if (!data->validation) return not_found("data set '" + dataset.name + "' has no validation set");
  return impl_->get(dataset, *data, *data->validation);
}

Result<std::shared_ptr<const Partition>> PartitionCache::test(const DatasetRef& dataset) {
  ASSIGN_OR_RETURN(const auto data, manifest(dataset));
  if (!data->test) return not_found("data set '" + dataset.name + "' has no test set");
  return impl_->get(dataset, *data, *data->test);
}

std::uint64_t PartitionCache::live_bytes() const { return impl_->live_bytes->load(); }

}  // namespace modelhop
