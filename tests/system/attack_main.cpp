// modelhop-attack: connections that a scheduler with keys must not listen to, by the thousand, each trying to bring in
// a worker called "intruder". For `./dev test --long keys`. usage: modelhop-attack ADDRESS COUNT SCHEDULER.pub
// REVOKED.key RECORDING [ALLOWED.key VICTIM]
//   RECORDING: what a worker's connection sent, from its first byte
//   ALLOWED.key VICTIM: instead, COUNT times an allowed key in the name of another key's worker
// Prints a line a kind: attempts, refused, let in. Exit 1: one was let in, or hung.
#include <atomic>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "common/net/key_folder.h"
#include "common/wire/messages.h"
#include "tests/common/net/peers.h"

namespace modelhop {
namespace {

constexpr int kAtOnce = 32;         // connections open at a time, and threads for raw ones
constexpr int kPatienceMs = 8'000;  // longer than a scheduler's for a handshake

enum class Kind : std::uint8_t { kWrongKey, kWrongScheduler, kRevoked, kNull, kPlain, kNoKey, kReplay, kOldProtocol };
constexpr const char* kNames[] = {"wrong key", "wrong scheduler's key", "revoked key", "NULL", "PLAIN",
                                  "no key",    "replayed bytes",        "ZMTP 1 and 2"};
constexpr int kKinds = 8;

struct Tally {
  std::atomic<int> attempts{0}, refused{0}, let_in{0}, hung{0};
};

struct Attack {
  std::string address, scheduler_key, recording;
  WorkerKeys revoked;
  std::optional<WorkerKeys> allowed;
  Incarnation victim;
};

Frame intruders_hello(const Incarnation& as) {
  WorkerHello hello;
  hello.name = "intruder";
  hello.incarnation = as;
  hello.device = "cpu";
  hello.threads = 1;
  hello.memory_bytes = 1 << 30;
  return encode(ToScheduler(hello));
}

// A ZeroMQ connection with a monitor, which tells how its handshake ended.
class Attempt {
 public:
  Attempt(zmq::context_t& context, const Attack& attack, Kind kind, int number)
      : socket_(context, zmq::socket_type::dealer), monitor_(context, zmq::socket_type::pair) {
    WorkerKeys keys{make_key_pair(), attack.scheduler_key};
    if (kind == Kind::kWrongScheduler) keys.scheduler = make_key_pair().public_key;
    if (kind == Kind::kRevoked) keys = attack.revoked;
    Incarnation self = make_incarnation(keys.own.public_key);
    if (attack.allowed) {
      keys = *attack.allowed;
      self = attack.victim;
    }
    if (kind == Kind::kPlain) {
      socket_.set(zmq::sockopt::plain_username, "worker");
      socket_.set(zmq::sockopt::plain_password, "worker");
    } else if (kind != Kind::kNull) {
      socket_.set(zmq::sockopt::curve_serverkey, keys.scheduler);
      socket_.set(zmq::sockopt::curve_publickey, keys.own.public_key);
      socket_.set(zmq::sockopt::curve_secretkey, keys.own.secret_key);
    }
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::reconnect_ivl, -1);
    std::string id = Peer::routing_id_of(self, 'x');
    fill_random(id.data() + id.size() - 16, 16);
    socket_.set(zmq::sockopt::routing_id, id);
    const std::string monitor = "inproc://attempt-" + std::to_string(number);
    zmq_socket_monitor(socket_.handle(), monitor.c_str(), ZMQ_EVENT_ALL);
    monitor_.set(zmq::sockopt::linger, 0);
    monitor_.connect(monitor);
    socket_.connect(attack.address);
    // Waits in the socket until a handshake succeeds, and would then be the first thing the scheduler hears.
    const Frame hello = intruders_hello(self);
    socket_.send(zmq::buffer(hello), zmq::send_flags::dontwait);
  }
  ~Attempt() { zmq_socket_monitor(socket_.handle(), nullptr, 0); }

  enum class End : std::uint8_t { kNotYet, kRefused, kLetIn };
  End look() {
    zmq::message_t part;
    while (monitor_.recv(part, zmq::recv_flags::dontwait)) {
      std::uint16_t event = 0;
      if (part.size() >= sizeof event) std::memcpy(&event, part.data(), sizeof event);
      while (part.more() && monitor_.recv(part, zmq::recv_flags::dontwait)) {
      }
      if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) return End::kLetIn;
      constexpr int kEnds = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                            ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_DISCONNECTED;
      if ((event & kEnds) != 0) return End::kRefused;
    }
    return End::kNotYet;
  }

 private:
  zmq::socket_t socket_, monitor_;
};

