#pragma once
#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>

#include "common/base/time.h"
#include "common/net/link.h"
#include "common/wire/messages.h"

namespace modelhop {

// A worker that speaks the protocol by hand.
struct HandWorker {
  explicit HandWorker(const std::string& address, std::uint8_t seed = 9) {
    self.bytes.fill(seed);
    link = std::move(WorkerLink::connect(address, self)).value();
    wait_connected();
  }
  HandWorker(const std::string& address, const WorkerKeys& keys) : self(make_incarnation(keys.own.public_key)) {
    link = std::move(WorkerLink::connect(address, self, keys)).value();
    wait_connected();
  }
  void wait_connected() const {
    const Instant until = monotonic_now() + 5 * kSecond;
    while (!link->receive(50 * kMillisecond)->connected) REQUIRE(monotonic_now() < until);
  }
  void send(const ToScheduler& message) const { REQUIRE(link->send(encode(message)).ok()); }
  // The next message of one kind, at most 5 s.
  template <class T>
  T wait() const {
    const Instant until = monotonic_now() + 5 * kSecond;
    while (monotonic_now() < until) {
      const auto received = link->receive(50 * kMillisecond);
      for (const Frame& frame : received->frames) {
        const auto message = decode_to_worker(frame);
        REQUIRE(message.ok());
        if (const T* found = std::get_if<T>(&*message)) return *found;
      }
    }
    FAIL("no such message within 5 s");
    return {};
  }
  WorkerHello hello(const std::string& name) const {
    WorkerHello out;
    out.name = name;
    out.incarnation = self;
    out.device = "cpu";
    out.threads = 1;
    out.memory_bytes = 1 << 30;
    return out;
  }
  Incarnation self;
  std::unique_ptr<WorkerLink> link;
};

}  // namespace modelhop
