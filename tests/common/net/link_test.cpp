#include "common/net/link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "common/base/limits.h"

using namespace modelhop;

namespace {

constexpr const char* kAnyPort = "tcp://127.0.0.1:0";

Incarnation incarnation(std::uint8_t seed) {
  Incarnation out;
  for (auto& byte : out.bytes) byte = seed++;
  return out;
}

// Waits for one frame, at most 5 s.
template <class Link>
auto next(Link& link) {
  const Instant until = monotonic_now() + 5 * kSecond;
  for (;;) {
    auto received = link.receive(100 * kMillisecond);
    REQUIRE(received.ok());
    if constexpr (std::is_same_v<Link, ServerLink>) {
      if (!received->empty()) return received->front();
      if (monotonic_now() > until) return ServerLink::Received{};
    } else {
      if (!received->frames.empty()) return received->frames.front();
      if (monotonic_now() > until) return Frame{};
    }
  }
}

void wait_connected(WorkerLink& link) {
  const Instant until = monotonic_now() + 5 * kSecond;
  while (monotonic_now() < until) {
    if (link.receive(100 * kMillisecond)->connected) return;
  }
  FAIL("no connection within 5 s");
}

// A connection that speaks no ZMTP.
void send_raw(const std::string& address, const std::string& bytes) {
  const int port = std::stoi(address.substr(address.rfind(':') + 1));
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  CHECK(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0);
  ::close(socket);
}

}  // namespace

TEST_CASE("frames go both ways, and the scheduler knows who sent one", "[net]") {
  auto server = std::move(ServerLink::listen(kAnyPort)).value();
  auto first = std::move(WorkerLink::connect(server->address(), incarnation(1))).value();
  auto second = std::move(WorkerLink::connect(server->address(), incarnation(101))).value();
  wait_connected(*first);
  wait_connected(*second);
  REQUIRE(second->send({4, 5, 6}).ok());
  const auto got = next(*server);
  CHECK(got.from == incarnation(101));
  CHECK(got.frame == Frame{4, 5, 6});
  REQUIRE(first->send({}).ok());
  CHECK(next(*server).from == incarnation(1));
  REQUIRE(server->send(incarnation(1), {7}).ok());
  CHECK(next(*first) == Frame{7});
}

TEST_CASE("sending to a worker that is not connected is said, not dropped", "[net]") {
  auto server = std::move(ServerLink::listen(kAnyPort)).value();
  CHECK(server->send(incarnation(1), {1}).code() == Code::kUnreachable);
  auto worker = std::move(WorkerLink::connect("tcp://127.0.0.1:1", incarnation(1))).value();
  CHECK(worker->send({1}).code() == Code::kUnreachable);
}

TEST_CASE("a peer that reads nothing fills its queue, and that is said", "[net][limits]") {
  auto server = std::move(ServerLink::listen(kAnyPort)).value();
  auto worker = std::move(WorkerLink::connect(server->address(), incarnation(1))).value();
  wait_connected(*worker);
  REQUIRE(worker->send({1}).ok());
  next(*server);
  Status status;
  for (int i = 0; i < 10'000 && status.ok(); ++i) status = server->send(incarnation(1), Frame(64 << 10));
  CHECK(status.code() == Code::kTimeout);
  CHECK(status.message().find("is full") != std::string::npos);
}

TEST_CASE("wake ends a wait from another thread", "[net]") {
  auto server = std::move(ServerLink::listen(kAnyPort)).value();
  std::thread other([&] { server->wake(); });
  CHECK(server->receive(-1)->empty());
  other.join();
  const Instant before = monotonic_now();
  CHECK(server->receive(20 * kMillisecond)->empty());
  CHECK(monotonic_now() - before >= 19 * kMillisecond);
}

TEST_CASE("a worker connects again when its scheduler is back, and a new connection takes over", "[net]") {
  auto server = std::move(ServerLink::listen(kAnyPort)).value();
  const std::string address = server->address();
  auto worker = std::move(WorkerLink::connect(address, incarnation(1))).value();
  wait_connected(*worker);
  server.reset();
  server = std::move(ServerLink::listen(address)).value();
  wait_connected(*worker);
  REQUIRE(worker->send({9}).ok());
  CHECK(next(*server).frame == Frame{9});

  auto again = std::move(WorkerLink::connect(address, incarnation(1))).value();
  wait_connected(*again);
  REQUIRE(again->send({10}).ok());
  CHECK(next(*server).frame == Frame{10});
  REQUIRE(server->send(incarnation(1), {11}).ok());
  CHECK(next(*again) == Frame{11});
}

TEST_CASE("junk, and frames over the limit, end their connection and nothing else", "[net][limits]") {
  auto server = std::move(ServerLink::listen(kAnyPort)).value();
  send_raw(server->address(), "GET / HTTP/1.1\r\n\r\n");
  send_raw(server->address(), std::string(100, '\xff'));
  send_raw(server->address(), "");
  auto large = std::move(WorkerLink::connect(server->address(), incarnation(50))).value();
  wait_connected(*large);
  REQUIRE(large->send(Frame(kFrameBytesMax + 1)).ok());
  auto worker = std::move(WorkerLink::connect(server->address(), incarnation(1))).value();
  wait_connected(*worker);
  REQUIRE(worker->send(Frame(kFrameBytesMax)).ok());
  const auto got = next(*server);
  CHECK(got.from == incarnation(1));
  CHECK(got.frame.size() == kFrameBytesMax);
}

TEST_CASE("an address that cannot be is refused by name", "[net]") {
  CHECK(ServerLink::listen("tcp://nowhere").status().message().find("tcp://nowhere") != std::string::npos);
  CHECK(ServerLink::listen("http://127.0.0.1:1").status().code() == Code::kInvalid);
  auto server = std::move(ServerLink::listen(kAnyPort)).value();
  CHECK(ServerLink::listen(server->address()).status().code() == Code::kEnvironment);
  CHECK(WorkerLink::connect("bad", incarnation(1)).status().code() == Code::kInvalid);
  CHECK(is_loopback("tcp://127.0.0.1:7077"));
  CHECK_FALSE(is_loopback("tcp://0.0.0.0:7077"));
  CHECK_FALSE(is_loopback("tcp://*:7077"));
}
