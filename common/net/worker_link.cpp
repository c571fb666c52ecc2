#include <algorithm>
#include <cerrno>

#include "common/net/zmq_common.h"

namespace modelhop {
namespace {

constexpr const char* kMonitor = "inproc://monitor";
constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                        ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

class ZmqWorkerLink final : public WorkerLink {
 public:
  ZmqWorkerLink(const std::string& address, const Incarnation& self, const std::optional<WorkerKeys>& keys)
      : address_(address),
        has_key_(keys.has_value()),
        context_(1),
        socket_(context_, zmq::socket_type::dealer),
        monitor_(context_, zmq::socket_type::pair) {
    set_link_options(socket_);
    if (keys) {
      socket_.set(zmq::sockopt::curve_serverkey, keys->scheduler);
      socket_.set(zmq::sockopt::curve_publickey, keys->own.public_key);
      socket_.set(zmq::sockopt::curve_secretkey, keys->own.secret_key);
    }
    socket_.set(zmq::sockopt::routing_id, make_routing_id(self));
    // Frames wait for a connection that stands, not for one that may come: the core sends again what is still true.
    socket_.set(zmq::sockopt::immediate, true);
    if (zmq_socket_monitor(socket_.handle(), kMonitor, kEvents) != 0) throw zmq::error_t();
    monitor_.set(zmq::sockopt::linger, 0);
    monitor_.connect(kMonitor);
    socket_.connect(address);
  }
  ~ZmqWorkerLink() override { zmq_socket_monitor(socket_.handle(), nullptr, 0); }

  Result<Received> receive(std::int64_t timeout_ns) override {
    Received received;
    try {
      connect_again();
      zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0},
                                 {monitor_.handle(), 0, ZMQ_POLLIN, 0},
                                 {nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
      wait(items, 3, until_again(timeout_ns));
      wake_.clear();
      std::uint32_t value = 0;
      while (const std::uint16_t event = next_event(monitor_, value)) on_event(event, value, received);
      zmq::message_t part;
      while (received.frames.size() < kFramesAtOnceMax && socket_.recv(part, zmq::recv_flags::dontwait)) {
        received.frames.emplace_back(part.data<std::uint8_t>(), part.data<std::uint8_t>() + part.size());
      }
    } catch (const zmq::error_t& error) {
      return link_error(address_, error);
    }
    return received;
  }

  Status send(const Frame& frame) override {
    try {
      if (socket_.send(zmq::buffer(frame), zmq::send_flags::dontwait)) return {};
    } catch (const zmq::error_t& error) {
      return link_error(address_, error);
    }
    return {Code::kUnreachable, "scheduler " + address_ + ": no connection, or its queue is full"};
  }

  void wake() override { wake_.signal(); }
  bool ok() const { return wake_.ok(); }

 private:
  void on_event(std::uint16_t event, std::uint32_t value, Received& received) {
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      received.connected = true;
      received.refused = {};
      again_ms_ = kLinkReconnectMs;
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
      received.refused = conflict("scheduler " + address_ +
                                  ": this worker's key is not allowed there; allow it with "
                                  "`modelhop keys allow`, or make one with `modelhop keys generate NAME`");
      plan_again();
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
      received.refused = mismatch(value);
      plan_again();
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
      // It may have ended itself, too.
      received.refused = {
          Code::kUnreachable,
          "scheduler " + address_ + ": ended the handshake; if it goes on so, " +
              (has_key_
                   ? "this worker's key file names another scheduler's key, or it uses none (then start without --key)"
                   : needs_key())};
    }
  }

  Status mismatch(std::uint32_t value) const {
    if (value != ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
      return {Code::kUnreachable, "scheduler " + address_ + ": does not speak as a scheduler does"};
    }
    if (has_key_) {
      return conflict("scheduler " + address_ + ": uses no keys (--insecure-loopback), so start without --key");
    }
    return conflict("scheduler " + address_ + ": " + needs_key());
  }
  static std::string needs_key() {
    return "it lets only workers with a key in; make one beside it with `modelhop keys generate NAME`, and start this "
           "worker with --key NAME.key";
  }

  // After such an end ZeroMQ does not try again by itself.
  void plan_again() {
    again_at_ = monotonic_now() + again_ms_ * kMillisecond;
    again_ms_ = std::min(2 * again_ms_, kLinkReconnectMaxMs);
  }

  void connect_again() {
    if (!again_at_ || monotonic_now() < *again_at_) return;
    again_at_.reset();
    try {
      socket_.disconnect(address_);
    } catch (const zmq::error_t&) {  // ZeroMQ has forgotten it already
    }
    socket_.connect(address_);
  }

  std::int64_t until_again(std::int64_t timeout_ns) const {
    if (!again_at_) return timeout_ns;
    const std::int64_t until = std::max<std::int64_t>(0, *again_at_ - monotonic_now());
    return timeout_ns < 0 ? until : std::min(timeout_ns, until);
  }

  const std::string address_;
  const bool has_key_;
  zmq::context_t context_;
  zmq::socket_t socket_;
  zmq::socket_t monitor_;  // tells when a connection stands, and why none does
  Wake wake_;
  std::optional<Instant> again_at_;
  int again_ms_ = kLinkReconnectMs;
};

}  // namespace

Result<std::unique_ptr<WorkerLink>> WorkerLink::connect(const std::string& address, const Incarnation& self,
                                                        const std::optional<WorkerKeys>& keys) {
  try {
    auto link = std::make_unique<ZmqWorkerLink>(address, self, keys);
    if (!link->ok()) return environment("eventfd: the process has no file left to open");
    return std::unique_ptr<WorkerLink>(std::move(link));
  } catch (const zmq::error_t& error) {
    return invalid("scheduler address \"" + address + "\": wants tcp://HOST:PORT (" + error.what() + ")");
  }
}

}  // namespace modelhop
