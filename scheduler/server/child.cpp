#include "scheduler/server/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace modelhop {
namespace {

constexpr int kExecFailed = 127;

// Between fork and exec of a process with threads: only calls that are safe in a signal handler.
[[noreturn]] void become(char* const* argv, int output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kExecFailed);  // it died before the line above
  ::setpgid(0, 0);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execv(argv[0], argv);
  ::_exit(kExecFailed);
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& argv) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return file_error(argv[0], "cannot get a pipe");
  File output(ends[0]);
  const File input(ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);  // of the read end alone: the child waits where its pipe is full
  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return file_error(argv[0], "cannot be started");
  if (pid == 0) become(arguments.data(), input.get(), parent);
  return Child(pid, std::move(output));
}

Child::~Child() {
  if (!running()) return;
  signal(SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)), output_(std::move(other.output_)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(output_, other.output_);
  return *this;
}

void Child::signal(int number) const {
  if (running()) ::kill(pid_, number);
}

std::optional<std::string> Child::reap() {
  int result = 0;
  if (!running() || ::waitpid(pid_, &result, WNOHANG) != pid_) return std::nullopt;
  pid_ = 0;
  if (WIFSIGNALED(result)) return "signal " + std::to_string(WTERMSIG(result));
  if (WEXITSTATUS(result) == kExecFailed) return "it could not be executed";
  return "exit " + std::to_string(WEXITSTATUS(result));
}

std::string Child::take_output() {
  std::string out;
  while (output_.get() >= 0 && out.size() < kOutputAtOnceMax) {
    char chunk[4096];
    const ssize_t size = ::read(output_.get(), chunk, sizeof chunk);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    out.append(chunk, static_cast<std::size_t>(size));
  }
  return out;
}

}  // namespace modelhop
