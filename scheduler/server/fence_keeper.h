#pragma once
// FenceKeeper: renews this scheduler's fence while it serves, on a thread of its own, so that a slow store delays
// nobody. Lifecycle: renews from construction on; release() (or the destructor) ends that and gives the store free.
// Threads: release() and the destructor from one thread; the callbacks are called on its own.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "scheduler/server/fence.h"

namespace modelhop {

class FenceKeeper {
 public:
  struct Callbacks {
    std::function<std::uint64_t()> durable_seq;
    // A newer fence is there: nothing of this process may leave any more. Called at most once.
    std::function<void(const Status&)> lost;
    std::function<void(const std::string&)> warn;
  };
  // `store` outlives it.
  FenceKeeper(BlobStore& store, Fence own, std::int64_t renew_ns, Callbacks callbacks);
  ~FenceKeeper() { release(); }
  FenceKeeper(const FenceKeeper&) = delete;
  FenceKeeper& operator=(const FenceKeeper&) = delete;
  void release();  // any number of times

 private:
  void renew_on_thread();

  BlobStore& store_;
  const std::int64_t renew_ns_;
  const Callbacks callbacks_;
  Fence own_;  // the thread's, then release()'s
  bool lost_ = false;
  std::uint64_t failures_ = 0;  // since the last that went well

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace modelhop
