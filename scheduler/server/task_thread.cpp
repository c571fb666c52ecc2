#include "scheduler/server/task_thread.h"

#include "common/base/thread_name.h"

namespace modelhop {

TaskThread::TaskThread(const char* name)
    : thread_([this, name] {
        name_thread(name);
        run_on_thread();
      }) {}

TaskThread::~TaskThread() { end(); }

void TaskThread::end() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard guard(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool TaskThread::post(std::function<void()> task) {
  {
    std::lock_guard guard(mutex_);
    if (ending_ || tasks_.size() >= kTasksWaitingMax) return false;
    tasks_.push_back(std::move(task));
  }
  changed_.notify_all();
  return true;
}

void TaskThread::run_on_thread() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [&] { return ending_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace modelhop
