#pragma once
// Search algorithms: which configurations to train, and how far. Pure: no I/O, clock or generator state.
// One folder an algorithm; search/registry.h lists them. Below them, so that each may include it.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/spec/params.h"
#include "common/spec/spec.h"

namespace modelhop {

// What happened, in record order. `visits` counts completed visits since initialization, earlier rungs included.
struct SearchTrialCreated {
  TrialId trial;
  Params params;
  std::uint64_t target_visits{};
  std::string origin;
};
struct SearchEvaluated {
  TrialId trial;
  std::uint64_t visits{};
  double value{};  // in the spec's metric; NaN is mapped to the worst value by the core
};
enum class TrialEnd : std::uint8_t { kCompleted, kStopped, kFailed, kCanceled, kInvalid };
struct SearchTrialEnded {
  TrialId trial;
  TrialEnd how{};
};
// Its end, if it had one, is void, and this is its target now. What was told is then as if it had been so from the
// start: a search made anew hears of neither the end nor this.
struct SearchTrialGoesOn {
  TrialId trial;
  std::uint64_t target_visits{};
};
using SearchRecord = std::variant<SearchTrialCreated, SearchEvaluated, SearchTrialEnded, SearchTrialGoesOn>;

// What to do next. Each carries the reason people are shown.
struct CreateTrial {
  Params params;
  std::uint64_t target_visits{};
  std::string origin;  // "grid 3/12", "random", "points_to_evaluate"
};
struct StopTrial {
  TrialId trial;
  std::string reason;
};
struct SearchDone {};  // no further trial will be created; the experiment ends when its trials have
using Decision = std::variant<CreateTrial, StopTrial, SearchDone>;

struct SearchView {
  std::uint64_t trials{};      // created so far
  std::uint64_t room{};        // how many may be created now (max_concurrent_trials, limits)
  std::uint64_t partitions{};  // P: visits an epoch
};

class Search {
 public:
  virtual ~Search() = default;
  // The only mutation. In record order, live and in replay; accepts what an older version decided.
  virtual void apply(const SearchRecord& record) = 0;
  // Same history and view, same answer, so calling it twice, or never (replay), changes nothing. At most view.room
  // trials are created a call. Budget: 50 us and 10 us a created trial.
  virtual std::vector<Decision> decide(const SearchView& view) const = 0;
};

struct PlanRung {
  std::uint64_t trials{}, target_visits{};
};
struct SearchPlan {
  std::vector<std::vector<PlanRung>> brackets;  // grid, random: one bracket of one rung
  std::uint64_t trials_max{}, visits_max{};
  bool open_ended{};  // the clock ends it: the numbers are limits
};

class SearchFactory {
 public:
  virtual ~SearchFactory() = default;
  virtual std::string name() const = 0;            // the spec's algorithm.name
  virtual bool arrival_order_matters() const = 0;  // true: refused under reproducibility "rerun"
  virtual Result<SearchPlan> preview(const Spec& spec, std::uint64_t partitions) const = 0;
  virtual Result<std::unique_ptr<Search>> create(std::shared_ptr<const Spec> spec, std::uint64_t partitions) const = 0;
};

}  // namespace modelhop
