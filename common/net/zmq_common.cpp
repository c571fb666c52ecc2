#include "common/net/zmq_common.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "common/base/limits.h"

namespace modelhop {

void set_link_options(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(kFrameBytesMax));
  socket.set(zmq::sockopt::sndhwm, kLinkQueueMax);
  socket.set(zmq::sockopt::rcvhwm, kLinkQueueMax);
  socket.set(zmq::sockopt::linger, kLinkLingerMs);
  socket.set(zmq::sockopt::handshake_ivl, kLinkHandshakeMs);
  socket.set(zmq::sockopt::heartbeat_ivl, kLinkPingMs);
  socket.set(zmq::sockopt::heartbeat_timeout, kLinkSilenceMs);
  socket.set(zmq::sockopt::heartbeat_ttl, kLinkSilenceMs);
  socket.set(zmq::sockopt::reconnect_ivl, kLinkReconnectMs);
  socket.set(zmq::sockopt::reconnect_ivl_max, kLinkReconnectMaxMs);
}

// "w" and the incarnation: ZeroMQ keeps ids that begin with a zero byte for itself.
std::string routing_id(const Incarnation& incarnation) {
  return "w" + std::string(reinterpret_cast<const char*>(incarnation.bytes.data()), incarnation.bytes.size());
}

bool parse_routing_id(const zmq::message_t& id, Incarnation& out) {
  if (id.size() != 1 + out.bytes.size() || *id.data<char>() != 'w') return false;
  std::memcpy(out.bytes.data(), id.data<char>() + 1, out.bytes.size());
  return true;
}

Status link_error(const std::string& address, const zmq::error_t& error) {
  return environment(address + ": " + error.what());
}

void wait(zmq::pollitem_t* items, std::size_t count, std::int64_t timeout_ns) {
  // Rounded up, or the loop would spin through the last millisecond before a deadline.
  const std::int64_t ms =
      timeout_ns < 0 ? -1 : std::min<std::int64_t>((timeout_ns + kMillisecond - 1) / kMillisecond, 3'600'000);
  try {
    zmq::poll(items, count, std::chrono::milliseconds(ms));
  } catch (const zmq::error_t& error) {
    if (error.num() != EINTR) throw;
  }
}

bool is_loopback(const std::string& address) {
  return address.starts_with("tcp://127.") || address.starts_with("tcp://[::1]") ||
         address.starts_with("tcp://localhost:") || address.starts_with("inproc://") || address.starts_with("ipc://");
}

}  // namespace modelhop
