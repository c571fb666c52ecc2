#pragma once
// A child process that dies with the thread that started it: fork, exec, wait, kill. Threads: its owner's.
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace modelhop {

class Child {
 public:
  Child() = default;
  // Starts argv[0] with its output appended to `log`, in a process group of its own, so that a terminal's Ctrl-C is its
  // parent's alone. The kernel kills it when the calling thread ends, however that comes.
  static Result<Child> start(const std::vector<std::string>& argv, const std::string& log);
  ~Child();  // kills and waits
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool running() const { return pid_ > 0; }
  void signal(int number) const;
  // How it ended, once, if it has: "exit 1", "signal 9".
  std::optional<std::string> reap();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_ = 0;
};

}  // namespace modelhop
