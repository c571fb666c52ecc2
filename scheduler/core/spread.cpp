#include "scheduler/core/spread.h"

#include <algorithm>
#include <map>

namespace modelhop {
namespace {

struct Load {
  std::size_t held{}, quota{};
  bool room() const { return held < quota; }
};

bool contains(const std::vector<WorkerId>& sorted, WorkerId worker) {
  return std::binary_search(sorted.begin(), sorted.end(), worker);
}

void insert(std::vector<WorkerId>& sorted, WorkerId worker) {
  sorted.insert(std::lower_bound(sorted.begin(), sorted.end(), worker), worker);
}

// Who takes a partition: a holder of the one before it, else the one with the most room, else the least loaded.
WorkerId taker(const std::map<WorkerId, Load>& loads, const std::vector<WorkerId>& here,
               const std::vector<WorkerId>& before) {
  for (const WorkerId worker : before) {
    const auto load = loads.find(worker);
    if (load != loads.end() && load->second.room() && !contains(here, worker)) return worker;
  }
  const auto* best = static_cast<const std::pair<const WorkerId, Load>*>(nullptr);
  const auto room = [](const Load& load) {
    return static_cast<std::int64_t>(load.quota) - static_cast<std::int64_t>(load.held);
  };
  for (const auto& entry : loads) {
    if (contains(here, entry.first)) continue;
    if (best == nullptr || room(entry.second) > room(best->second)) best = &entry;
  }
  return best->first;  // there is one: replicas <= workers
}

// With copies, the last partitions may find room only where they are already: exchange until nobody is over its quota.
void level(Holders& next, std::map<WorkerId, Load>& loads) {
  for (auto& [from, over] : loads) {
    for (std::size_t p = 0; p < next.size() && over.held > over.quota; ++p) {
      if (!contains(next[p], from)) continue;
      const auto to = std::find_if(loads.begin(), loads.end(), [&](const auto& entry) {
        return entry.second.room() && !contains(next[p], entry.first);
      });
      if (to == loads.end()) continue;
      std::erase(next[p], from);
      insert(next[p], to->first);
      --over.held;
      ++to->second.held;
    }
  }
}

}  // namespace

Holders spread(const Holders& now, const std::vector<WorkerId>& workers, std::uint32_t replicas) {
  Holders next(now.size());
  if (workers.empty()) return next;
  const std::size_t copies = std::min<std::size_t>(std::max(replicas, 1u), workers.size());
  std::map<WorkerId, Load> loads;
  for (const WorkerId worker : workers) loads[worker];
  for (std::size_t p = 0; p < now.size(); ++p) {
    for (const WorkerId worker : now[p]) {
      if (next[p].size() == copies || !contains(workers, worker)) continue;
      next[p].push_back(worker);
      ++loads[worker].held;
    }
  }
  // The remainder's extra partition goes to those who hold most: that moves least.
  std::vector<WorkerId> order = workers;
  std::stable_sort(order.begin(), order.end(), [&](WorkerId a, WorkerId b) { return loads[a].held > loads[b].held; });
  const std::size_t total = now.size() * copies;
  for (std::size_t i = 0; i < order.size(); ++i)
    loads[order[i]].quota = total / order.size() + (i < total % order.size());
  for (std::size_t p = now.size(); p-- > 0;) {
    for (std::size_t i = next[p].size(); i-- > 0;) {
      Load& load = loads[next[p][i]];
      if (load.held <= load.quota) continue;
      --load.held;
      next[p].erase(next[p].begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  static const std::vector<WorkerId> kNone;
  for (std::size_t p = 0; p < now.size(); ++p) {
    while (next[p].size() < copies) {
      const WorkerId worker = taker(loads, next[p], p == 0 || copies > 1 ? kNone : next[p - 1]);
      ++loads[worker].held;
      insert(next[p], worker);
    }
  }
  level(next, loads);
  return next;
}

}  // namespace modelhop
