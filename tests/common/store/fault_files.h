#pragma once
// FaultFiles: the file system of a test. It counts the calls that change or open something under one folder, and at
// call k refuses (ENOSPC, EIO, a short write first) or crashes: from then on nothing has any effect, and what a disk
// would show afterwards is made by after_crash(): contents without fsync are torn at a drawn byte or lost, names
// without an fsync of their folder are there or not. It may also lie: say that it synced when it did not.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "common/store/file_system.h"

namespace modelhop {

class FaultFiles final : public FileSystem {
 public:
  struct Plan {
    std::uint64_t at{};    // the call, from 1; 0: none
    int error{};           // what it refuses with; 0: it crashes
    bool and_all_later{};  // the disk stays full
    bool lies{};           // no fsync does anything
    std::function<void(const std::string& what)> on_fault = {};
  };
  FaultFiles(std::string root, Plan plan) : root_(std::move(root)), plan_(std::move(plan)) { use_file_system(this); }
  ~FaultFiles() override { use_file_system(nullptr); }

  std::uint64_t calls() const { return calls_; }
  bool crashed() const { return crashed_; }

  // What the disk holds after a crash now, as a folder that did not exist.
  void after_crash(const std::string& folder, std::mt19937& random) {
    namespace fs = std::filesystem;
    std::lock_guard guard(mutex_);
    Names names = durable_;
    for (const auto& [parent, changes] : pending_) {
      for (const Change& change : changes) {
        if (random() % 2 == 0) change_name(names, change);
      }
    }
    fs::create_directories(folder);
    for (const auto& [path, node] : names) {  // sorted, so a folder comes before what is in it
      if (!path.starts_with(root_ + "/")) continue;
      const fs::path to = folder + path.substr(root_.size());
      if (!fs::is_directory(to.parent_path())) continue;
      if (node->folder) {
        fs::create_directory(to);
        continue;
      }
      std::string bytes = node->synced;
      if (node->bytes != node->synced && random() % 4 != 0) {
        bytes = node->bytes.substr(0, random() % (node->bytes.size() + 1));
        if (random() % 2 == 0) bytes.resize(node->bytes.size());  // its length was written, and not its bytes
      }
      std::ofstream(to, std::ios::binary) << bytes;
    }
  }

  int open(const std::string& path, int flags, unsigned mode) override {
    if (!ours(path)) return real_file_system().open(path, flags, mode);
    std::lock_guard guard(mutex_);
    if (refused("open " + path)) return -1;
    const bool fresh = !std::filesystem::exists(path);
    const int file = real_file_system().open(path, flags, mode);
    if (file < 0) return file;
    if (fresh) name(path, std::make_shared<Node>());
    if ((flags & O_TRUNC) != 0) node_of(path)->bytes.clear();
    open_[file] = {path, node_of(path)};
    return file;
  }
  ssize_t write(int file, const void* bytes, std::size_t count) override {
    return put(
        file, bytes, count, [&](std::size_t some) { return real_file_system().write(file, bytes, some); },
        std::nullopt);
  }
  ssize_t pwrite(int file, const void* bytes, std::size_t count, off_t offset) override {
    return put(
        file, bytes, count, [&](std::size_t some) { return real_file_system().pwrite(file, bytes, some, offset); },
        offset);
  }
  int fsync(int file) override {
    std::lock_guard guard(mutex_);
    const auto found = open_.find(file);
    if (found == open_.end()) return real_file_system().fsync(file);
    if (refused("fsync " + found->second.path)) return -1;
    if (plan_.lies) return 0;
    Node& node = *found->second.node;
    node.synced = node.bytes;
    if (node.folder) {
      for (const Change& change : pending_[found->second.path]) change_name(durable_, change);
      pending_.erase(found->second.path);
    }
    return 0;
  }
  int close(int file) override {
    std::lock_guard guard(mutex_);
    open_.erase(file);
    return real_file_system().close(file);
  }
  int mkdir(const std::string& path) override {
    return change(
        path, [&] { return real_file_system().mkdir(path); },
        [&] {
          name(path, std::make_shared<Node>(Node{true, {}, {}}));
        });
  }
  int rmdir(const std::string& path) override {
    return change(
        path, [&] { return real_file_system().rmdir(path); }, [&] { name(path, nullptr); });
  }
  int rename(const std::string& from, const std::string& to) override {
    return change(
        to, [&] { return real_file_system().rename(from, to); }, [&] { move(from, to); });
  }
  int rename_exclusive(const std::string& from, const std::string& to) override {
    return change(
        to, [&] { return real_file_system().rename_exclusive(from, to); }, [&] { move(from, to); });
  }
  int unlink(const std::string& path) override {
    return change(
        path, [&] { return real_file_system().unlink(path); }, [&] { name(path, nullptr); });
  }

