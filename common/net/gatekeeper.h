#pragma once
// Gatekeeper: asks for each connection of a context whether its key is allowed (ZAP, ZeroMQ's RFC 27), keeps the
// allow-list as it is now, counts handshakes that failed, and tells of connections that ended.
// Lifecycle: from before the first bind to after the last close of its context's sockets.
// Threads: its own answers and polls the list; public functions from any.
#include <zmq.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/net/keys.h"
#include "common/net/wake.h"

namespace modelhop {

inline constexpr std::size_t kNotesWaitingMax = 64;     // then the oldest are dropped
inline constexpr std::size_t kClosedWaitingMax = 1024;  // then newer ones are not told: their silence tells of them

class Gatekeeper {
 public:
  // `changed` is signalled when the list has changed. The list is asked once before the constructor returns.
  Gatekeeper(zmq::context_t& context, AllowList list, Wake& changed);
  ~Gatekeeper();
  Gatekeeper(const Gatekeeper&) = delete;
  Gatekeeper& operator=(const Gatekeeper&) = delete;

  // Also counts the failed handshakes of `socket`, and notes its connections that end. Before it is bound; until
  // unwatch(), before it is closed.
  void watch(zmq::socket_t& socket);
  void unwatch(zmq::socket_t& socket);

  bool allows(const std::string& public_key) const;
  bool allows(const Incarnation& worker) const;  // the key it belongs to
  bool take_changed();                           // since the last call
  std::vector<std::string> take_notes();
  // Connections of the watched socket that ended since the last call, by descriptor. `changed` is signalled.
  std::vector<int> take_closed();
  std::uint64_t keys_refused() const { return keys_refused_.load(); }
  std::uint64_t handshakes_failed() const { return handshakes_failed_.load(); }

 private:
  void run_on_thread();
  void poll_list();
  void answer_on_thread();
  void note(std::string line);
  void closed(int descriptor);

  zmq::context_t& context_;
  AllowList list_;  // the thread's, once it runs
  Wake& changed_;
  Wake ending_;
  zmq::socket_t requests_;  // the thread's
  zmq::socket_t monitor_;   // the thread's, once watch() has returned
  std::atomic<bool> watching_{false};
  std::atomic<std::uint64_t> keys_refused_{0}, handshakes_failed_{0};

  mutable std::mutex mutex_;  // guards what follows
  AllowedKeys allowed_;
  std::vector<Incarnation> allowed_parts_;  // of their incarnations, sorted; the rest is zero
  bool has_changed_ = false;
  std::vector<std::string> notes_;
  std::vector<int> closed_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace modelhop
