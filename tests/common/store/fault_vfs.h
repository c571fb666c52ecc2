#pragma once
// FaultVfs: SQLite's file system in a test, the default one while it lives. It counts the calls that change a file, and
// at call k refuses (the disk is full, or broken) or calls back, for a crash there: after_crash() makes the files that
// a disk would then hold, where each write since the last sync is there, is not, or is torn between two sectors.
#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <string>
#include <vector>

namespace modelhop {

class FaultVfs {
 public:
  struct Plan {
    std::uint64_t at{};  // the call, from 1; 0: none
    int error{};         // ENOSPC or EIO; 0: only on_fault, which does not return
    std::function<void(const std::string& what)> on_fault = {};
  };

  explicit FaultVfs(Plan plan) : plan_(std::move(plan)), real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
    vfs_.zName = "modelhop-fault";
    vfs_.szOsFile = static_cast<int>(sizeof(Handle)) + real_->szOsFile;
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FaultVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  std::uint64_t calls() const { return calls_; }

  // Somebody synced the folder of the files: what was removed from it stays removed.
  void folder_synced() {
    std::lock_guard guard(mutex_);
    std::erase_if(images_, [](const auto& named) { return named.second->removed; });
  }

  // Into `folder`, by the names of the files.
  void after_crash(const std::string& folder, std::mt19937& random) {
    std::filesystem::create_directories(folder);
    std::lock_guard guard(mutex_);
    for (const auto& [path, image] : images_) {
      if (image->removed && random() % 2 == 0) continue;
      std::string bytes = image->synced;
      for (const Write& write : image->unsynced) {
        const unsigned kind = random() % 4;
        if (kind == 0) continue;
        if (write.truncates) {
          bytes.resize(write.offset);
          continue;
        }
        std::size_t first = 0, end = write.bytes.size();
        if (kind == 1) {  // some sectors of it
          first = sector(random() % (end + 1));
          end = std::min(end, first + sector(random() % (end + 1)) + kSector);
        }
        if (bytes.size() < write.offset + end) bytes.resize(write.offset + end);
        bytes.replace(write.offset + first, end - first, write.bytes, first, end - first);
      }
      const std::string name = std::filesystem::path(path).filename().string();
      std::ofstream(folder + "/" + name, std::ios::binary) << bytes;
    }
  }

 private:
  static constexpr std::size_t kSector = 512;
  static std::size_t sector(std::size_t at) { return at / kSector * kSector; }

  struct Write {
    std::size_t offset{};
    std::string bytes;
    bool truncates{};  // to `offset`
  };
  struct Image {
    std::string synced;
    std::vector<Write> unsynced;
    bool removed{};
  };
  struct Handle {
    sqlite3_file base;
    FaultVfs* owner;
    const char* path;               // SQLite keeps it as long as the file is open
    std::shared_ptr<Image>* image;  // none: a file whose loss nobody would notice
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static Handle* handle(sqlite3_file* file) { return reinterpret_cast<Handle*>(file); }
  static FaultVfs* self(sqlite3_vfs* vfs) { return static_cast<FaultVfs*>(vfs->pAppData); }

  // SQLITE_OK, or what this call is refused with.
  int fault(int when_broken, const char* what, const char* path) {
    if (++calls_ != plan_.at) return SQLITE_OK;
    if (plan_.on_fault) plan_.on_fault(std::string(what) + " " + path);
    return plan_.error == ENOSPC ? SQLITE_FULL : when_broken;
  }

