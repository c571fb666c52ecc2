#pragma once
// A child process that dies with the thread that started it: fork, exec, wait, kill. Threads: its owner's.
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/store/files.h"

namespace modelhop {

inline constexpr std::size_t kOutputAtOnceMax = 64 << 10;  // as much as a pipe holds

class Child {
 public:
  Child() = default;
  // Starts argv[0] in a process group of its own, so that a terminal's Ctrl-C is its parent's alone. The kernel kills
  // it when the calling thread ends, however that comes.
  static Result<Child> start(const std::vector<std::string>& argv);
  ~Child();  // kills and waits
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool running() const { return pid_ > 0; }
  void signal(int number) const;
  // How it ended, once, if it has: "exit 1", "signal 9".
  std::optional<std::string> reap();
  // What it wrote (stdout and stderr) since the last call, at most kOutputAtOnceMax; empty: nothing now. A child whose
  // output nobody takes waits once the pipe is full.
  std::string take_output();

 private:
  Child(pid_t pid, File output) : pid_(pid), output_(std::move(output)) {}
  pid_t pid_ = 0;
  File output_;  // the read end of its pipe
};

}  // namespace modelhop
