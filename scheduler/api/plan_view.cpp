// What a spec's search will do, before it does it.
#include "scheduler/api/views.h"

namespace modelhop {

Json plan_json(const SearchPlan& plan, std::uint32_t partitions) {
  Json brackets = Json::array();
  for (const std::vector<PlanRung>& bracket : plan.brackets) {
    Json rungs = Json::array();
    for (const PlanRung& rung : bracket) {
      rungs.push_back({{"trials", rung.trials}, {"target_visits", rung.target_visits}});
    }
    brackets.push_back(std::move(rungs));
  }
  return {
      {"trials", plan.trials_max}, {"visits", plan.visits_max},     {"epochs", epochs_of(plan.visits_max, partitions)},
      {"partitions", partitions},  {"open_ended", plan.open_ended}, {"brackets", std::move(brackets)}};
}

}  // namespace modelhop
