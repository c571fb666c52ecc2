// Messages on the way: lost, late, twice or past each other, until the plan's horizon.
#include "scheduler/sim/simulation.h"

namespace modelhop::sim {
namespace {

// Its place; `free` has those whose message arrived.
template <class Message>
std::uint64_t put_on_the_way(std::vector<Message>& places, std::vector<std::uint64_t>& free, const Message& message) {
  if (free.empty()) {
    places.push_back(message);
    return places.size() - 1;
  }
  const std::uint64_t place = free.back();
  free.pop_back();
  places[place] = message;
  return place;
}

}  // namespace

std::int64_t Simulation::latency(bool& lost, bool& doubled) {
  std::int64_t ns = static_cast<std::int64_t>(draw(100, plan_.latency_us_max)) * 1'000;
  lost = permille(plan_.lost_permille);
  doubled = permille(plan_.doubled_permille);
  if (lost) count(FaultKind::kMessageLost);
  if (doubled) count(FaultKind::kMessageDoubled);
  if (permille(plan_.delayed_permille)) {
    count(FaultKind::kMessageDelayed);
    ns += static_cast<std::int64_t>(draw(1'000, 20'000)) * kMillisecond;
  } else if (permille(plan_.reordered_permille)) {
    count(FaultKind::kMessageReordered);
    ns += static_cast<std::int64_t>(draw(10, 800)) * kMillisecond;
  }
  return ns;
}

void Simulation::to_scheduler(std::uint32_t from, const ToScheduler& message) {
  if (now_ < workers_[from].mute_until) return;
  bool lost = false, doubled = false;
  const std::int64_t ns = latency(lost, doubled);
  if (lost) return;
  for (std::int64_t copy = 0; copy < (doubled ? 2 : 1); ++copy) {
    at(ns + copy * 7 * kMillisecond, EventKind::kToScheduler, 0, 0, put_on_the_way(up_, up_free_, message));
  }
}

void Simulation::to_worker(const Incarnation& to, const ToWorker& message) {
  auditor_.on_sent(message);
  const std::uint32_t index = to.bytes[0];
  const std::uint32_t life = to.bytes[1] + 256u * to.bytes[2];
  if (workers_[index].life != life) return;  // a closed connection
  bool lost = false, doubled = false;
  const std::int64_t ns = latency(lost, doubled);
  if (lost) return;
  for (std::int64_t copy = 0; copy < (doubled ? 2 : 1); ++copy) {
    at(ns + copy * 7 * kMillisecond, EventKind::kToWorker, index, life, put_on_the_way(down_, down_free_, message));
  }
}

void Simulation::deliver_to_scheduler(const ToScheduler& message) {
  std::visit([&](const auto& m) { auditor_.on_heard(now_, m.incarnation); }, message);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    for (const Progress& progress : heartbeat->units) auditor_.on_named(now_, progress);
  } else if (const auto* hello = std::get_if<WorkerHello>(&message)) {
    for (const Progress& progress : hello->running) auditor_.on_named(now_, progress);
  }
  std::visit([&](const auto& m) { step_scheduler(m); }, message);
}

}  // namespace modelhop::sim