 private:
  struct Node {
    bool folder{};
    std::string bytes, synced;
  };
  struct Change {  // a name gets a node, or none
    std::string path;
    std::shared_ptr<Node> node;
  };
  using Names = std::map<std::string, std::shared_ptr<Node>>;
  struct Open {
    std::string path;
    std::shared_ptr<Node> node;
  };

  bool ours(const std::string& path) const { return path == root_ || path.starts_with(root_ + "/"); }

  // Whether this call has no effect; errno then says why.
  bool refused(const std::string& what) {
    if (crashed_) return errno = EIO, true;
    const std::uint64_t call = ++calls_;
    if (plan_.at == 0 || call < plan_.at || (call > plan_.at && !plan_.and_all_later)) return false;
    if (plan_.on_fault && call == plan_.at) plan_.on_fault(what);
    if (plan_.error == 0) crashed_ = true;
    errno = plan_.error == 0 ? EIO : plan_.error;
    return true;
  }

  template <class Write>
  ssize_t put(int file, const void* bytes, std::size_t count, Write real, std::optional<off_t> offset) {
    std::lock_guard guard(mutex_);
    const auto found = open_.find(file);
    if (found == open_.end()) return real(count);
    const bool first = plan_.at == calls_ + 1 && !crashed_;
    const bool stopped = refused("write " + found->second.path);
    const int error = errno;
    // A disk that fills up takes some of it.
    const std::size_t some = !stopped ? count : first ? count / 2 : 0;
    if (some > 0) {
      const ssize_t written = real(some);
      if (written < 0) return written;
      std::string& data = found->second.node->bytes;
      const std::size_t at = offset ? static_cast<std::size_t>(*offset) : data.size();
      if (data.size() < at + some) data.resize(at + some);
      data.replace(at, some, static_cast<const char*>(bytes), some);
    }
    errno = error;
    return stopped ? -1 : static_cast<ssize_t>(some);
  }

  template <class Call, class Then>
  int change(const std::string& path, Call call, Then then) {
    if (!ours(path)) return call();
    std::lock_guard guard(mutex_);
    if (refused("change " + path)) return -1;
    const int result = call();
    if (result == 0) then();
    return result;
  }

  static void change_name(Names& names, const Change& change) {
    if (change.node == nullptr) {
      names.erase(change.path);
    } else {
      names[change.path] = change.node;
    }
  }
  void name(const std::string& path, std::shared_ptr<Node> node) {
    const Change change{path, std::move(node)};
    change_name(now_, change);
    pending_[std::filesystem::path(path).parent_path().string()].push_back(change);
  }
  void move(const std::string& from, const std::string& to) {
    name(to, node_of(from));
    name(from, nullptr);
  }
  // What was there before this test's file system was is durable.
  std::shared_ptr<Node> node_of(const std::string& path) {
    std::shared_ptr<Node>& node = now_[path];
    if (node != nullptr) return node;
    node = std::make_shared<Node>();
    node->folder = std::filesystem::is_directory(path);
    if (!node->folder) {
      std::ifstream in(path, std::ios::binary);
      node->bytes = node->synced = std::string(std::istreambuf_iterator<char>(in), {});
    }
    durable_[path] = node;
    return node;
  }

  const std::string root_;
  const Plan plan_;
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<bool> crashed_{false};
  std::mutex mutex_;  // guards what follows
  std::map<int, Open> open_;
  Names now_, durable_;                                 // by path
  std::map<std::string, std::vector<Change>> pending_;  // by folder: not yet synced
};

}  // namespace modelhop
