#include "worker/process/training_thread.h"

#include <signal.h>

#include <algorithm>
#include <cstdio>

#include "common/base/thread_name.h"

namespace modelhop {

TrainingThread::TrainingThread(Trainer& trainer, PartitionCache& cache, BlobStore& store, Limits limits,
                               std::function<void()> wake)
    : trainer_(trainer),
      cache_(cache),
      limits_(limits),
      wake_(std::move(wake)),
      hop_(store, limits.kept_bytes),
      saver_(store, limits.kept_bytes,
             [this](Token token, std::uint64_t save_ns) {
               {
                 std::lock_guard guard(mutex_);
                 saved_.push_back({token, save_ns});
               }
               wake_();
             }),
      thread_([this] { run_on_thread(); }) {}

TrainingThread::~TrainingThread() {
  {
    std::lock_guard guard(mutex_);
    ending_ = true;
    for (const auto& unit : units_) unit->stop.store(Stop::kDrop);
  }
  changed_.notify_all();
  thread_.join();
}

void TrainingThread::start(RunUnit run) {
  auto started = std::make_shared<Started>();
  started->run = std::move(run);
  {
    std::lock_guard guard(mutex_);
    units_.push_back(std::move(started));
  }
  changed_.notify_all();
}

void TrainingThread::stop(const Token& token, bool keep) {
  std::lock_guard guard(mutex_);
  for (const auto& unit : units_) {
    if (unit->run.lease.token != token) continue;
    if (unit->stop.load() != Stop::kDrop) unit->stop.store(keep ? Stop::kKeep : Stop::kDrop);
  }
}

void TrainingThread::place(Place place) {
  {
    std::lock_guard guard(mutex_);
    places_.push_back(std::move(place));
  }
  changed_.notify_all();
}

bool TrainingThread::busy() {
  std::lock_guard guard(mutex_);
  return !units_.empty();
}

std::vector<WorkerEvent> TrainingThread::take_events() {
  std::lock_guard guard(mutex_);
  std::vector<WorkerEvent> events;
  if (progress_) events.emplace_back(*progress_);
  progress_.reset();
  for (UnitEnded& ended : ended_) events.emplace_back(std::move(ended));
  ended_.clear();
  std::erase_if(saved_, [&](const StateSaved& saved) {
    const bool runs = std::any_of(units_.begin(), units_.end(),
                                  [&](const auto& unit) { return unit->run.lease.token == saved.token; });
    if (!runs) events.emplace_back(saved);
    return !runs;
  });
  return events;
}

void TrainingThread::run_on_thread() {
  name_thread("train");
  sigset_t signals;  // are for the control thread
  ::sigfillset(&signals);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  for (;;) {
    std::deque<Place> places;
    std::shared_ptr<Started> unit;
    {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [&] { return ending_ || !units_.empty() || !places_.empty() || !wanted_.empty(); });
      if (ending_) return;
      places.swap(places_);
      if (!units_.empty()) unit = units_.front();
    }
    for (const Place& place : places) place_on_thread(place);
    if (unit) {
      train_on_thread(*unit);
    } else if (!wanted_.empty()) {
      const Wanted next = wanted_.front();
      wanted_.pop_front();
      prefetch_on_thread(next);
    }
  }
}

void TrainingThread::train_on_thread(Started& started) {
  UnitReport report = run_unit({trainer_, cache_, hop_, saver_}, started.run, started.stop, [&](const Cursor& at) {
    std::lock_guard guard(mutex_);
    progress_ = UnitProgress{started.run.lease.token, at, ++started.beats};
  });
  {
    std::lock_guard guard(mutex_);
    units_.pop_front();
    ended_.push_back({std::move(report)});
  }
  wake_();
}

void TrainingThread::place_on_thread(const Place& place) {
  const DatasetRef dataset{place.dataset, place.identity};
  std::erase_if(wanted_, [&](const Wanted& wanted) { return wanted.dataset.name == place.dataset; });
  // A unit that needs what could not be placed says so; until then it is nobody's fault.
  if (const Status status = cache_.place(dataset, place.partitions); !status.ok()) {
    std::fprintf(stderr, "placing %s: %s\n", place.dataset.c_str(), status.message().c_str());
    return;
  }
  for (const PartitionIndex partition : place.partitions) wanted_.push_back({dataset, partition});
  if (!place.partitions.empty()) wanted_.push_back({dataset, std::nullopt});
}

// Only what fits beside what is there: to load one by dropping another gains nothing.
void TrainingThread::prefetch_on_thread(const Wanted& wanted) {
  const Result<std::shared_ptr<const Manifest>> manifest = cache_.manifest(wanted.dataset);
  if (!manifest.ok()) return;
  const Shard* shard = nullptr;
  if (!wanted.partition) {
    if ((*manifest)->validation) shard = &*(*manifest)->validation;
  } else if (wanted.partition->value < (*manifest)->partitions.size()) {
    shard = &(*manifest)->partitions[wanted.partition->value];
  }
  if (shard == nullptr || cache_.live_bytes() + shard->size_bytes > limits_.memory_bytes) return;
  (void)(wanted.partition ? cache_.get(wanted.dataset, *wanted.partition) : cache_.validation(wanted.dataset));
}

}  // namespace modelhop
