#include "common/net/zmq_common.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "common/base/limits.h"

namespace modelhop {
namespace {
constexpr std::size_t kSecretBytes = 16;
}  // namespace

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

// "w" first: ZeroMQ keeps names that begin with a zero byte for itself.
std::string make_routing_id(const Incarnation& incarnation) {
  std::string secret(kSecretBytes, '\0');
  fill_random(secret.data(), secret.size());
  return "w" + std::string(reinterpret_cast<const char*>(incarnation.bytes.data()), incarnation.bytes.size()) + secret;
}

bool parse_routing_id(const zmq::message_t& id, Incarnation& out) {
  if (id.size() != 1 + out.bytes.size() + kSecretBytes || *id.data<char>() != 'w') return false;
  std::memcpy(out.bytes.data(), id.data<char>() + 1, out.bytes.size());
  return true;
}

// Two parts: event and value, and the endpoint.
std::uint16_t next_event(zmq::socket_t& monitor, std::uint32_t& value) {
  zmq::message_t part;
  if (!monitor.recv(part, zmq::recv_flags::dontwait)) return 0;
  std::uint16_t event = 0;
  value = 0;
  if (part.size() >= sizeof event + sizeof value) {
    std::memcpy(&event, part.data(), sizeof event);
    std::memcpy(&value, part.data<char>() + sizeof event, sizeof value);
  }
  while (part.more() && monitor.recv(part, zmq::recv_flags::dontwait)) {
  }
  return event;
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
  if (address.starts_with("inproc://") || address.starts_with("ipc://")) return true;
  const std::size_t colon = address.rfind(':');
  if (!address.starts_with("tcp://") || colon < 6) return false;
  const std::string host = address.substr(6, colon - 6);
  // Numbers only: what 127.example.com is, a name server decides.
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

}  // namespace modelhop
