#pragma once
// The API's requests that need more than the state: writes, the store's data sets, states' bytes, checks of a spec.
// What reads the store runs on the side thread; what changes the core, on the loop.
#include <atomic>
#include <functional>

#include "common/store/blob_store.h"
#include "scheduler/api/api.h"
#include "scheduler/server/loop.h"
#include "scheduler/server/service.h"
#include "scheduler/server/task_thread.h"

namespace modelhop {

using Done = std::function<void(ApiResponse)>;  // called once

struct Backends {
  Loop& loop;
  TaskThread& side;
  BlobStore& store;
  std::uint64_t content_bytes_max;  // kContentBytesMax
  Service* service;                 // for records
  std::atomic<bool>& collecting;    // a gc runs
  std::size_t garbage_looked_at_max;
};

// Routes a request to what answers it. `done` is called on the loop's thread or the side thread.
void handle_request(Backends backends, ApiRequest request, const Done& done);

ApiResponse busy();      // 503: too much waits
ApiResponse stopping();  // 503: the service ends

}  // namespace modelhop
