#include <cerrno>

#include "common/net/zmq_common.h"

namespace modelhop {
namespace {

class ZmqServerLink final : public ServerLink {
 public:
  explicit ZmqServerLink(const std::string& address) : context_(1), socket_(context_, zmq::socket_type::router) {
    set_link_options(socket_);
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::router_handover, true);
    socket_.bind(address);
    address_ = socket_.get(zmq::sockopt::last_endpoint);
  }

  std::string address() const override { return address_; }

  Result<std::vector<Received>> receive(std::int64_t timeout_ns) override {
    std::vector<Received> received;
    try {
      zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
      wait(items, 2, timeout_ns);
      wake_.clear();
      zmq::message_t part;
      while (received.size() < kFramesAtOnceMax && socket_.recv(part, zmq::recv_flags::dontwait)) take(part, received);
    } catch (const zmq::error_t& error) {
      return link_error(address_, error);
    }
    return received;
  }

  Status send(const Incarnation& to, const Frame& frame) override {
    const std::string id = routing_id(to);
    try {
      const auto flags = zmq::send_flags::dontwait;
      if (!socket_.send(zmq::buffer(id), flags | zmq::send_flags::sndmore) ||
          !socket_.send(zmq::buffer(frame), flags)) {
        return {Code::kTimeout,
                "worker " + to_string(to) + ": its queue of " + std::to_string(kLinkQueueMax) + " frames is full"};
      }
    } catch (const zmq::error_t& error) {
      if (error.num() == EHOSTUNREACH) return {Code::kUnreachable, "worker " + to_string(to) + ": is not connected"};
      return link_error(address_, error);
    }
    return {};
  }

  std::uint64_t refused() const override { return refused_; }
  void wake() override { wake_.signal(); }
  bool ok() const { return wake_.ok(); }

 private:
  // `part`: the first of a message. A worker's message is its id and one frame; all else is dropped whole and counted.
  void take(zmq::message_t& part, std::vector<Received>& received) {
    Received one;
    const bool known = parse_routing_id(part, one.from);
    int frames = 0;
    while (part.more() && socket_.recv(part, zmq::recv_flags::dontwait)) {
      if (++frames == 1 && known) one.frame.assign(part.data<std::uint8_t>(), part.data<std::uint8_t>() + part.size());
    }
    if (known && frames == 1) {
      received.push_back(std::move(one));
    } else {
      ++refused_;
    }
  }

  zmq::context_t context_;
  zmq::socket_t socket_;
  Wake wake_;
  std::string address_;
  std::uint64_t refused_ = 0;
};

}  // namespace

Result<std::unique_ptr<ServerLink>> ServerLink::listen(const std::string& address) {
  try {
    auto link = std::make_unique<ZmqServerLink>(address);
    if (!link->ok()) return environment("eventfd: the process has no file left to open");
    return std::unique_ptr<ServerLink>(std::move(link));
  } catch (const zmq::error_t& error) {
    if (error.num() == EINVAL || error.num() == EPROTONOSUPPORT || error.num() == ENODEV) {
      return invalid("listen address \"" + address +
                     "\": wants tcp://HOST:PORT of this machine; try tcp://127.0.0.1:7077");
    }
    return environment("listen address \"" + address + "\": " + error.what());
  }
}

}  // namespace modelhop
