#pragma once
// DiskWatch: looks every second whether the disks of the state directory and the store keep their reserve, off the
// loop. Below it nothing new shall begin; a journal that cannot write ends the process, and this comes before. Threads:
// `changed` is called on its own thread, at the first look on the constructor's. end() from one thread.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/store/files.h"
#include "scheduler/core/events.h"

namespace modelhop {

inline constexpr std::uint64_t kDiskReserveBytes = 1ull << 30;  // the default: the smaller of this
inline constexpr double kDiskReserveShare = 0.05;               // and this of the disk
inline constexpr std::int64_t kDiskWatchNs = kSecond;

struct DiskReserve {  // neither: the default
  std::optional<std::uint64_t> bytes;
  std::optional<double> share;  // of the disk, 0 to 1
  std::uint64_t of(std::uint64_t total_bytes) const;
};
// "2GiB", "500MB" (K, M, G, T are powers of 1024), "5%", "0": none.
Result<DiskReserve> parse_disk_reserve(const std::string& text);

class DiskWatch {
 public:
  struct Place {
    std::string name;  // as people know it
    std::function<Result<DiskRoom>()> room;
  };
  DiskWatch(std::vector<Place> places, DiskReserve reserve, std::int64_t every_ns,
            std::function<void(const DiskSpace&)> changed);
  ~DiskWatch() { end(); }
  DiskWatch(const DiskWatch&) = delete;
  DiskWatch& operator=(const DiskWatch&) = delete;
  void end();  // any number of times

 private:
  void look();

  const std::vector<Place> places_;
  const DiskReserve reserve_;
  const std::int64_t every_ns_;
  const std::function<void(const DiskSpace&)> changed_callback_;
  bool low_ = false;  // the constructor's, then the thread's

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace modelhop
