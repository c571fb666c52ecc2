#pragma once
// Allow-lists for tests, and peers that a scheduler with keys must not listen to.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <zmq.hpp>

#include "common/base/time.h"
#include "common/net/link.h"

namespace modelhop {

// An allow-list that a test changes while a link asks it.
class TestAllowList {
 public:
  void allow(const std::string& key, const std::string& name) {
    std::lock_guard guard(mutex_);
    now_.names[key] = name;
  }
  void revoke(const std::string& key) {
    std::lock_guard guard(mutex_);
    now_.names.erase(key);
  }
  std::optional<AllowedKeys> poll() {
    std::lock_guard guard(mutex_);
    if (told_ == now_) return std::nullopt;
    told_ = now_;
    return now_;
  }

 private:
  std::mutex mutex_;
  AllowedKeys now_;
  std::optional<AllowedKeys> told_;
};

// A scheduler's keys, and workers' that belong to it.
struct TestKeys {
  KeyPair scheduler = make_key_pair();
  std::shared_ptr<TestAllowList> list = std::make_shared<TestAllowList>();

  ServerKeys server() const {
    return {scheduler, [shared = list] { return shared->poll(); }};
  }
  WorkerKeys worker() const { return {make_key_pair(), scheduler.public_key}; }
  WorkerKeys allowed_worker(const std::string& name) const {
    WorkerKeys keys = worker();
    list->allow(keys.own.public_key, name);
    return keys;
  }
};

// A DEALER of plain ZeroMQ. One that no connection stands for cannot send: then send() says so.
class Peer {
 public:
  Peer() : socket(context_, zmq::socket_type::dealer) {
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::immediate, true);
    socket.set(zmq::sockopt::sndtimeo, 300);
    socket.set(zmq::sockopt::rcvtimeo, 300);
    socket.set(zmq::sockopt::reconnect_ivl, 50);
  }
  void use(const WorkerKeys& keys) {
    socket.set(zmq::sockopt::curve_serverkey, keys.scheduler);
    socket.set(zmq::sockopt::curve_publickey, keys.own.public_key);
    socket.set(zmq::sockopt::curve_secretkey, keys.own.secret_key);
  }
  // As a worker names its connection, but with a secret of its own.
  void name(const Incarnation& incarnation, char secret = 's') {
    socket.set(zmq::sockopt::routing_id, routing_id_of(incarnation, secret));
  }
  static std::string routing_id_of(const Incarnation& incarnation, char secret) {
    return "w" + std::string(reinterpret_cast<const char*>(incarnation.bytes.data()), 16) + std::string(16, secret);
  }
  bool send(const Frame& frame) { return socket.send(zmq::buffer(frame), zmq::send_flags::none).has_value(); }

 private:
  zmq::context_t context_;

 public:
  zmq::socket_t socket;
};

// A TCP connection that sends `bytes`, waits a moment for an answer, and says whether the other side has ended it.
class RawPeer {
 public:
  explicit RawPeer(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  ~RawPeer() { ::close(socket_); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;
  bool connected() const { return connected_; }
  void send(const std::string& bytes) { (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // What comes within `ms`.
  std::string receive(int ms) {
    timeval limit{ms / 1000, (ms % 1000) * 1000};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char buffer[4096];
    const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    ended_ = got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
    return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
  }
  bool ended() const { return ended_; }

 private:
  const int socket_;
  bool connected_ = false, ended_ = false;
};

// ZMTP 3.0's greeting: signature, version, mechanism, as-server, filler.
inline std::string greeting(const std::string& mechanism) {
  std::string out("\xff\0\0\0\0\0\0\0\0\x7f\x03\0", 12);
  out += mechanism + std::string(20 - mechanism.size(), '\0');
  return out + std::string(32, '\0');
}
// What a NULL peer says next, and then a message of it.
inline std::string ready_and_message() {
  return std::string(
      "\x04\x19\x05READY\x0bSocket-Type\0\0\0\x06"
      "DEALER\0\x05hello",
      34);
}

}  // namespace modelhop
