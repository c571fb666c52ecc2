#pragma once
// One unit from its lease to its report: partition, parent state, training, evaluation, publication.
// Threads: the training thread; UnitStop is written by the control thread.
#include <atomic>
#include <functional>

#include "common/base/status.h"
#include "common/wire/messages.h"
#include "worker/data/partition_cache.h"
#include "worker/hop/hop.h"
#include "worker/train/trainer.h"

namespace modelhop {

struct UnitContext {
  Trainer& trainer;
  PartitionCache& cache;
  Hop& hop;
  Saver& saver;
};

// How a running unit is told to stop at its next batch. A later kDrop overrides kKeep.
enum class Stop : std::uint8_t { kNo, kKeep, kDrop };
using UnitStop = std::atomic<Stop>;

// Never fails: what goes wrong is the report's fault. A unit stopped with kKeep says `yielded` and the state reached;
// with kDrop, nothing.
UnitReport run_unit(const UnitContext& context, const RunUnit& run, const UnitStop& stop,
                    const std::function<void(const Cursor&)>& progress);

// Where in a unit something failed: the same code means another fault in a state than in the data.
enum class Stage : std::uint8_t { kData, kRecipe, kState, kTraining };
Fault fault_of(const Status& status, Stage stage);

}  // namespace modelhop
