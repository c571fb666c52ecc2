#pragma once
// The HTTP API as pure functions over the core's state: the web server answers with it, and the CLI answers with it
// from a replayed journal (--state-dir), so both print the same. Format: docs/api.md.
#include <map>
#include <string>

#include "scheduler/core/core.h"

namespace modelhop {

struct ApiRequest {
  std::string method, path;                  // "/api/v1/experiments/e7"
  std::map<std::string, std::string> query;  // decoded
  std::string body;
  std::string idempotency_key;
};

struct ApiResponse {
  int status{200};
  std::string content_type{"application/json"};
  std::string body;
};

// What only the running process knows, counted since it started.
struct ServiceFigures {
  Histogram commit;            // of a group of records, by the journal's thread
  Histogram decision;          // a step of the core
  Histogram lag;               // from the time when a timer or a task was due to its turn on the loop
  std::uint64_t frames{};      // of allowed workers, each decoded once
  std::uint64_t bad_frames{};  // those of them that are no message, and what had no worker's shape
  std::uint64_t refused_frames{}, refused_keys{}, refused_handshakes{};  // never decoded: common/net/link.h, Refusals
};

struct ApiContext {
  Instant now;
  WallMs wall;
  bool live{};  // false: read from a stopped service's directory
  std::string version;
  bool served{true};                // false: no scheduler works on that directory, so what is unfinished waits
  const ServiceFigures* figures{};  // none: read from a directory
};

// Every GET that the state alone answers. 404 and 400 as RFC 9457 problems.
ApiResponse answer(const Core& core, const ApiContext& context, const ApiRequest& request);

ApiResponse problem(int status, const std::string& title, const std::string& detail);

}  // namespace modelhop
