#pragma once
// A fake Service, and a client that sends exactly the bytes a test wants, as slowly as it wants.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "scheduler/web/web_server.h"

namespace modelhop::test {

class FakeService final : public Service {
 public:
  void ask(ApiRequest request, std::function<void(ApiResponse)> done) override {
    {
      const std::lock_guard lock(mutex_);
      last_ = request;
    }
    if (request.path == "/api/v1/slow") {  // never answered
      const std::lock_guard lock(mutex_);
      kept_.push_back(std::move(done));
      return;
    }
    if (request.path == "/api/v1/status")
      return done({200, "application/json", R"({"seq":)" + std::to_string(newest()) + "}"});
    if (request.path == "/api/v1/experiments/e1") {
      return done({200, "application/json", R"({"id":"e1","seq":)" + std::to_string(newest()) + "}"});
    }
    if (request.path == "/api/v1/big") return done({200, "application/json", std::string(8 << 20, 'x')});
    if (request.path == "/metrics") return done({200, "text/plain", "# HELP a b\n# TYPE a gauge\na 1\n"});
    if (request.path == "/api/v1/echo") return done({200, "application/json", request.body});
    done(problem_404());
  }
  std::vector<RecordLine> records(std::uint64_t after, ExperimentId experiment, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<RecordLine> out;
    for (const RecordLine& line : lines_) {
      if (line.seq > after && (!experiment || line.experiment == experiment) && out.size() < limit) out.push_back(line);
    }
    return out;
  }
  std::uint64_t gone_before(std::uint64_t after, ExperimentId) override {
    const std::lock_guard lock(mutex_);
    return !lines_.empty() && first_ > after + 1 ? first_ : 0;
  }
  // What is older is kept no longer.
  void forget_before(std::uint64_t first) {
    const std::lock_guard lock(mutex_);
    first_ = first;
    std::erase_if(lines_, [&](const RecordLine& line) { return line.seq < first; });
  }
  std::uint64_t watch(std::function<void(std::uint64_t)> callback) override {
    const std::lock_guard lock(mutex_);
    watcher_ = std::move(callback);
    return 1;
  }
  void unwatch(std::uint64_t) override {
    const std::lock_guard lock(mutex_);
    watcher_ = nullptr;
  }

  void publish(std::uint64_t experiment, const std::string& body = "{}") {
    const std::lock_guard lock(mutex_);
    const std::uint64_t seq = lines_.size() + 1;
    lines_.push_back({seq, {experiment}, "trial_evaluated", body});
    if (watcher_) watcher_(seq);
  }
  ApiRequest last() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  static ApiResponse problem_404() { return {404, "application/problem+json", R"({"status":404})"}; }
  std::uint64_t newest() {
    const std::lock_guard lock(mutex_);
    return lines_.size();
  }
  std::mutex mutex_;
  ApiRequest last_;
  std::vector<RecordLine> lines_;
  std::uint64_t first_ = 1;
  std::vector<std::function<void(ApiResponse)>> kept_;
  std::function<void(std::uint64_t)> watcher_;
};

class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  // False: the other side is gone.
  bool send(const std::string& bytes) { return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0; }
  // Bytes until `until` was seen, the other side closed, or the time is over.
  std::string read(const std::string& until, int timeout_ms = 5'000) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (until.empty() || seen_.find(until) == std::string::npos) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      pollfd polled{socket_, POLLIN, 0};
      if (left <= 0 || ::poll(&polled, 1, static_cast<int>(left)) <= 0) break;
      char chunk[16 << 10];
      const ssize_t size = ::recv(socket_, chunk, sizeof chunk, 0);
      if (size <= 0) {
        closed_ = true;
        break;
      }
      seen_.append(chunk, static_cast<std::size_t>(size));
    }
    return seen_;
  }
  // Everything until the other side closes.
  std::string read_all(int timeout_ms = 5'000) { return read("", timeout_ms); }
  bool closed() const { return closed_; }

 private:
  int socket_;
  bool connected_{}, closed_{};
  std::string seen_;
};

inline std::string get(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "Connection: close\r\n\r\n";
}

inline int status_of(const std::string& response) {
  return response.starts_with("HTTP/1.1 ") && response.size() > 12 ? std::stoi(response.substr(9, 3)) : 0;
}

}  // namespace modelhop::test
