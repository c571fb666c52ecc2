#pragma once
// What both sides of a link share. zmq.hpp stays inside common/net.
#include <zmq.hpp>

#include <string>

#include "common/base/status.h"
#include "common/net/link.h"
#include "common/net/wake.h"

namespace modelhop {

// Limits and timeouts of link.h.
void set_link_options(zmq::socket_t& socket);

// A connection's name to the ROUTER: the incarnation, and a secret of the process. Without the secret nobody can take
// over its connection, which ZeroMQ gives to the newest of a name.
std::string make_routing_id(const Incarnation& incarnation);
bool parse_routing_id(const zmq::message_t& id, Incarnation& out);

// The next event of a socket's monitor: 0, there is none now. `value` is the event's own.
std::uint16_t next_event(zmq::socket_t& monitor, std::uint32_t& value);

Status link_error(const std::string& address, const zmq::error_t& error);

// Waits for any of the items; an interrupted wait is none.
void wait(zmq::pollitem_t* items, std::size_t count, std::int64_t timeout_ns);

}  // namespace modelhop
