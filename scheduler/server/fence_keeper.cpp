#include "scheduler/server/fence_keeper.h"

#include <bit>
#include <chrono>

#include "common/base/thread_name.h"

namespace modelhop {

FenceKeeper::FenceKeeper(BlobStore& store, Fence own, std::int64_t renew_ns, Callbacks callbacks)
    : store_(store), renew_ns_(renew_ns), callbacks_(std::move(callbacks)), own_(std::move(own)), thread_([this] {
        renew_on_thread();
      }) {}

void FenceKeeper::release() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard guard(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if (lost_) return;
  const Status status = release_fence(store_, own_, callbacks_.durable_seq());
  if (!status.ok()) callbacks_.warn(status.message());
}

void FenceKeeper::renew_on_thread() {
  name_thread("fence");
  for (;;) {
    {
      std::unique_lock guard(mutex_);
      if (changed_.wait_for(guard, std::chrono::nanoseconds(renew_ns_), [&] { return ending_; })) return;
    }
    const Status status = renew_fence(store_, own_, callbacks_.durable_seq());
    if (status.code() == Code::kConflict) {
      lost_ = true;
      return callbacks_.lost(status);
    }
    if (status.ok()) {
      failures_ = 0;
    } else if (std::has_single_bit(++failures_)) {
      callbacks_.warn("the fence cannot be renewed, tried again every few seconds (" + std::to_string(failures_) +
                      " times so far): " + status.message());
    }
  }
}

}  // namespace modelhop
