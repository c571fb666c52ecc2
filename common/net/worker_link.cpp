#include <cerrno>
#include <cstring>

#include "common/net/zmq_common.h"

namespace modelhop {
namespace {

constexpr const char* kMonitor = "inproc://monitor";

class ZmqWorkerLink final : public WorkerLink {
 public:
  ZmqWorkerLink(const std::string& address, const Incarnation& self)
      : address_(address),
        context_(1),
        socket_(context_, zmq::socket_type::dealer),
        monitor_(context_, zmq::socket_type::pair) {
    set_link_options(socket_);
    socket_.set(zmq::sockopt::routing_id, routing_id(self));
    // Frames wait for a connection that stands, not for one that may come: the core sends again what is still true.
    socket_.set(zmq::sockopt::immediate, true);
    if (zmq_socket_monitor(socket_.handle(), kMonitor, ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0) throw zmq::error_t();
    monitor_.set(zmq::sockopt::linger, 0);
    monitor_.connect(kMonitor);
    socket_.connect(address);
  }
  ~ZmqWorkerLink() override { zmq_socket_monitor(socket_.handle(), nullptr, 0); }

  Result<Received> receive(std::int64_t timeout_ns) override {
    Received received;
    try {
      zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0},
                                 {monitor_.handle(), 0, ZMQ_POLLIN, 0},
                                 {nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
      wait(items, 3, timeout_ns);
      wake_.clear();
      zmq::message_t part;
      while (monitor_.recv(part, zmq::recv_flags::dontwait)) {
        std::uint16_t event = 0;
        if (part.size() >= sizeof event) std::memcpy(&event, part.data(), sizeof event);
        received.connected |= event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        while (part.more() && monitor_.recv(part, zmq::recv_flags::dontwait)) {
        }
      }
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
  const std::string address_;
  zmq::context_t context_;
  zmq::socket_t socket_;
  zmq::socket_t monitor_;  // tells when a connection stands
  Wake wake_;
};

}  // namespace

Result<std::unique_ptr<WorkerLink>> WorkerLink::connect(const std::string& address, const Incarnation& self) {
  try {
    auto link = std::make_unique<ZmqWorkerLink>(address, self);
    if (!link->ok()) return environment("eventfd: the process has no file left to open");
    return std::unique_ptr<WorkerLink>(std::move(link));
  } catch (const zmq::error_t& error) {
    return invalid("scheduler address \"" + address + "\": wants tcp://HOST:PORT (" + error.what() + ")");
  }
}

}  // namespace modelhop
