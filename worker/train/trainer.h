#pragma once
// Trainer: trains one unit. Torch-free on purpose: everything above it (process, hop, jobs) is tested under
// ThreadSanitizer with a trainer that has no torch inside.
#include <functional>
#include <memory>
#include <span>

#include "common/base/status.h"
#include "common/base/unit.h"
#include "common/spec/recipe.h"
#include "common/state/arena.h"
#include "worker/data/partition.h"

namespace modelhop {

struct UnitControl {  // asked and told at batch boundaries, on the training thread
  std::function<bool()> yield_now;
  std::function<void(const Cursor&)> progress;
};

struct VisitRequest {
  TrialId trial;  // keys the random streams
  PartitionIndex partition;
  std::uint32_t partitions{};  // P
  const Recipe* recipe{};
  const Manifest* manifest{};
  const Partition* data{};
  std::span<const Sum> train_before{};  // of this visit's batches before the cursor, where a unit goes on
};

struct VisitResult {
  bool yielded{};
  std::vector<Sum> train;  // "loss" and the recipe's metrics over the visit so far, train_before included
};

class Trainer {
 public:
  virtual ~Trainer() = default;
  // Hash of all that bits depend on: build, device, threads, ISA.
  virtual ContentHash numeric_profile() const = 0;
  // The recipe's state, its hash and size; cheap enough to call for each unit.
  virtual Result<std::shared_ptr<const StateLayout>> layout(const Recipe& recipe, const Manifest& manifest) = 0;
  // Fills parameters and buffers from (recipe.seed, trial); moments zero; cursor zero.
  virtual Status initialize(const Recipe& recipe, const Manifest& manifest, TrialId trial, StateArena& state) = 0;
  // Runs batches from state.cursor to the end of the visit, or to the first batch boundary where yield_now() says so.
  // Stopping and going on at any batch gives the same bits. An error leaves `state` undefined.
  virtual Result<VisitResult> train(const VisitRequest& request, StateArena& state, const UnitControl& control) = 0;
  // Sums of "loss" and the recipe's metrics over all rows, in row order, in evaluation mode. Leaves `state` as it is.
  // Runs to its end: yield_now() is not asked, progress() is told after each batch.
  virtual Result<std::vector<Sum>> evaluate(const Recipe& recipe, const Manifest& manifest, const Partition& data,
                                            StateArena& state, const UnitControl& control) = 0;
};

// The LibTorch trainer; `threads` intra-op threads. One per process.
std::unique_ptr<Trainer> make_torch_trainer(unsigned threads);

}  // namespace modelhop
