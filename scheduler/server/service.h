#pragma once
// Service: what the web server and `modelhop run` see of the scheduler. Any thread.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "scheduler/api/api.h"

namespace modelhop {

struct RecordLine {  // one durable record as people read it
  std::uint64_t seq{};
  ExperimentId experiment;
  std::string type;
  std::string json;  // {"at":..,"body":{..},"experiment":"e1","seq":..,"type":"..","version":1}
};

class Service {
 public:
  virtual ~Service() = default;
  // Reads and writes of the API. `done` is called once, from a thread of the service, when everything the response
  // shows is durable. Refuses (503) when kRequestsWaitingMax are waiting.
  virtual void ask(ApiRequest request, std::function<void(ApiResponse)> done) = 0;
  // Durable records with seq > after, in order, of one experiment or (0) of all; at most limit.
  virtual std::vector<RecordLine> records(std::uint64_t after, ExperimentId experiment, std::size_t limit) = 0;
  // Not 0: records after `after` are kept no longer (--history-max), and this is the first that is.
  virtual std::uint64_t gone_before(std::uint64_t after, ExperimentId experiment) = 0;
  // Called after each commit with the newest durable seq, from a thread of the service; must not block.
  // Returns a handle for unwatch(), which waits for a running call.
  virtual std::uint64_t watch(std::function<void(std::uint64_t seq)> callback) = 0;
  virtual void unwatch(std::uint64_t handle) = 0;
};

inline constexpr std::size_t kRequestsWaitingMax = 1024;

}  // namespace modelhop
