#pragma once
// A journal as a busy service writes it: grid searches over a data set, two workers that finish, yield, fail and die.
#include <algorithm>
#include <string>
#include <vector>

#include "common/base/hash.h"
#include "scheduler/core/core.h"

namespace modelhop::test {

inline std::string grid_spec(std::uint64_t trials, std::uint64_t epochs) {
  std::string rates;
  for (std::uint64_t i = 1; i <= trials; ++i) rates += (i > 1 ? "," : "") + std::to_string(i) + "e-5";
  return R"({"version": 1, "name": "grid", "seed": 7, "dataset": {"name": "digits"},
  "model": {"type": "sequential", "layers": [{"type": "flatten"}, {"type": "linear", "out_features": 10}]},
  "training": {"epochs": )" +
         std::to_string(epochs) +
         R"(, "batch_size": 4, "loss": "cross_entropy", "metrics": ["accuracy"],
               "optimizer": {"name": "sgd", "lr": 0.1}},
  "algorithm": {"name": "grid"}, "metric": {"name": "val_accuracy", "goal": "maximize"}, "max_restarts": 9,
  "parameters": {"training.optimizer.lr": {"values": [)" +
         rates + R"(]}}})";
}

class History {
 public:
  static constexpr std::uint32_t kPartitions = 8;
  History() : core(CoreConfig{}) {
    check(core.begin_serving(1, now_, wall(), actions_));
    take();
    hello(1);
    hello(2);
  }

  void create(std::uint64_t trials, std::uint64_t epochs) {
    const std::string text = grid_spec(trials, epochs);
    const ParsedSpec parsed = parse_spec(text, nullptr);
    require(parsed.spec != nullptr);
    CreateExperiment event;
    event.spec_sent = text;
    event.spec = parsed.spec;
    event.dataset = {"digits", hash_bytes(std::string_view("digits")), std::vector<std::uint64_t>(kPartitions, 100),
                     1'000};
    step(event);
  }
  void hello(unsigned worker) {
    WorkerHello event;
    event.name = "w" + std::to_string(worker);
    event.incarnation = incarnation(worker);
    event.profile = hash_bytes(std::string_view("profile"));
    event.device = "cpu";
    event.threads = 1;
    event.memory_bytes = 1 << 30;
    step(event);
  }
  void die(unsigned worker) {
    step(WorkerGone{incarnation(worker), "killed"});
    ++lives_[worker];
  }
  void control(ExperimentId id, Control what) { step(ControlExperiment{{}, id, what}); }
  void wait(std::int64_t ns) {
    now_ = now_ + ns;
    step(Tick{});
  }

  enum class How { kFinish, kYield, kFail };
  // Ends the oldest open lease. False: none is open.
  bool end_lease(How how = How::kFinish) {
    for (const ExperimentRow& row : core.state().experiments) {
      if (row.ended()) continue;
      const auto open = std::find_if(row.units.rbegin(), row.units.rend(),
                                     [](const UnitRow& unit) { return unit.state == UnitState::kLeased; });
      if (open == row.units.rend()) continue;
      const LeaseRow lease = row.leases[open->lease];
      UnitReport report;
      report.experiment = row.id;
      report.unit = lease.unit;
      report.token = lease.token;
      if (how == How::kFail) {
        report.fault = Fault::kUserCode;
        report.detail = "ValueError: a line of its traceback";
      } else {
        report.members.push_back(result(row, lease, how == How::kYield));
        report.times = {1'000'000, 2'000'000, 300'000'000, lease.then_evaluate ? 50'000'000u : 0u, 4'000'000};
        report.path = HopPath::kStore;
      }
      now_ = now_ + 150 * kMillisecond;
      step(UnitDone{lease.incarnation, report});
      return true;
    }
    return false;
  }
  // Until there are so many records, at least: experiment after experiment.
  void run_to(std::uint64_t count) {
    while (records.size() < count) {
      if (!end_lease()) create(200, 10);
    }
  }

  Core core;
  std::vector<Record> records;

 private:
  static void check(const Status& status) { require(status.ok()); }
  static void require(bool holds) { MODELHOP_CHECK(holds); }
  WallMs wall() const { return {1'795'250'460'000 + now_.ns / kMillisecond}; }
  Incarnation incarnation(unsigned worker) const {
    Incarnation result;
    result.bytes = {static_cast<std::uint8_t>(worker), static_cast<std::uint8_t>(lives_[worker] + 1)};
    return result;
  }
  static MemberResult result(const ExperimentRow& row, const LeaseRow& lease, bool yields) {
    const TrialRow& trial = row.trials[lease.trial.value - 1];
    MemberResult member;
    member.durable = true;
    member.yielded = yields;
    member.state = trial.head;
    Cursor& at = member.state.at;
    if (yields) {
      at.batch += 5;
      at.step += 5;
    } else {
      at.step += 25 - at.batch;
      at.batch = 0;
      if (++at.visit == row.partitions) at.visit = 0, ++at.epoch;
    }
    at.samples = at.step * 4;
    member.state.hash = hash_bytes("state " + to_string(row.id, trial.id) + " " + std::to_string(at.step));
    member.state.layout = hash_bytes(std::string_view("layout"));
    member.state.size_bytes = 31'400;
    member.train = {{"loss", 0.1 + 1.0 / static_cast<double>(at.step), 100}, {"accuracy", 61, 100}};
    if (lease.then_evaluate && !yields) {
      const double accuracy = static_cast<double>(50 + trial.id.value % 40) + static_cast<double>(at.epoch);
      member.validation = {{"loss", 33.25, 100}, {"accuracy", accuracy, 100}};
    }
    return member;
  }
  void step(const Event& event) {
    core.step(now_, wall(), event, actions_);
    take();
  }
  void take() {
    std::vector<StateRef> gone;
    for (Record& record : actions_.records) records.push_back(std::move(record));
    for (const DeleteState& one : actions_.deletes) gone.push_back(one.state);
    actions_ = {};
    for (const StateRef& state : gone) step(StateGone{state});
  }

  Instant now_{kSecond};
  Actions actions_;
  std::uint8_t lives_[8]{};
};

}  // namespace modelhop::test
