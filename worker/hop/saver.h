#pragma once
// Saver: puts states into the store while the next unit trains. One after another, so that a later one of a trial is
// never durable before an earlier one; a store that fails is asked again, for as long as it takes.
// Threads: save() and the destructor on one thread (training); `saved` is called on the saver's own. What is not saved
// at the end is dropped: its visit is made again.
// Invariant: at most kSavesWaitingMax states and `bytes_max` bytes wait.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "common/base/limits.h"
#include "common/base/unit.h"
#include "common/state/arena.h"
#include "common/state/state_file.h"
#include "common/store/blob_store.h"

namespace modelhop {

inline constexpr std::int64_t kSaveRetryNs = 1'000'000'000;  // doubled by each failure in a row
inline constexpr std::int64_t kSaveRetryNsMax = 30'000'000'000;

// A published state in memory. While `saving`, nobody may change it.
struct KeptState {
  KeptState(const ContentHash& named, std::unique_ptr<StateArena> state) : hash(named), arena(std::move(state)) {}
  const ContentHash hash;
  std::unique_ptr<StateArena> arena;
  std::atomic<bool> saving{false};
};

// Stores a state under its name. What an earlier attempt left there is kept if it is the same bytes, else replaced.
Status store_state(BlobStore& store, const StateRef& ref, const StateArena& state, StateNaming naming);

class Saver {
 public:
  using Saved = std::function<void(Token token, std::uint64_t save_ns)>;
  Saver(BlobStore& store, std::uint64_t bytes_max, Saved saved);
  ~Saver();
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;

  // False: too much waits already; nothing is done.
  bool save(Token token, const StateRef& ref, StateNaming naming, std::shared_ptr<KeptState> state);

 private:
  struct Job {
    Token token;
    StateRef ref;
    StateNaming naming;
    std::shared_ptr<KeptState> state;
  };
  void run_on_thread();
  bool store_on_thread(const Job& job);  // false: it ends

  BlobStore& store_;
  const std::uint64_t bytes_max_;
  const Saved saved_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // the front is being saved
  std::uint64_t bytes_ = 0;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace modelhop
