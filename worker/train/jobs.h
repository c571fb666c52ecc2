#pragma once
// Jobs: what a worker binary does besides serving a scheduler. Retraining alone, for `exp verify`, and scoring a stored
// state, for `exp best --test`.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/spec/recipe.h"
#include "worker/train/trainer.h"

namespace modelhop {

inline constexpr std::uint64_t kJobDataBytesMax = 4ull << 30;  // partitions a job keeps resident; more are read again

// The shards of one data set of a store, verified when read. Threads: one.
class JobData {
 public:
  static Result<JobData> open(const std::string& store, const std::string& dataset);
  const Manifest& manifest() const { return *manifest_; }
  Result<std::shared_ptr<const Partition>> partition(PartitionIndex index);
  Result<std::shared_ptr<const Partition>> validation();
  Result<std::shared_ptr<const Partition>> test();

 private:
  Result<std::shared_ptr<const Partition>> load(const Shard& shard);

  std::string folder_;
  std::shared_ptr<const Manifest> manifest_;
  std::map<std::string, std::shared_ptr<const Partition>> resident_;
  std::uint64_t resident_bytes_ = 0;
};

// Whose training a forked trial's state comes of: that trial, with its recipe, up to this visit.
struct RetrainBefore {
  TrialId trial;
  std::uint32_t offset{};
  Recipe recipe;
  std::uint64_t until{};
};
struct Retrain {
  std::vector<RetrainBefore> before;  // of a fork: its sources, the first of them from the initial state; by `until`
  TrialId trial;
  std::uint32_t offset{};  // visit k goes to partition (offset + k) mod P
  const Recipe* recipe{};
  std::vector<std::uint64_t> visits;  // where to stop and tell, ascending, from 1
};
struct RetrainedState {
  std::uint64_t visits{};
  ContentHash hash;
  std::vector<Sum> train;       // of the last visit
  std::vector<Sum> validation;  // empty where the data set has no validation set or none was asked for
};
// Trains one trial alone from the initialization of its lineage. Reads no state. `tell` hears of each of `visits` in
// order.
Status retrain(Trainer& trainer, JobData& data, const Retrain& request, bool evaluate,
               const std::function<void(const RetrainedState&)>& tell);

// Evaluates a state file on a shard.
Result<std::vector<Sum>> score(Trainer& trainer, JobData& data, const Recipe& recipe, const std::string& state_path,
                               const Partition& rows);

}  // namespace modelhop
