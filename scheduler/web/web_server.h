#pragma once
// WebServer: HTTP and event streams over a Service. Format: docs/api.md.
// Lifecycle: start() listens; stop() ends open connections and joins; the destructor stops.
// Threads: one of its own does all I/O; start, stop, port from any thread. The Service must outlive it.
// What a client may use is bounded by WebLimits; none of them can stop the service.
#include <cstdint>
#include <memory>
#include <string>

#include "common/base/limits.h"
#include "common/base/status.h"
#include "scheduler/server/service.h"

namespace modelhop {

struct WebLimits {
  std::size_t header_bytes{16 << 10};                  // 431 beyond
  std::size_t body_bytes{kSpecBytesMax + (64 << 10)};  // a spec and its envelope; 413 beyond
  std::size_t connections{256};                        // 503 beyond
  std::size_t streams{64};                             // event streams among them; 503 beyond
  std::size_t stream_buffer_bytes{1 << 20};            // of one event stream, written before more is read
  std::uint32_t request_ms{10'000};                    // a whole header, then a whole body; slower is cut off
  std::uint32_t idle_ms{60'000};                       // between two requests of one connection
  std::uint32_t write_ms{30'000};                      // a client that takes nothing for so long is dropped
  std::uint32_t heartbeat_ms{15'000};                  // a comment on an event stream without events
  std::uint32_t answer_ms{60'000};                     // the service's answer; 504 beyond
};

struct WebConfig {
  std::string address{"127.0.0.1"};  // an IP address
  std::uint16_t port{8080};          // 0: any free one
  // Beyond loopback every client would have every right, since this version has no keys: refused unless set.
  bool insecure{};
  WebLimits limits;
};

class WebServer {
 public:
  // kConflict: the port is taken. kInvalid: not an address, or one beyond loopback.
  static Result<std::unique_ptr<WebServer>> start(const WebConfig& config, Service& service);
  virtual ~WebServer() = default;
  virtual std::uint16_t port() const = 0;
  // Graceful: no new connection, answers under way are sent for at most a second. Idempotent.
  virtual void stop() = 0;
};

}  // namespace modelhop
