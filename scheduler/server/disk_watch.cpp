#include "scheduler/server/disk_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "common/base/thread_name.h"

namespace modelhop {
namespace {

std::string size_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace

std::uint64_t DiskReserve::of(std::uint64_t total_bytes) const {
  const auto part = [&](double of_it) { return static_cast<std::uint64_t>(of_it * static_cast<double>(total_bytes)); };
  if (bytes) return *bytes;
  return share ? part(*share) : std::min(kDiskReserveBytes, part(kDiskReserveShare));
}

Result<DiskReserve> parse_disk_reserve(const std::string& text) {
  const Status wrong =
      invalid("--disk-reserve " + text + ": wants bytes, as in 2GiB or 500MB, or a part of the disk, as in 5%");
  if (text.empty() || text[0] < '0' || text[0] > '9') return wrong;  // strtod would take " 1", "+1" and "inf"
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (!std::isfinite(number)) return wrong;
  std::string unit = end;
  for (char& c : unit) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  if (unit == "%") return number <= 100 ? Result<DiskReserve>(DiskReserve{{}, number / 100}) : wrong;
  int power = 0;
  if (!unit.empty() && unit != "B") {
    const std::size_t letter = std::string("KMGT").find(unit[0]);
    const std::string rest = unit.substr(1);
    if (letter == std::string::npos || (!rest.empty() && rest != "B" && rest != "IB")) return wrong;
    power = static_cast<int>(letter) + 1;
  }
  const double bytes = std::ldexp(number, 10 * power);
  if (bytes >= 0x1p63) return wrong;
  return DiskReserve{static_cast<std::uint64_t>(bytes), {}};
}

DiskWatch::DiskWatch(std::vector<Place> places, DiskReserve reserve, std::int64_t every_ns,
                     std::function<void(const DiskSpace&)> changed)
    : places_(std::move(places)), reserve_(reserve), every_ns_(every_ns), changed_callback_(std::move(changed)) {
  look();
  thread_ = std::thread([this] {
    name_thread("disk_watch");
    std::unique_lock guard(mutex_);
    while (!changed_.wait_for(guard, std::chrono::nanoseconds(every_ns_), [&] { return ending_; })) {
      guard.unlock();
      look();
      guard.lock();
    }
  });
}

void DiskWatch::end() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard guard(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void DiskWatch::look() {
  DiskSpace now;
  bool unknown = false;
  for (const Place& place : places_) {
    const Result<DiskRoom> room = place.room();
    if (!room.ok()) unknown = true;  // who writes there says what is wrong with it
    if (!room.ok()) continue;
    const std::uint64_t reserve = reserve_.of(room->total_bytes);
    // A tenth more to go on than to stop, or each unit's own files would switch it.
    if (room->free_bytes >= reserve + (low_ ? reserve / 10 : 0)) continue;
    now.low = true;
    now.what = "disk full: " + place.name + " has " + size_text(room->free_bytes) + " free, below the reserve of " +
               size_text(reserve);
    break;
  }
  if (now.low == low_ || (unknown && !now.low)) return;
  low_ = now.low;
  changed_callback_(now);
}

}  // namespace modelhop
