#pragma once
// What WebServer and its connections share. Threads: the web server's only.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "scheduler/web/web_server.h"

namespace modelhop::web {

class Connection;
class EventStream;

// The service's calls come from its own threads and find the server here, or gone.
// Invariant: `service` is only called while `open` holds.
struct Shared {
  Shared(const WebConfig& from, Service& of) : config(from), service(of) {}
  const WebConfig config;
  Service& service;
  boost::asio::io_context io{1};
  bool loopback{};
  bool open{true};
  std::set<std::shared_ptr<Connection>> connections;
  std::set<std::shared_ptr<EventStream>> streams;
  std::map<int, std::uint64_t> answered;  // responses by status code
};

// Answers requests of one client, one after another, until it leaves, is too slow, or asks for an event stream.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual void start() = 0;
  virtual void refuse_busy() = 0;  // instead of start(): one too many
  virtual void close() = 0;
  virtual bool idle() const = 0;  // no request under way
};
std::shared_ptr<Connection> make_connection(std::shared_ptr<Shared> shared, boost::asio::ip::tcp::socket socket);

// Sends records as they become durable. Reads no more of them than its client takes.
class EventStream {
 public:
  virtual ~EventStream() = default;
  virtual void start() = 0;
  virtual void on_durable() = 0;  // there may be more records
  virtual void close() = 0;
};
std::shared_ptr<EventStream> make_event_stream(std::shared_ptr<Shared> shared, boost::asio::ip::tcp::socket socket,
                                               ExperimentId experiment, std::uint64_t after);

}  // namespace modelhop::web
