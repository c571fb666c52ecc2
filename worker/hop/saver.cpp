#include "worker/hop/saver.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "common/base/thread_name.h"
#include "common/base/time.h"

namespace modelhop {
namespace {

bool equal(std::span<const std::uint8_t> file, std::span<const std::span<const std::uint8_t>> pieces) {
  for (const auto piece : pieces) {
    if (file.size() < piece.size() || !std::equal(piece.begin(), piece.end(), file.begin())) return false;
    file = file.subspan(piece.size());
  }
  return file.empty();
}

}  // namespace

Status store_state(BlobStore& store, const StateRef& ref, const StateArena& state, StateNaming naming) {
  StateRef named = ref;
  named.size_bytes = 0;
  const std::vector<std::uint8_t> header = encode_state_header(state.layout(), named);
  const std::array<std::span<const std::uint8_t>, 2> pieces = {header, state.bytes()};
  const std::string name = state_blob_name(ref, naming);
  ASSIGN_OR_RETURN(const Put put, store.create(name, pieces));
  if (put == Put::kCreated) return {};
  // Made before, by an attempt that was not counted: the same bytes, unless the disk spoiled them since.
  const Result<std::vector<std::uint8_t>> there = store.read(name, ref.size_bytes);
  if (there.ok() && equal(*there, pieces)) return {};
  return store.replace(name, pieces);
}

Saver::Saver(BlobStore& store, std::uint64_t bytes_max, Saved saved)
    : store_(store), bytes_max_(bytes_max), saved_(std::move(saved)), thread_([this] { run_on_thread(); }) {}

Saver::~Saver() {
  {
    std::lock_guard guard(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool Saver::save(Token token, const StateRef& ref, StateNaming naming, std::shared_ptr<KeptState> state) {
  {
    std::lock_guard guard(mutex_);
    if (jobs_.size() >= kSavesWaitingMax || bytes_ + ref.size_bytes > bytes_max_) return false;
    state->saving.store(true);
    bytes_ += ref.size_bytes;
    jobs_.push_back({token, ref, naming, std::move(state)});
  }
  changed_.notify_all();
  return true;
}

void Saver::run_on_thread() {
  name_thread("save");
  sigset_t signals;  // are for the control thread
  ::sigfillset(&signals);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  for (;;) {
    Job job;
    {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [&] { return ending_ || !jobs_.empty(); });
      if (ending_) return;
      job = jobs_.front();
    }
    const Instant from = monotonic_now();
    if (!store_on_thread(job)) return;
    job.state->saving.store(false, std::memory_order_release);  // all that was read of it was read before
    {
      std::lock_guard guard(mutex_);
      jobs_.pop_front();
      bytes_ -= job.ref.size_bytes;
    }
    saved_(job.token, static_cast<std::uint64_t>(monotonic_now() - from));
  }
}

bool Saver::store_on_thread(const Job& job) {
  for (std::int64_t wait_ns = kSaveRetryNs;; wait_ns = std::min(2 * wait_ns, kSaveRetryNsMax)) {
    const Status status = store_state(store_, job.ref, *job.state->arena, job.naming);
    if (status.ok()) return true;
    std::fprintf(stderr, "%s saving a state: %s; trying again\n", to_iso8601(wall_now()).c_str(),
                 status.message().c_str());
    std::unique_lock guard(mutex_);
    if (changed_.wait_for(guard, std::chrono::nanoseconds(wait_ns), [&] { return ending_; })) return false;
  }
}

}  // namespace modelhop
