#include <algorithm>
#include <cerrno>
#include <map>

#include "common/base/limits.h"
#include "common/net/gatekeeper.h"
#include "common/net/zmq_common.h"

namespace modelhop {
namespace {

constexpr const char* kDomain = "modelhop";
constexpr const char* kInside = "inproc://inside";
constexpr int kNoDescriptor = -1;

class ZmqServerLink final : public ServerLink {
 public:
  ZmqServerLink(const std::string& address, std::optional<ServerKeys> keys)
      : context_(1), socket_(context_, zmq::socket_type::router) {
    set_link_options(socket_);
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::router_handover, true);
    if (keys) {
      socket_.set(zmq::sockopt::curve_server, true);
      socket_.set(zmq::sockopt::curve_secretkey, keys->own.secret_key);
      socket_.set(zmq::sockopt::zap_domain, kDomain);
      // CURVE takes everybody where nobody answers ZAP, so it answers first; and a frame that it did not allow has no
      // key.
      gatekeeper_.emplace(context_, std::move(keys->allowed), wake_);
      gatekeeper_->watch(socket_);
    }
    try {
      socket_.bind(kInside);
      socket_.bind(address);
      address_ = socket_.get(zmq::sockopt::last_endpoint);
    } catch (const zmq::error_t&) {
      close();
      throw;
    }
  }
  ~ZmqServerLink() override { close(); }

  std::string address() const override { return address_; }
  bool has_keys() const override { return gatekeeper_.has_value(); }

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
    const auto found = peers_.find(to);
    if (found == peers_.end()) return unreachable(to);
    try {
      const auto flags = zmq::send_flags::dontwait;
      if (!socket_.send(zmq::buffer(found->second.routing_id), flags | zmq::send_flags::sndmore) ||
          !socket_.send(zmq::buffer(frame), flags)) {
        return {Code::kTimeout,
                "worker " + to_string(to) + ": its queue of " + std::to_string(kLinkQueueMax) + " frames is full"};
      }
    } catch (const zmq::error_t& error) {
      if (error.num() == EHOSTUNREACH) return unreachable(to);
      return link_error(address_, error);
    }
    return {};
  }

  bool take_list_change() override { return gatekeeper_ && gatekeeper_->take_changed(); }
  bool allows(const Incarnation& worker) const override { return !gatekeeper_ || gatekeeper_->allows(worker); }

  std::vector<Incarnation> revoked() const override {
    std::vector<Incarnation> out;
    for (const auto& [incarnation, peer] : peers_) {
      if (gatekeeper_ && !gatekeeper_->allows(peer.key)) out.push_back(incarnation);
    }
    return out;
  }

  std::vector<Incarnation> take_closed() override {
    std::vector<Incarnation> out;
    if (!gatekeeper_) return out;
    for (const int descriptor : gatekeeper_->take_closed()) {
      for (auto& [incarnation, peer] : peers_) {
        if (peer.descriptor != descriptor) continue;
        peer.descriptor = kNoDescriptor;  // the next connection may get its number
        out.push_back(incarnation);
      }
    }
    return out;
  }

  void drop(const Incarnation& worker) override {
    const auto found = peers_.find(worker);
    if (found == peers_.end()) return;
    disconnect(found->second.routing_id);
    peers_.erase(found);
  }

  Refusals refusals() const override {
    Refusals out = refusals_;
    if (gatekeeper_) {
      out.handshakes = gatekeeper_->handshakes_failed();
      out.keys = gatekeeper_->keys_refused();
    }
    return out;
  }
  std::vector<std::string> take_notes() override {
    return gatekeeper_ ? gatekeeper_->take_notes() : std::vector<std::string>();
  }
  void wake() override { wake_.signal(); }
  bool ok() const { return wake_.ok(); }

 private:
  struct Peer {
    std::string routing_id, key;
    int descriptor{kNoDescriptor};  // of the connection that its last frame came by
    std::uint64_t heard{};          // greater: later
  };

  static Status unreachable(const Incarnation& worker) {
    return {Code::kUnreachable, "worker " + to_string(worker) + ": is not connected"};
  }

