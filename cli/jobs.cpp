#include "cli/jobs.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

#include "cli/watch.h"

namespace modelhop::cli {
namespace {

constexpr std::size_t kJobLineBytesMax = 1 << 20;

struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  bool open() { return pipe2(ends, O_CLOEXEC) == 0; }
  void close_end(int end) {
    if (ends[end] >= 0) close(ends[end]);
    ends[end] = -1;
  }
};

// Splits the output into lines as it comes.
class Lines {
 public:
  explicit Lines(const std::function<Status(const Json&)>& sink) : sink_(sink) {}
  Status add(std::string_view bytes) {
    rest_ += bytes;
    for (std::size_t end; (end = rest_.find('\n')) != std::string::npos;) {
      const std::string line = rest_.substr(0, end);
      rest_.erase(0, end + 1);
      if (line.empty()) continue;
      ASSIGN_OR_RETURN(const Json json, parse_json(line, "the job's answer"));
      if (!text_of(json, "error").empty()) return Status{Code::kInternal, text_of(json, "error")};
      RETURN_IF_ERROR(sink_(json));
    }
    if (rest_.size() > kJobLineBytesMax) return corrupt("the job's answer is a line without an end");
    return {};
  }

 private:
  const std::function<Status(const Json&)>& sink_;
  std::string rest_;
};

// Feeds the request and reads the answers at once: neither side can wait for the other for ever.
Status talk(Pipe& in, Pipe& out, std::string request, const std::function<Status(const Json&)>& on_line) {
  Lines lines(on_line);
  fcntl(in.ends[1], F_SETFL, O_NONBLOCK);
  for (;;) {
    if (request.empty()) in.close_end(1);
    pollfd polled[2] = {{out.ends[0], POLLIN, 0}, {in.ends[1], POLLOUT, 0}};
    if (poll(polled, in.ends[1] < 0 ? 1 : 2, 500) < 0 && errno != EINTR)
      return environment("poll: " + std::string(strerror(errno)));
    if (Interrupts::count() > 0) return Status{Code::kTimeout, "interrupted"};
    if (in.ends[1] >= 0 && (polled[1].revents & (POLLOUT | POLLERR)) != 0) {
      const ssize_t sent = write(in.ends[1], request.data(), request.size());
      if (sent < 0 && errno != EAGAIN && errno != EINTR) request.clear();  // it ended early; its output says why
      if (sent > 0) request.erase(0, static_cast<std::size_t>(sent));
    }
    if ((polled[0].revents & (POLLIN | POLLHUP)) != 0) {
      char chunk[16 << 10];
      const ssize_t size = read(out.ends[0], chunk, sizeof chunk);
      if (size == 0) return {};
      if (size < 0 && errno != EINTR) return environment("reading the job's output: " + std::string(strerror(errno)));
      if (size > 0) RETURN_IF_ERROR(lines.add({chunk, static_cast<std::size_t>(size)}));
    }
  }
}

}  // namespace

std::string worker_program(const std::string& program) {
  if (!program.empty()) return program;
  char self[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", self, sizeof self);
  if (size <= 0) return "modelhop-worker";
  const std::string path(self, static_cast<std::size_t>(size));
  return path.substr(0, path.rfind('/') + 1) + "modelhop-worker";
}

Status run_job(const std::string& program, const Json& request, const std::function<Status(const Json&)>& on_line) {
  const std::string path = worker_program(program);
  if (access(path.c_str(), X_OK) != 0) {
    return not_found("no worker program at " + path +
                     "; build it (it needs LibTorch), or name it with --worker or MODELHOP_WORKER");
  }
  Pipe in, out;
  if (!in.open() || !out.open()) return environment("no pipe: " + std::string(strerror(errno)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.ends[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], STDOUT_FILENO);
  std::string name = path, job = "job";
  char* arguments[] = {name.data(), job.data(), nullptr};
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, path.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return environment(path + " cannot be started: " + strerror(failed));
  in.close_end(0);
  out.close_end(1);
  const Status talked = talk(in, out, request.dump() + "\n", on_line);
  if (!talked.ok()) kill(pid, SIGTERM);
  in.close_end(1);
  out.close_end(0);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  RETURN_IF_ERROR(talked);
  if (WIFSIGNALED(status)) return environment(path + " was ended by signal " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return Status{Code::kInternal, path + " failed with exit code " + std::to_string(WEXITSTATUS(status))};
  return {};
}

}  // namespace modelhop::cli
