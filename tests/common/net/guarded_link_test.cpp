// Links with keys: who is let in, who is kept out, and when.
#include <catch2/catch_test_macros.hpp>

#include "common/base/limits.h"
#include "tests/common/net/peers.h"

using namespace modelhop;

namespace {

constexpr const char* kPort = "tcp://127.0.0.1:0";

std::unique_ptr<ServerLink> listen(const TestKeys& keys) {
  auto link = ServerLink::listen(kPort, keys.server());
  INFO(link.status().message());
  REQUIRE(link.ok());
  return std::move(link).value();
}

std::unique_ptr<WorkerLink> connect(const ServerLink& server, const Incarnation& self,
                                    const std::optional<WorkerKeys>& keys) {
  auto link = WorkerLink::connect(server.address(), self, keys);
  INFO(link.status().message());
  REQUIRE(link.ok());
  return std::move(link).value();
}

bool stands(WorkerLink& link, int ms = 5'000) {
  const Instant until = monotonic_now() + ms * kMillisecond;
  while (monotonic_now() < until) {
    if (link.receive(50 * kMillisecond)->connected) return true;
  }
  return false;
}

Status refusal(WorkerLink& link) {
  const Instant until = monotonic_now() + 5 * kSecond;
  while (monotonic_now() < until) {
    const auto received = link.receive(50 * kMillisecond);
    if (!received->refused.ok()) return received->refused;
  }
  return {};
}

// All frames of `ms`.
std::vector<ServerLink::Received> all(ServerLink& server, int ms = 300) {
  std::vector<ServerLink::Received> out;
  const Instant until = monotonic_now() + ms * kMillisecond;
  while (monotonic_now() < until) {
    const auto received = server.receive(20 * kMillisecond);
    REQUIRE(received.ok());
    out.insert(out.end(), received->begin(), received->end());
  }
  return out;
}

ServerLink::Received first(ServerLink& server) {
  const Instant until = monotonic_now() + 5 * kSecond;
  while (monotonic_now() < until) {
    const auto received = server.receive(20 * kMillisecond);
    if (received.ok() && !received->empty()) return received->front();
  }
  return {};
}

bool eventually(const std::function<bool()>& holds) {
  const Instant until = monotonic_now() + 5 * kSecond;
  while (!holds() && monotonic_now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return holds();
}

}  // namespace

TEST_CASE("an allowed worker speaks and is spoken to", "[net][keys]") {
  const TestKeys keys;
  const WorkerKeys worker = keys.allowed_worker("w1");
  const auto server = listen(keys);
  const Incarnation self = make_incarnation(worker.own.public_key);
  const auto link = connect(*server, self, worker);
  REQUIRE(stands(*link));
  REQUIRE(link->send({1, 2, 3}).ok());
  const auto got = first(*server);
  CHECK(got.from == self);
  CHECK(got.frame == Frame{1, 2, 3});
  REQUIRE(server->send(self, {4}).ok());
  Frame answer;
  for (int i = 0; i < 50 && answer.empty(); ++i) {
    const auto received = link->receive(100 * kMillisecond);
    if (!received->frames.empty()) answer = received->frames[0];
  }
  CHECK(answer == Frame{4});
  CHECK(server->has_keys());
  CHECK(server->refusals().keys == 0);
}

TEST_CASE("a key that is not allowed gets no connection, is told, and comes in once it is allowed", "[net][keys]") {
  const TestKeys keys;
  const auto server = listen(keys);
  const WorkerKeys stranger = keys.worker();
  const auto link = connect(*server, make_incarnation(stranger.own.public_key), stranger);
  const Status refused = refusal(*link);
  CHECK(refused.code() == Code::kConflict);
  CHECK(refused.message().find("not allowed") != std::string::npos);
  CHECK(link->send({1}).code() == Code::kUnreachable);
  CHECK(all(*server).empty());
  CHECK(server->refusals().keys >= 1);
  keys.list->allow(stranger.own.public_key, "late");
  REQUIRE(stands(*link));
  REQUIRE(link->send({1}).ok());
  CHECK(first(*server).frame == Frame{1});
}

TEST_CASE("a worker without a key is refused by a scheduler with keys, and told so", "[net][keys]") {
  const TestKeys keys;
  const auto server = listen(keys);
  const auto link = connect(*server, make_incarnation(), {});
  // Whether its greeting is still read or the connection ends first is a matter of luck; what is said is not.
  CHECK(refusal(*link).message().find("--key") != std::string::npos);
  CHECK_FALSE(stands(*link, 500));
  CHECK(all(*server).empty());
  CHECK(eventually([&] { return server->refusals().handshakes >= 1; }));
}

TEST_CASE("a worker with a key is told that a scheduler has none", "[net][keys]") {
  const TestKeys keys;
  const WorkerKeys worker = keys.worker();
  const auto server = std::move(ServerLink::listen(kPort)).value();
  const auto link = connect(*server, make_incarnation(worker.own.public_key), worker);
  CHECK(refusal(*link).message().find("start without --key") != std::string::npos);
  CHECK_FALSE(stands(*link, 500));
  CHECK(all(*server).empty());
}

TEST_CASE("a worker that knows another scheduler's key does not connect, and is told what may be wrong",
          "[net][keys]") {
  const TestKeys keys, other;
  WorkerKeys worker = keys.allowed_worker("w1");
  worker.scheduler = other.scheduler.public_key;
  const auto server = listen(keys);
  const auto link = connect(*server, make_incarnation(worker.own.public_key), worker);
  const Status refused = refusal(*link);
  CHECK(refused.code() == Code::kUnreachable);
  CHECK(refused.message().find("another scheduler's key") != std::string::npos);
  CHECK(all(*server).empty());
}

TEST_CASE("PLAIN, NULL, older protocols and half a CURVE handshake reach nobody", "[net][keys]") {
  const TestKeys keys;
  const auto server = listen(keys);
  Peer plain;
  plain.socket.set(zmq::sockopt::plain_username, "admin");
  plain.socket.set(zmq::sockopt::plain_password, "admin");
  plain.name(make_incarnation());
  plain.socket.connect(server->address());
  CHECK_FALSE(plain.send({1}));
  Peer null;
  null.name(make_incarnation());
  null.socket.connect(server->address());
  CHECK_FALSE(null.send({1}));
  const std::string message("\0\x05hello", 7);
  for (const std::string& bytes : {
           greeting("NULL") + ready_and_message(),
           greeting("CURVE") + ready_and_message(),
           greeting("CURVE") + message,
           std::string("\x01\0", 2) + std::string("\x06\0hello", 7),             // ZMTP 1
           std::string("\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0", 14) + message,  // ZMTP 2
           std::string("\xff\0\0\0\0\0\0\0\x01\x7f\x00\x05\0\0", 14) + message,
       }) {
    RawPeer raw(server->address());
    REQUIRE(raw.connected());
    raw.send(bytes);
    for (int i = 0; i < 20 && !raw.ended(); ++i) raw.receive(100);
    CHECK(raw.ended());
  }
  CHECK(all(*server).empty());
  CHECK(server->refusals().frames == 0);
}

TEST_CASE("a revoked worker is out within a second, hears a last word, and stays out", "[net][keys]") {
  const TestKeys keys;
  const WorkerKeys worker = keys.allowed_worker("w1"), other = keys.allowed_worker("w2");
  const auto server = listen(keys);
  const Incarnation self = make_incarnation(worker.own.public_key), others = make_incarnation(other.own.public_key);
  const auto link = connect(*server, self, worker), stays = connect(*server, others, other);
  REQUIRE(stands(*link));
  REQUIRE(stands(*stays));
  REQUIRE(link->send({1}).ok());
  CHECK(first(*server).from == self);
  REQUIRE(stays->send({2}).ok());
  CHECK(first(*server).from == others);
  CHECK(server->take_list_change());  // the list as it was read at first
  CHECK_FALSE(server->take_list_change());
  CHECK(server->revoked().empty());
  CHECK(server->allows(self));

  keys.list->revoke(worker.own.public_key);
  const Instant revoked_at = monotonic_now();
  while (!server->take_list_change() && monotonic_now() - revoked_at < 5 * kSecond) {
    REQUIRE(server->receive(5 * kSecond).ok());
  }
  CHECK(monotonic_now() - revoked_at < 4 * kSecond);  // far less, but the machine may be busy
  CHECK(server->revoked() == std::vector<Incarnation>{self});
  CHECK_FALSE(server->allows(self));
  CHECK(server->allows(others));
  CHECK(server->send(self, {9}).ok());
  server->drop(self);
  CHECK(server->send(self, {9}).code() == Code::kUnreachable);

  bool told = false;
  for (int i = 0; i < 20; ++i) {
    (void)link->send({3});
    const auto received = link->receive(10 * kMillisecond);
    told |= !received->frames.empty() && received->frames[0] == Frame{9};
  }
  CHECK(told);
  CHECK(all(*server).empty());

  REQUIRE(stays->send({4}).ok());
  CHECK(first(*server).frame == Frame{4});
  const auto again = connect(*server, make_incarnation(worker.own.public_key), worker);
  CHECK(refusal(*again).code() == Code::kConflict);
}

TEST_CASE("a revoked key's connection that nobody knew is refused at its first frame", "[net][keys]") {
  const TestKeys keys;
  const WorkerKeys worker = keys.allowed_worker("w1");
  const auto server = listen(keys);
  const auto link = connect(*server, make_incarnation(worker.own.public_key), worker);
  REQUIRE(stands(*link));
  keys.list->revoke(worker.own.public_key);
  std::this_thread::sleep_for(std::chrono::milliseconds(2 * kAllowedPollMs));
  REQUIRE(link->send({1}).ok());
  CHECK(all(*server).empty());
  CHECK(server->refusals().frames == 1);
  // And then its connection is over: what it sends is not even read.
  for (int i = 0; i < 100; ++i) (void)link->send({2});
  CHECK(all(*server).empty());
  CHECK(server->refusals().frames <= 2);
}

TEST_CASE("an allowed key cannot speak as another key's worker, nor take its connection", "[net][keys]") {
  const TestKeys keys;
  const WorkerKeys worker = keys.allowed_worker("w1"), thief = keys.allowed_worker("w2");
  const auto server = listen(keys);
  const Incarnation self = make_incarnation(worker.own.public_key);
  const auto link = connect(*server, self, worker);
  REQUIRE(stands(*link));
  REQUIRE(link->send({1}).ok());
  CHECK(first(*server).from == self);

  Peer peer;
  peer.use(thief);
  peer.name(self);
  peer.socket.connect(server->address());
  REQUIRE(peer.send({66}));
  CHECK(all(*server).empty());
  CHECK(server->refusals().frames == 1);
  // Its own next frame and the answer to it still come and go.
  REQUIRE(link->send({2}).ok());
  CHECK(first(*server).frame == Frame{2});
  REQUIRE(server->send(self, {3}).ok());
  bool answered = false;
  for (int i = 0; i < 50 && !answered; ++i) answered = !link->receive(100 * kMillisecond)->frames.empty();
  CHECK(answered);
  zmq::message_t stolen;
  CHECK_FALSE(peer.socket.recv(stolen, zmq::recv_flags::dontwait).has_value());

  // Not before that worker has come, either.
  const WorkerKeys late = keys.allowed_worker("w3");
  Peer early;
  early.use(thief);
  early.name(make_incarnation(late.own.public_key));
  early.socket.connect(server->address());
  REQUIRE(early.send({66}));
  CHECK(all(*server).empty());
  CHECK(server->refusals().frames == 2);
}

TEST_CASE("one key's many processes drive out none of another key's", "[net][keys][limits]") {
  const TestKeys keys;
  const WorkerKeys worker = keys.allowed_worker("w1"), many = keys.allowed_worker("w2");
  const auto server = listen(keys);
  const Incarnation self = make_incarnation(worker.own.public_key);
  const auto link = connect(*server, self, worker);
  REQUIRE(stands(*link));
  REQUIRE(link->send({1}).ok());
  CHECK(first(*server).from == self);
  Incarnation oldest;
  for (std::size_t i = 0; i <= kProcessesOfKeyMax; ++i) {
    Peer peer;
    peer.use(many);
    const Incarnation one = make_incarnation(many.own.public_key);
    if (i == 0) oldest = one;
    peer.name(one);
    peer.socket.connect(server->address());
    REQUIRE(peer.send({2}));
    REQUIRE(first(*server).from == one);
  }
  CHECK(server->send(oldest, {3}).code() == Code::kUnreachable);
  CHECK(server->send(self, {3}).ok());
}

TEST_CASE("a worker's second connection under its own key takes over", "[net][keys]") {
  const TestKeys keys;
  const WorkerKeys worker = keys.allowed_worker("w1");
  const auto server = listen(keys);
  const Incarnation self = make_incarnation(worker.own.public_key);
  const auto before = connect(*server, self, worker), after = connect(*server, self, worker);
  REQUIRE(stands(*before));
  REQUIRE(before->send({1}).ok());
  CHECK(first(*server).from == self);
  REQUIRE(stands(*after));
  REQUIRE(after->send({2}).ok());
  CHECK(first(*server).frame == Frame{2});
  REQUIRE(server->send(self, {3}).ok());
  bool answered = false;
  for (int i = 0; i < 50 && !answered; ++i) answered = !after->receive(100 * kMillisecond)->frames.empty();
  CHECK(answered);
}

TEST_CASE("without keys nothing but loopback is listened on", "[net][keys]") {
  for (const char* address : {"tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0", "tcp://127.evil.example:7077"}) {
    const Status refused = ServerLink::listen(address).status();
    INFO(address);
    CHECK(refused.code() == Code::kInvalid);
    CHECK(refused.message().find("modelhop keys generate") != std::string::npos);
  }
  const TestKeys keys;
  CHECK(ServerLink::listen("tcp://0.0.0.0:0", keys.server()).ok());
  CHECK_FALSE(is_loopback("tcp://127.0.0.1.evil.example:7077"));
  CHECK_FALSE(is_loopback("tcp://10.0.0.1:7077"));
  CHECK(is_loopback("tcp://[::1]:7077"));
}

TEST_CASE("what happens to keys and connections is told for the log, in few lines", "[net][keys][limits]") {
  const TestKeys keys;
  const WorkerKeys worker = keys.allowed_worker("w1");
  const auto server = listen(keys);
  const auto tells = [&](const std::string& what) {
    return eventually([&, found = false]() mutable {
      for (const std::string& note : server->take_notes()) found |= note.find(what) != std::string::npos;
      return found;
    });
  };
  CHECK(tells("\"w1\" is allowed"));
  keys.list->revoke(worker.own.public_key);
  CHECK(tells("\"w1\" is revoked"));
  Peer peer;
  peer.use(worker);
  peer.socket.connect(server->address());
  CHECK(tells("127.0.0.1 is refused: its key " + worker.own.public_key));
  for (int i = 0; i < 200; ++i) keys.list->allow(make_key_pair().public_key, "k" + std::to_string(i));
  std::this_thread::sleep_for(std::chrono::milliseconds(3 * kAllowedPollMs));
  CHECK(server->take_notes().size() <= 64);
}

TEST_CASE("a connection that ends is told once, one that stands or has come again is not", "[net][keys]") {
  const TestKeys keys;
  const WorkerKeys w1 = keys.allowed_worker("w1"), w2 = keys.allowed_worker("w2");
  const auto server = listen(keys);
  const Incarnation dies = make_incarnation(w1.own.public_key), lives = make_incarnation(w2.own.public_key);
  auto dying = connect(*server, dies, w1);
  const auto living = connect(*server, lives, w2);
  REQUIRE(stands(*dying));
  REQUIRE(stands(*living));
  REQUIRE(dying->send({1}).ok());
  REQUIRE(living->send({2}).ok());
  REQUIRE(all(*server).size() == 2);
  CHECK(server->take_closed().empty());
  dying.reset();
  std::vector<Incarnation> closed;
  REQUIRE(eventually([&] {
    if (closed.empty()) closed = server->take_closed();
    return !closed.empty();
  }));
  CHECK(closed == std::vector{dies});
  CHECK(server->take_closed().empty());
  // The next process of that key, by a connection that may have the number of the one that ended.
  const Incarnation next = make_incarnation(w1.own.public_key);
  const auto again = connect(*server, next, w1);
  REQUIRE(stands(*again));
  REQUIRE(again->send({3}).ok());
  REQUIRE(first(*server).from == next);
  CHECK(server->take_closed().empty());
}