  // `part`: the first of a message. A worker's message is its id and one frame; all else is dropped whole and counted.
  void take(zmq::message_t& part, std::vector<Received>& received) {
    Received one;
    const bool known = parse_routing_id(part, one.from);
    std::string routing_id = part.to_string(), key;
    int frames = 0, descriptor = kNoDescriptor;
    while (part.more() && socket_.recv(part, zmq::recv_flags::dontwait)) {
      if (++frames == 1 && known) {
        one.frame.assign(part.data<std::uint8_t>(), part.data<std::uint8_t>() + part.size());
        key = key_of(part);
        descriptor = zmq_msg_get(part.handle(), ZMQ_SRCFD);
      }
    }
    if (!known || frames != 1) {
      ++refusals_.shapeless;
    } else if (gatekeeper_ && !(belongs_to(one.from, key) && gatekeeper_->allows(key))) {
      ++refusals_.frames;
      disconnect(routing_id);
    } else {
      meet(one.from, {std::move(routing_id), std::move(key), descriptor, ++heard_});
      received.push_back(std::move(one));
    }
  }

  // The key that ZAP allowed this frame's connection with.
  static std::string key_of(zmq::message_t& part) {
    const char* text = zmq_msg_gets(part.handle(), "User-Id");
    return text == nullptr ? "" : text;
  }

  void meet(const Incarnation& worker, Peer peer) {
    if (peers_.insert_or_assign(worker, std::move(peer)).second) forget_one_of(worker);
  }

  // No key can drive another's workers out, nor the memory up.
  void forget_one_of(const Incarnation& worker) {
    auto first = peers_.begin(), last = peers_.end();
    std::size_t most = std::size_t{2} * kWorkersMax;
    if (gatekeeper_) {
      const Incarnation low = key_part(worker);
      Incarnation high = low;
      std::fill(high.bytes.begin() + kIncarnationKeyBytes, high.bytes.end(), 0xff);
      first = peers_.lower_bound(low);
      last = peers_.upper_bound(high);
      most = kProcessesOfKeyMax;
    }
    if (static_cast<std::size_t>(std::distance(first, last)) <= most) return;
    peers_.erase(
        std::min_element(first, last, [](const auto& a, const auto& b) { return a.second.heard < b.second.heard; }));
  }

  // ZeroMQ ends a ROUTER's connection only for a newer one of its name: so there comes one, from inside, and leaves.
  void disconnect(const std::string& routing_id) {
    try {
      zmq::socket_t newer(context_, zmq::socket_type::dealer);
      newer.set(zmq::sockopt::linger, 0);
      newer.set(zmq::sockopt::routing_id, routing_id);
      newer.connect(kInside);
    } catch (const zmq::error_t&) {  // no socket left: it stays, and its frames are refused one by one
    }
  }

  void close() {
    if (gatekeeper_ && socket_) gatekeeper_->unwatch(socket_);
    socket_.close();
  }

  zmq::context_t context_;
  Wake wake_;
  std::optional<Gatekeeper> gatekeeper_;  // outlives the socket it answers for
  zmq::socket_t socket_;
  std::string address_;
  std::map<Incarnation, Peer> peers_;
  std::uint64_t heard_ = 0;
  Refusals refusals_;
};

Status needs_keys(const std::string& address) {
  return invalid("listen address \"" + address +
                 "\": other machines can reach it, so keys are needed; run `modelhop keys generate` and "
                 "`modelhop keys generate NAME` for each worker, or listen on loopback (tcp://127.0.0.1:7077)");
}

}  // namespace

Result<std::unique_ptr<ServerLink>> ServerLink::listen(const std::string& address, std::optional<ServerKeys> keys) {
  const bool open_to_all = !keys;
  if (open_to_all && address.starts_with("tcp://") && !is_loopback(address)) return needs_keys(address);
  try {
    auto link = std::make_unique<ZmqServerLink>(address, std::move(keys));
    if (!link->ok()) return environment("eventfd: the process has no file left to open");
    if (open_to_all && !is_loopback(link->address())) return needs_keys(link->address());
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