  static int open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags, int* out) {
    FaultVfs* own = self(vfs);
    Handle* h = handle(file);
    h->base.pMethods = nullptr;
    h->owner = own;
    h->path = name;
    h->image = nullptr;
    const bool kept = name != nullptr && (flags & SQLITE_OPEN_READWRITE) != 0 &&
                      (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    if (kept) {
      if (const int refused = own->fault(SQLITE_CANTOPEN, "open", name); refused != SQLITE_OK) return refused;
    }
    const bool there = kept && std::filesystem::exists(name);
    const int code = own->real_->xOpen(own->real_, name, h->real(), flags, out);
    if (code != SQLITE_OK) return code;
    if (kept) {
      std::lock_guard guard(own->mutex_);
      std::shared_ptr<Image>& image = own->images_[name];
      if (image == nullptr || !there) image = std::make_shared<Image>();
      if (there && image->synced.empty() && image->unsynced.empty()) {
        std::ifstream in(name, std::ios::binary);
        image->synced = std::string(std::istreambuf_iterator<char>(in), {});
      }
      image->removed = false;
      h->image = new std::shared_ptr<Image>(image);
    }
    h->base.pMethods = methods();
    return SQLITE_OK;
  }

  static int remove(sqlite3_vfs* vfs, const char* name, int sync) {
    FaultVfs* own = self(vfs);
    if (const int refused = own->fault(SQLITE_IOERR_DELETE, "delete", name); refused != SQLITE_OK) return refused;
    std::lock_guard guard(own->mutex_);
    if (const auto found = own->images_.find(name); found != own->images_.end()) {
      found->second->removed = true;
      if (sync != 0) own->images_.erase(found);
    }
    return own->real_->xDelete(own->real_, name, sync);
  }

  static int close(sqlite3_file* file) {
    delete handle(file)->image;
    return handle(file)->real()->pMethods->xClose(handle(file)->real());
  }
  static int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
    Handle* h = handle(file);
    if (h->image != nullptr) {
      if (const int refused = h->owner->fault(SQLITE_IOERR_WRITE, "write", h->path); refused != SQLITE_OK)
        return refused;
      std::lock_guard guard(h->owner->mutex_);
      (*h->image)->unsynced.push_back({static_cast<std::size_t>(offset),
                                       std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(count)),
                                       false});
    }
    return h->real()->pMethods->xWrite(h->real(), bytes, count, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    Handle* h = handle(file);
    if (h->image != nullptr) {
      if (const int refused = h->owner->fault(SQLITE_IOERR_TRUNCATE, "truncate", h->path); refused != SQLITE_OK)
        return refused;
      std::lock_guard guard(h->owner->mutex_);
      (*h->image)->unsynced.push_back({static_cast<std::size_t>(size), "", true});
    }
    return h->real()->pMethods->xTruncate(h->real(), size);
  }
  static int sync(sqlite3_file* file, int flags) {
    Handle* h = handle(file);
    if (h->image != nullptr) {
      if (const int refused = h->owner->fault(SQLITE_IOERR_FSYNC, "sync", h->path); refused != SQLITE_OK)
        return refused;
      std::lock_guard guard(h->owner->mutex_);
      Image& image = **h->image;
      for (const Write& one : image.unsynced) {
        if (image.synced.size() < one.offset + one.bytes.size()) image.synced.resize(one.offset + one.bytes.size());
        if (one.truncates) image.synced.resize(one.offset);
        if (!one.truncates) image.synced.replace(one.offset, one.bytes.size(), one.bytes);
      }
      image.unsynced.clear();
    }
    return h->real()->pMethods->xSync(h->real(), flags);
  }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods table = [] {
      sqlite3_io_methods out{};
      out.iVersion = 2;  // with shared memory, without mapped files
      out.xClose = close;
      out.xRead = [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
        return handle(f)->real()->pMethods->xRead(handle(f)->real(), to, n, at);
      };
      out.xWrite = write;
      out.xTruncate = truncate;
      out.xSync = sync;
      out.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
        return handle(f)->real()->pMethods->xFileSize(handle(f)->real(), size);
      };
      out.xLock = [](sqlite3_file* f, int level) {
        return handle(f)->real()->pMethods->xLock(handle(f)->real(), level);
      };
      out.xUnlock = [](sqlite3_file* f, int level) {
        return handle(f)->real()->pMethods->xUnlock(handle(f)->real(), level);
      };
      out.xCheckReservedLock = [](sqlite3_file* f, int* held) {
        return handle(f)->real()->pMethods->xCheckReservedLock(handle(f)->real(), held);
      };
      out.xFileControl = [](sqlite3_file* f, int what, void* with) {
        return handle(f)->real()->pMethods->xFileControl(handle(f)->real(), what, with);
      };
      out.xSectorSize = [](sqlite3_file* f) { return handle(f)->real()->pMethods->xSectorSize(handle(f)->real()); };
      out.xDeviceCharacteristics = [](sqlite3_file* f) {
        return handle(f)->real()->pMethods->xDeviceCharacteristics(handle(f)->real());
      };
      out.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** to) {
        return handle(f)->real()->pMethods->xShmMap(handle(f)->real(), page, size, extend, to);
      };
      out.xShmLock = [](sqlite3_file* f, int first, int n, int flags) {
        return handle(f)->real()->pMethods->xShmLock(handle(f)->real(), first, n, flags);
      };
      out.xShmBarrier = [](sqlite3_file* f) { handle(f)->real()->pMethods->xShmBarrier(handle(f)->real()); };
      out.xShmUnmap = [](sqlite3_file* f, int gone) {
        return handle(f)->real()->pMethods->xShmUnmap(handle(f)->real(), gone);
      };
      return out;
    }();
    return &table;
  }

  const Plan plan_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
  std::atomic<std::uint64_t> calls_{0};
  std::mutex mutex_;  // guards what follows
  std::map<std::string, std::shared_ptr<Image>> images_;
};

}  // namespace modelhop
