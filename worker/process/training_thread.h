#pragma once
// TrainingThread: runs units one after another, so that the control thread can answer while one trains. Idle, it
// brings the partitions it was given into memory.
// Threads: its public functions from the control thread; `wake` is called on its own.
// Invariant: each start() is answered by one UnitEnded.
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/store/blob_store.h"
#include "worker/core/worker_core.h"
#include "worker/process/unit_run.h"

namespace modelhop {

class TrainingThread {
 public:
  struct Limits {
    std::uint64_t memory_bytes{};  // of resident partitions
    std::uint64_t kept_bytes{};    // of states kept for `stay`
  };
  // What is referred to outlives the thread.
  TrainingThread(Trainer& trainer, PartitionCache& cache, BlobStore& store, Limits limits, std::function<void()> wake);
  ~TrainingThread();  // drops what runs, at its next batch
  TrainingThread(const TrainingThread&) = delete;
  TrainingThread& operator=(const TrainingThread&) = delete;

  void start(RunUnit run);
  void stop(const Token& token, bool keep);
  void place(Place place);
  bool busy();  // a unit runs, or waits to
  // What happened since the last call: the newest progress, ends, and what was saved of units that had ended.
  std::vector<WorkerEvent> take_events();

 private:
  struct Started {
    RunUnit run;
    UnitStop stop{Stop::kNo};
    std::uint64_t beats{};
  };
  struct Wanted {
    DatasetRef dataset;
    std::optional<PartitionIndex> partition;  // none: the validation set
  };

  void run_on_thread();
  void train_on_thread(Started& started);
  void place_on_thread(const Place& place);
  void prefetch_on_thread(const Wanted& wanted);

  Trainer& trainer_;
  PartitionCache& cache_;
  const Limits limits_;
  const std::function<void()> wake_;
  Hop hop_;                    // the thread's
  std::deque<Wanted> wanted_;  // the thread's

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Started>> units_;  // the front may be running
  std::deque<Place> places_;
  std::optional<UnitProgress> progress_;
  std::vector<UnitEnded> ended_;
  std::vector<StateSaved> saved_;
  bool ending_ = false;
  Saver saver_;         // its thread writes saved_
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace modelhop