void attack_by_zmq(const Attack& attack, Kind kind, int count, Tally& tally) {
  zmq::context_t context(1);
  int number = 0;
  while (count > 0) {
    std::vector<std::unique_ptr<Attempt>> open;
    for (int i = 0; i < std::min(count, kAtOnce); ++i) {
      open.push_back(std::make_unique<Attempt>(context, attack, kind, ++number));
    }
    count -= static_cast<int>(open.size());
    tally.attempts += static_cast<int>(open.size());
    const Instant until = monotonic_now() + kPatienceMs * kMillisecond;
    std::vector<std::unique_ptr<Attempt>> in;  // stay open until what they say has arrived
    while (!open.empty() && monotonic_now() < until) {
      for (auto& attempt : open) {
        const Attempt::End end = attempt->look();
        if (end == Attempt::End::kNotYet) continue;
        tally.refused += end == Attempt::End::kRefused ? 1 : 0;
        tally.let_in += end == Attempt::End::kLetIn ? 1 : 0;
        if (end == Attempt::End::kLetIn) in.push_back(std::move(attempt));
        attempt.reset();
      }
      std::erase(open, nullptr);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    tally.hung += static_cast<int>(open.size());
    if (!in.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

// The bytes of one raw attempt. Pieces of a recording end anywhere.
std::string raw_bytes(const Attack& attack, Kind kind, int i) {
  const std::string message("\0\x05hello", 7);
  if (kind == Kind::kReplay) {
    if (i % 4 != 0 || attack.recording.size() < 64) return attack.recording;
    return attack.recording.substr(0, 64) + attack.recording.substr(64 + (i * 37) % (attack.recording.size() - 64));
  }
  if (kind == Kind::kOldProtocol) {
    return i % 2 == 0 ? std::string("\x01\0", 2) + std::string("\x06\0hello", 7)
                      : std::string("\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0", 14) + message;
  }
  return greeting("CURVE") + (i % 2 == 0 ? ready_and_message() : message);
}

void attack_raw(const Attack& attack, Kind kind, int count, Tally& tally) {
  std::atomic<int> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kAtOnce; ++t) {
    threads.emplace_back([&] {
      for (int i = next++; i < count; i = next++) {
        RawPeer peer(attack.address);
        ++tally.attempts;
        if (!peer.connected()) {
          ++tally.hung;
          continue;
        }
        peer.send(raw_bytes(attack, kind, i));
        const Instant until = monotonic_now() + kPatienceMs * kMillisecond;
        while (!peer.ended() && monotonic_now() < until) peer.receive(100);
        ++(peer.ended() ? tally.refused : tally.hung);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

std::string slurp(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int run(int argc, char** argv) {
  if (argc != 6 && argc != 8) {
    std::fprintf(stderr,
                 "usage: modelhop-attack ADDRESS COUNT SCHEDULER.pub REVOKED.key RECORDING [ALLOWED.key VICTIM]\n");
    return 2;
  }
  const auto scheduler = parse_key_file(slurp(argv[3]), argv[3]);
  const auto revoked = read_worker_keys(argv[4]);
  if (!scheduler.ok() || !revoked.ok()) {
    std::fprintf(stderr, "%s%s\n", scheduler.status().message().c_str(), revoked.status().message().c_str());
    return 2;
  }
  Attack attack{argv[1], scheduler->public_key, slurp(argv[5]), *revoked, {}, {}};
  const int count = std::atoi(argv[2]);
  if (argc == 8) {
    const auto allowed = read_worker_keys(argv[6]);
    if (!allowed.ok() || !parse(std::string(argv[7]), attack.victim)) return 2;
    attack.allowed = *allowed;
    Tally tally;
    attack_by_zmq(attack, Kind::kWrongKey, count, tally);
    std::printf("an allowed key as another's worker: %d connections\n", tally.let_in.load());
    return tally.let_in == count ? 0 : 1;
  }
  int total = 0, wrong = 0;
  for (int kind = 0; kind < kKinds; ++kind) {
    const int share = count / kKinds + (kind < count % kKinds ? 1 : 0);
    Tally tally;
    kind < static_cast<int>(Kind::kNoKey) ? attack_by_zmq(attack, static_cast<Kind>(kind), share, tally)
                                          : attack_raw(attack, static_cast<Kind>(kind), share, tally);
    std::printf("%-22s %6d attempts, %6d refused, %d let in, %d hung\n", kNames[kind], tally.attempts.load(),
                tally.refused.load(), tally.let_in.load(), tally.hung.load());
    std::fflush(stdout);
    total += tally.attempts;
    wrong += tally.let_in + tally.hung;
  }
  std::printf("%d attempts, %d let in or hung\n", total, wrong);
  return total >= count && wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace modelhop

int main(int argc, char** argv) { return modelhop::run(argc, argv); }
