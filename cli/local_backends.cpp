// The backends that need no network: a stopped service's journal, and the scheduler in this process.
#include <condition_variable>
#include <mutex>

#include "cli/backend.h"
#include "common/base/version.h"
#include "common/store/journal.h"
#include "scheduler/server/recovery.h"

namespace modelhop::cli {
namespace {

class StateDirBackend final : public Backend {
 public:
  explicit StateDirBackend(std::string state_dir)
      : state_dir_(std::move(state_dir)), served_(journal_held(state_dir_)) {}

  Status read() {
    ASSIGN_OR_RETURN(Recovery recovery, recover(state_dir_, CoreConfig{}));
    core_ = std::move(recovery.core);
    return {};
  }

  Result<ApiResponse> ask(const ApiRequest& request) override {
    if (request.method != "GET") {
      return conflict("state directory " + state_dir_ +
                      " is read-only here: start `modelhop scheduler` on it and use --server to change anything");
    }
    const ApiContext context{monotonic_now(), wall_now(), false, kModelhopVersion, served_};
    return answer(*core_, context, request);
  }

  Result<std::vector<RecordLine>> follow(ExperimentId, std::uint64_t, std::uint32_t) override {
    return std::vector<RecordLine>{};
  }

  bool live() const override { return false; }
  std::string describe() const override { return "state directory " + state_dir_; }

 private:
  const std::string state_dir_;
  const bool served_;
  std::unique_ptr<Core> core_;
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

Result<std::unique_ptr<Backend>> open_state_dir(const std::string& state_dir) {
  auto backend = std::make_unique<StateDirBackend>(state_dir);
  RETURN_IF_ERROR(backend->read());
  return std::unique_ptr<Backend>(std::move(backend));
}

std::unique_ptr<Backend> open_service(Service& service) { return std::make_unique<ServiceBackend>(service); }

}  // namespace modelhop::cli
