#pragma once
// Outbox: what may leave only when the records it depends on are durable. The one place that keeps that rule.
// Threads: the loop's. Bounded by the journal's queue: while that is full, the loop makes nothing new.
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace modelhop {

class Outbox {
 public:
  using Leave = std::function<void()>;

  // Leaves at once where `after_seq` is durable already. What waits for the same record leaves in order.
  void hold(std::uint64_t after_seq, Leave leave) {
    if (after_seq <= durable_seq_) {
      leave();
    } else {
      held_[after_seq].push_back(std::move(leave));
    }
  }

  void release(std::uint64_t durable_seq) {
    durable_seq_ = durable_seq;
    while (!held_.empty() && held_.begin()->first <= durable_seq) {
      const std::vector<Leave> leaving = std::move(held_.begin()->second);
      held_.erase(held_.begin());
      for (const Leave& leave : leaving) leave();
    }
  }

  bool empty() const { return held_.empty(); }

 private:
  std::uint64_t durable_seq_ = 0;
  std::map<std::uint64_t, std::vector<Leave>> held_;
};

}  // namespace modelhop
