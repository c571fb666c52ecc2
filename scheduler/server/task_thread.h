#pragma once
// TaskThread: what is too slow for the loop (reading the store, checking a spec, deleting states), one task after
// another. Threads: post() from any; tasks run on its own. The destructor runs what was posted before it.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace modelhop {

// The server's requests (kRequestsWaitingMax) and a batch of deletions are fewer, so only a mistake reaches it.
inline constexpr std::size_t kTasksWaitingMax = 4'096;

class TaskThread {
 public:
  explicit TaskThread(const char* name);  // of the thread
  ~TaskThread();
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;
  // False: kTasksWaitingMax wait already, or it is ending; the task is dropped, and its poster says so or tries again.
  bool post(std::function<void()> task);
  void end();  // runs what was posted before; any number of times, from one thread

 private:
  void run_on_thread();

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace modelhop
