#include "common/net/gatekeeper.h"

#include <algorithm>
#include <bit>

#include "common/base/thread_name.h"
#include "common/base/time.h"
#include "common/net/link.h"
#include "common/net/zmq_common.h"

namespace modelhop {
namespace {

constexpr const char* kZapAddress = "inproc://zeromq.zap.01";
constexpr const char* kMonitorAddress = "inproc://connections";
constexpr int kFailures =
    ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

}  // namespace

Gatekeeper::Gatekeeper(zmq::context_t& context, AllowList list, Wake& changed)
    : context_(context),
      list_(std::move(list)),
      changed_(changed),
      requests_(context, zmq::socket_type::rep),
      monitor_(context, zmq::socket_type::pair) {
  requests_.set(zmq::sockopt::linger, 0);
  monitor_.set(zmq::sockopt::linger, 0);
  requests_.bind(kZapAddress);
  poll_list();
  thread_ = std::thread([this] { run_on_thread(); });
}

Gatekeeper::~Gatekeeper() {
  ending_.signal();
  thread_.join();
}

void Gatekeeper::watch(zmq::socket_t& socket) {
  if (zmq_socket_monitor(socket.handle(), kMonitorAddress, kFailures | ZMQ_EVENT_DISCONNECTED) != 0)
    throw zmq::error_t();
  watching_.store(true);
}

void Gatekeeper::unwatch(zmq::socket_t& socket) { zmq_socket_monitor(socket.handle(), nullptr, 0); }

bool Gatekeeper::allows(const std::string& public_key) const {
  std::lock_guard guard(mutex_);
  return allowed_.names.contains(public_key);
}

bool Gatekeeper::allows(const Incarnation& worker) const {
  std::lock_guard guard(mutex_);
  return std::binary_search(allowed_parts_.begin(), allowed_parts_.end(), key_part(worker));
}

bool Gatekeeper::take_changed() {
  std::lock_guard guard(mutex_);
  return std::exchange(has_changed_, false);
}

std::vector<std::string> Gatekeeper::take_notes() {
  std::lock_guard guard(mutex_);
  return std::exchange(notes_, {});
}

std::vector<int> Gatekeeper::take_closed() {
  std::lock_guard guard(mutex_);
  return std::exchange(closed_, {});
}

void Gatekeeper::closed(int descriptor) {
  {
    std::lock_guard guard(mutex_);
    if (closed_.size() >= kClosedWaitingMax) return;
    closed_.push_back(descriptor);
  }
  changed_.signal();
}

void Gatekeeper::note(std::string line) {
  std::lock_guard guard(mutex_);
  if (notes_.size() >= kNotesWaitingMax) notes_.erase(notes_.begin());
  notes_.push_back(std::move(line));
}

void Gatekeeper::poll_list() {
  std::optional<AllowedKeys> now = list_();
  if (!now) return;
  AllowedKeys before;
  std::vector<Incarnation> parts;
  for (const auto& [key, name] : now->names) parts.push_back(key_part(make_incarnation(key)));
  std::sort(parts.begin(), parts.end());
  {
    std::lock_guard guard(mutex_);
    before = std::exchange(allowed_, *now);
    allowed_parts_ = std::move(parts);
    has_changed_ = true;
  }
  const auto tell = [&](const AllowedKeys& in, const AllowedKeys& and_not_in, const char* what) {
    for (const auto& [key, name] : in.names) {
      if (!and_not_in.names.contains(key)) note("key \"" + name + "\" " + what);
    }
  };
  tell(*now, before, "is allowed");
  tell(before, *now, "is revoked");
  for (const std::string& problem : now->problems) {
    if (std::find(before.problems.begin(), before.problems.end(), problem) == before.problems.end()) note(problem);
  }
  changed_.signal();
}

void Gatekeeper::run_on_thread() {
  name_thread("gatekeeper");
  bool connected = false;
  Instant poll_at = monotonic_now() + kAllowedPollMs * kMillisecond;
  for (;;) {
    try {
      if (!connected && watching_.load()) {
        monitor_.connect(kMonitorAddress);
        connected = true;
      }
      zmq::pollitem_t items[] = {{nullptr, ending_.descriptor(), ZMQ_POLLIN, 0},
                                 {requests_.handle(), 0, ZMQ_POLLIN, 0},
                                 {monitor_.handle(), 0, ZMQ_POLLIN, 0}};
      wait(items, 3, std::max<std::int64_t>(0, poll_at - monotonic_now()));
      if ((items[0].revents & ZMQ_POLLIN) != 0) return;
      answer_on_thread();
      std::uint32_t value = 0;
      while (const std::uint16_t event = next_event(monitor_, value)) {
        if (event == ZMQ_EVENT_DISCONNECTED) closed(static_cast<int>(value));
        // A refused key has been counted where it was refused.
        handshakes_failed_ += (event & kFailures) != 0 && event != ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ? 1 : 0;
      }
    } catch (const zmq::error_t& error) {
      note(std::string("keys: ") + error.what());  // who asked gets no answer, so no connection
    }
    if (monotonic_now() < poll_at) continue;
    poll_at = monotonic_now() + kAllowedPollMs * kMillisecond;
    poll_list();
  }
}

// Request: version, request id, domain, address, routing id, mechanism, credentials.
// Reply: version, request id, status, text, user id, metadata. The user id comes back with each frame of the
// connection.
void Gatekeeper::answer_on_thread() {
  for (;;) {
    std::vector<zmq::message_t> request(1);
    if (!requests_.recv(request.back(), zmq::recv_flags::dontwait)) return;
    while (request.back().more()) {
      request.emplace_back();
      if (!requests_.recv(request.back(), zmq::recv_flags::none)) return;
    }
    std::string key;
    if (request.size() == 7 && request[5].to_string_view() == "CURVE" && request[6].size() == 32) {
      char text[kKeyChars + 1] = {};
      if (zmq_z85_encode(text, request[6].data<std::uint8_t>(), 32) != nullptr) key = text;
    }
    const bool allowed = !key.empty() && allows(key);
    if (!allowed) {
      const std::uint64_t count = ++keys_refused_;
      const std::string address = request.size() > 3 ? request[3].to_string() : "?";
      if (std::has_single_bit(count)) {
        note("a worker at " + address + " is refused: its key " + (key.empty() ? "(none)" : key) + " is not allowed (" +
             std::to_string(count) + " refused so far); to allow it: modelhop keys allow FILE.pub");
      }
    }
    const std::string id = request.size() > 1 ? request[1].to_string() : "";
    const std::string parts[] = {
        "1.0", id, allowed ? "200" : "400", allowed ? "OK" : "this key is not allowed", allowed ? key : "", ""};
    for (std::size_t i = 0; i < std::size(parts); ++i) {
      requests_.send(zmq::buffer(parts[i]),
                     i + 1 < std::size(parts) ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }
  }
}

}  // namespace modelhop
