#pragma once
// A small recorded history: two workers, four partitions, three trials: one done, one running after a fault, one
// failed.
#include <string>

#include "common/base/hash.h"
#include "common/spec/spec.h"
#include "scheduler/api/api.h"

namespace modelhop::test {

inline constexpr const char* kSpec = R"({
  "version": 1, "name": "grid", "seed": 7, "dataset": {"name": "digits"},
  "model": {"type": "sequential", "layers": [{"type": "flatten"}, {"type": "linear", "out_features": 10}]},
  "training": {"epochs": 1, "batch_size": 4, "loss": "cross_entropy", "metrics": ["accuracy"], "optimizer": {"name": "sgd", "lr": 0.1}},
  "algorithm": {"name": "grid"}, "metric": {"name": "val_accuracy", "goal": "maximize"},
  "parameters": {"training.optimizer.lr": {"values": [0.1, 0.30000000000000004, 1e-7]}}})";

class Recorded {
 public:
  explicit Recorded(std::int64_t start_ms = 1'000'000, const std::string& first_worker = "w1")
      : core_(CoreConfig{}), at_(start_ms), first_worker_(first_worker) {
    boot();
    experiment();
    run_trial(1, 0.5, 0.9);
    run_trial(2, 0.25, 0.75, /*faulty=*/true);
    fail_trial(3);
  }
  bool live = true;    // false: as read from a stopped service's directory
  bool served = true;  // false: and no scheduler works on it
  const Core& core() const { return core_; }
  Status status() const { return status_; }

  ApiResponse ask(const std::string& path, std::map<std::string, std::string> query = {},
                  const std::string& method = "GET") const {
    const ApiContext context{{kSecond}, {at_}, live, "0.1.0", served};
    return answer(core_, context, {method, path, std::move(query), "", ""});
  }

 private:
  static constexpr std::uint32_t kPartitions = 4;

  void add(RecordBody body) {
    at_ += 1000;
    if (status_.ok()) status_ = core_.apply({++seq_, {at_}, std::move(body)});
  }

  void boot() {
    add(Booted{1});
    for (std::uint32_t worker = 1; worker <= 2; ++worker) {
      WorkerJoined joined;
      joined.worker = {worker};
      joined.name = worker == 1 ? first_worker_ : "w2";
      joined.incarnation.bytes[0] = static_cast<std::uint8_t>(worker);
      joined.profile = hash_bytes(std::string_view("profile"));
      joined.device = "cpu";
      joined.threads = 1;
      add(joined);
    }
    add(DatasetRegistered{"digits", hash_bytes(std::string_view("digits")), {100, 100, 100, 100}, 1000});
    for (std::uint32_t p = 0; p < kPartitions; ++p) add(PartitionPlaced{"digits", {p}, {p % 2 + 1}});
  }

  void experiment() {
    const ParsedSpec parsed = parse_spec(kSpec, nullptr);
    if (!parsed.spec) {
      status_ = invalid(format_problems("spec", parsed.problems));
      return;
    }
    add(ExperimentCreated{{1}, kSpec, parsed.spec->expanded, "digits", hash_bytes(std::string_view("digits")), ""});
    const double rates[] = {0.1, 0.30000000000000004, 1e-7};
    for (std::uint64_t trial = 1; trial <= 3; ++trial) {
      add(TrialCreated{{1},
                       {trial},
                       {{"training.optimizer.lr", rates[trial - 1]}},
                       static_cast<std::uint32_t>(trial % kPartitions),
                       kPartitions,
                       "grid " + std::to_string(trial) + "/3"});
    }
  }

  StateRef state(std::uint64_t trial, std::uint64_t visits) const {
    StateRef ref;
    ref.experiment = {1};
    ref.trial = {trial};
    ref.at.epoch = static_cast<std::uint32_t>(visits / kPartitions);
    ref.at.visit = static_cast<std::uint32_t>(visits % kPartitions);
    ref.at.step = visits * 25;
    ref.at.samples = visits * 100;
    ref.hash = hash_bytes("state " + std::to_string(trial) + " " + std::to_string(visits));
    ref.layout = hash_bytes(std::string_view("layout"));
    ref.size_bytes = 4096;
    return ref;
  }

  UnitLeased lease(std::uint64_t trial, std::uint64_t visit) {
    UnitLeased leased;
    leased.experiment = {1};
    leased.unit = {unit_};
    leased.trial = {trial};
    leased.token = {1, ++token_};
    leased.partition = {static_cast<std::uint32_t>((trial + visit) % kPartitions)};
    leased.worker = {leased.partition.value % 2 + 1};
    leased.incarnation.bytes[0] = static_cast<std::uint8_t>(leased.worker.value);
    leased.visit = visit;
    leased.then_evaluate = visit + 1 == kPartitions;
    return leased;
  }

  void run_trial(std::uint64_t trial, double loss, double accuracy, bool faulty = false) {
    for (std::uint64_t visit = 0; visit < kPartitions; ++visit) {
      ++unit_;
      if (faulty && visit == 1) {
        const UnitLeased lost = lease(trial, visit);
        add(lost);
        add(UnitReleased{{1}, lost.unit, lost.token, Fault::kWorkerLost, "no heartbeat"});
      }
      const UnitLeased leased = lease(trial, visit);
      add(leased);
      UnitFinished finished;
      finished.durable = true;
      finished.experiment = {1};
      finished.unit = leased.unit;
      finished.token = leased.token;
      finished.state = state(trial, visit + 1);
      finished.train = {{"loss", 50, 100}, {"accuracy", 80, 100}};
      finished.times = {1'000'000, 2'000'000, 900'000'000, 0, 3'000'000};
      finished.path = visit == 0 ? HopPath::kInitial : HopPath::kStore;
      add(finished);
    }
    add(TrialEvaluated{{1},
                       {trial},
                       kPartitions,
                       accuracy,
                       {{"loss", loss * 200, 200}, {"accuracy", accuracy * 200, 200}},
                       {{"loss", 200, 400}, {"accuracy", 320, 400}},
                       state(trial, kPartitions)});
    add(TrialEnded{{1}, {trial}, TrialState::kCompleted, ""});
  }

  void fail_trial(std::uint64_t trial) {
    ++unit_;
    const UnitLeased leased = lease(trial, 0);
    add(leased);
    add(UnitReleased{{1}, leased.unit, leased.token, Fault::kUserCode, "loss is \"NaN\", at once"});
    add(TrialEnded{{1}, {trial}, TrialState::kFailed, "loss is \"NaN\", at once"});
  }

  Core core_;
  Status status_;
  std::int64_t at_;
  std::string first_worker_;
  std::uint64_t seq_{}, unit_{}, token_{};
};

}  // namespace modelhop::test
