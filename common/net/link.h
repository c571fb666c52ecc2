#pragma once
// Links carry frames (common/wire) between the scheduler and its workers, over ZeroMQ: ROUTER on the scheduler's side,
// DEALER on a worker's. Nothing is dropped in silence: a frame that cannot be sent is a Status, and what a peer did not
// get is sent again by the cores above.
// With keys (CURVE), a connection stands only for an allowed key, every frame is asked again for its key, and a worker
// is spoken for by its own key alone. Without keys, a scheduler listens on loopback only.
// Threads: a link belongs to one thread, its loop's; wake() is for all the others. Owner: the loop.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/net/keys.h"

namespace modelhop {

using Frame = std::vector<std::uint8_t>;

inline constexpr int kLinkQueueMax = 64;        // frames waiting for one peer, each way; a worker has a few in flight
inline constexpr int kLinkHandshakeMs = 5'000;  // a connection that says nothing sensible by then is closed
inline constexpr int kLinkPingMs = 2'000;       // keeps half-open connections from looking alive
inline constexpr int kLinkSilenceMs = 10'000;   // no pong for so long: the connection is closed
inline constexpr int kLinkReconnectMs = 100;    // grows to kLinkReconnectMaxMs
inline constexpr int kLinkReconnectMaxMs = 2'000;
inline constexpr int kLinkLingerMs = 1'000;             // the last words of a link that is closed
inline constexpr std::size_t kFramesAtOnceMax = 256;    // of one receive(): the loop's other work comes to its turn
inline constexpr int kAllowedPollMs = 200;              // how long a revoked key may still speak
inline constexpr std::size_t kProcessesOfKeyMax = 256;  // incarnations known of one key, the last heard of

// What a link kept away from its loop, counted.
struct Refusals {
  std::uint64_t handshakes{};  // connections with another mechanism, protocol or scheduler's key
  std::uint64_t keys{};        // connections with a key that is not allowed
  std::uint64_t frames{};      // of a key that was revoked since, or in the name of another key's worker
  std::uint64_t shapeless{};   // messages that no worker of ours sends
};

// The scheduler's side. A worker is named by its incarnation, which its connection carries; a newer connection of the
// same incarnation takes over from the older.
class ServerLink {
 public:
  struct Received {
    Incarnation from;
    Frame frame;
  };
  // "tcp://127.0.0.1:0": 0 picks a free port. kInvalid: no keys, and the address is not loopback.
  static Result<std::unique_ptr<ServerLink>> listen(const std::string& address, std::optional<ServerKeys> keys = {});
  virtual ~ServerLink() = default;

  virtual std::string address() const = 0;  // as bound
  // Waits for frames, for wake(), or until `timeout_ns` is over (< 0: for ever).
  virtual Result<std::vector<Received>> receive(std::int64_t timeout_ns) = 0;
  // kUnreachable: no such worker is connected. kTimeout: its queue is full.
  virtual Status send(const Incarnation& to, const Frame& frame) = 0;

  virtual bool has_keys() const = 0;
  // Whether the allow-list has changed since the last call; receive() comes back for it.
  virtual bool take_list_change() = 0;
  // Whether the key that this worker speaks under is allowed now. Without keys all are.
  virtual bool allows(const Incarnation& worker) const = 0;
  // Those known here whose key is not. None of their frames is received; send() still reaches them until drop().
  virtual std::vector<Incarnation> revoked() const = 0;
  // Those whose connection ended since the last call, and of whom nothing came after. With keys; without them nobody
  // is told, and a worker's silence has to tell.
  virtual std::vector<Incarnation> take_closed() = 0;
  // Ends a worker's connection, once what was sent before has left.
  virtual void drop(const Incarnation& worker) = 0;

  virtual Refusals refusals() const = 0;
  virtual std::vector<std::string> take_notes() = 0;  // about keys and connections, for the log; few
  virtual void wake() = 0;                            // any thread
};

// A worker's side. Keeps trying to connect, for ever.
class WorkerLink {
 public:
  struct Received {
    bool connected{};  // a new connection stands, the first or another
    // The scheduler ended a handshake: kConflict where it can only do so again (other keys, or none), else
    // kUnreachable.
    Status refused;
    std::vector<Frame> frames;
  };
  // `self`: of make_incarnation(keys' own public key).
  static Result<std::unique_ptr<WorkerLink>> connect(const std::string& address, const Incarnation& self,
                                                     const std::optional<WorkerKeys>& keys = {});
  virtual ~WorkerLink() = default;

  virtual Result<Received> receive(std::int64_t timeout_ns) = 0;
  // kUnreachable: no connection stands, or its queue is full.
  virtual Status send(const Frame& frame) = 0;
  virtual void wake() = 0;  // any thread
};

// Whether only this machine can reach the address.
bool is_loopback(const std::string& address);

}  // namespace modelhop
