#pragma once
// AttendedService: a Service that remembers when it was last asked, so that `modelhop run` can stay reachable for those
// who wait for its end, and leave at once where nobody does. Threads: any. The Service must outlive it.
#include <atomic>
#include <utility>

#include "common/base/time.h"
#include "scheduler/server/service.h"

namespace modelhop::cli {

class AttendedService final : public Service {
 public:
  explicit AttendedService(Service& service) : service_(service) {}

  void ask(ApiRequest request, std::function<void(ApiResponse)> done) override {
    asked();
    service_.ask(std::move(request), std::move(done));
  }
  // An open event stream reads what is new after each commit.
  std::vector<RecordLine> records(std::uint64_t after, ExperimentId experiment, std::size_t limit) override {
    asked();
    return service_.records(after, experiment, limit);
  }
  std::uint64_t gone_before(std::uint64_t after, ExperimentId experiment) override {
    return service_.gone_before(after, experiment);
  }
  std::uint64_t watch(std::function<void(std::uint64_t)> callback) override {
    return service_.watch(std::move(callback));
  }
  void unwatch(std::uint64_t handle) override { service_.unwatch(handle); }

  bool asked_within(std::int64_t ns) const {
    const std::int64_t at = asked_at_;
    return at != 0 && monotonic_now().ns - at < ns;
  }

 private:
  void asked() { asked_at_ = monotonic_now().ns; }
  Service& service_;
  std::atomic<std::int64_t> asked_at_{0};  // 0: never
};

}  // namespace modelhop::cli
