// The backends that need no network: a stopped service's journal, and the scheduler in this process.
#include <condition_variable>
#include <mutex>

#include "cli/backend.h"
#include "common/base/version.h"
#include "common/store/journal.h"
#include "scheduler/server/garbage.h"
#include "scheduler/server/recovery.h"

namespace modelhop::cli {
namespace {

// A state that does not change any more.
class CoreBackend : public Backend {
 public:
  // `served`: whether what is unfinished in it goes on. `at`: the time it is shown for; none: now. `store`: where its
  // states lie; empty: nobody knows any more.
  CoreBackend(std::unique_ptr<Core> core, std::string name, bool served, std::optional<WallMs> at, std::string store)
      : core_(std::move(core)), name_(std::move(name)), served_(served), at_(at), store_(std::move(store)) {}

  Result<ApiResponse> ask(const ApiRequest& request) override {
    if (request.method == "POST" && request.path == "/api/v1/checkpoints:gc") return look_for_garbage(request.body);
    if (request.method != "GET") {
      return conflict(name_ +
                      " is read-only here: start `modelhop scheduler` on it and use --server to change anything");
    }
    const ApiContext context{monotonic_now(), at_.value_or(wall_now()), false, kModelhopVersion, served_};
    return answer(*core_, context, request);
  }

  Result<std::vector<RecordLine>> follow(ExperimentId, std::uint64_t, std::uint32_t) override {
    return std::vector<RecordLine>{};
  }

  bool live() const override { return false; }
  std::string describe() const override { return name_; }

 private:
  Result<ApiResponse> look_for_garbage(const std::string& body) {
    ASSIGN_OR_RETURN(const GarbageRequest wanted, parse_garbage_request(body));
    if (!wanted.dry_run || store_.empty()) {
      return conflict(name_ + " is read-only here, and only its scheduler may delete: " +
                      (served_ ? "ask the one that works on it with --server"
                               : "start `modelhop scheduler` on it and ask that with --server") +
                      ", or see what there is with --dry-run");
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<BlobStore> store, open_store_to_look(store_));
    ASSIGN_OR_RETURN(const GarbageListing listing,
                     list_garbage(*store, core_->state().cluster, wanted.after, wall_now()));
    const Json answer = garbage_json(judge_garbage(*core_, listing), core_->state().cluster, true);
    return ApiResponse{200, "application/json", dump(answer)};
  }

  const std::unique_ptr<Core> core_;
  const std::string name_;
  const bool served_;
  const std::optional<WallMs> at_;
  const std::string store_;
};

class ServiceBackend final : public Backend {
 public:
  explicit ServiceBackend(Service& service) : service_(service) {
    watch_ = service_.watch([this](std::uint64_t seq) {
      const std::lock_guard lock(mutex_);
      newest_ = std::max(newest_, seq);
      changed_.notify_all();
    });
  }
  ~ServiceBackend() override { service_.unwatch(watch_); }

  Result<ApiResponse> ask(const ApiRequest& request) override {
    // Shared with the service, whose answer may come after this call gave up.
    struct Answer {
      std::mutex mutex;
      std::condition_variable came;
      std::optional<ApiResponse> response;
    };
    const auto waiting = std::make_shared<Answer>();
    service_.ask(request, [waiting](ApiResponse response) {
      const std::lock_guard lock(waiting->mutex);
      waiting->response = std::move(response);
      waiting->came.notify_all();
    });
    std::unique_lock lock(waiting->mutex);
    if (!waiting->came.wait_for(lock, std::chrono::seconds(30), [&] { return waiting->response.has_value(); })) {
      return Status{Code::kTimeout, "the scheduler did not answer " + request.path + " within 30 s"};
    }
    return std::move(*waiting->response);
  }

  Result<std::vector<RecordLine>> follow(ExperimentId experiment, std::uint64_t after,
                                         std::uint32_t timeout_ms) override {
    auto lines = service_.records(after, experiment, kLinesAtOnce);
    if (!lines.empty()) return lines;
    std::unique_lock lock(mutex_);
    const std::uint64_t seen = newest_;
    changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return newest_ > seen; });
    lock.unlock();
    return service_.records(after, experiment, kLinesAtOnce);
  }

  bool live() const override { return true; }
  std::string describe() const override { return "this scheduler"; }

 private:
  static constexpr std::size_t kLinesAtOnce = 256;
  Service& service_;
  std::uint64_t watch_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t newest_{};
};

}  // namespace

Result<std::unique_ptr<Backend>> open_state_dir(const std::string& state_dir, const std::string& store) {
  const bool served = journal_held(state_dir);
  ASSIGN_OR_RETURN(Recovery recovery, recover(state_dir, CoreConfig{}));
  return std::unique_ptr<Backend>(std::make_unique<CoreBackend>(std::move(recovery.core),
                                                                "state directory " + state_dir, served, std::nullopt,
                                                                store.empty() ? state_dir + "/store" : store));
}

std::unique_ptr<Backend> open_past(std::unique_ptr<Core> core, const std::string& name) {
  const WallMs at = core->state().at;
  return std::make_unique<CoreBackend>(std::move(core), name, true, at, "");
}

std::unique_ptr<Backend> open_service(Service& service) { return std::make_unique<ServiceBackend>(service); }

}  // namespace modelhop::cli
