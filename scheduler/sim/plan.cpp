#include "scheduler/sim/plan.h"

#include <algorithm>

#include "common/base/rng.h"

namespace modelhop::sim {

const char* to_string(FaultKind kind) {
  static constexpr const char* kNames[kFaultKinds] = {"message_lost",
                                                      "message_delayed",
                                                      "message_doubled",
                                                      "message_reordered",
                                                      "worker_killed",
                                                      "worker_returned",
                                                      "worker_hung",
                                                      "worker_deaf",
                                                      "worker_mute",
                                                      "worker_cut",
                                                      "worker_killed_between",
                                                      "worker_doubled",
                                                      "trainer_hung",
                                                      "worker_drained",
                                                      "worker_gone",
                                                      "scheduler_crash",
                                                      "scheduler_drain",
                                                      "scheduler_killed_between",
                                                      "scheduler_hung",
                                                      "clock_jumped",
                                                      "slow_disk",
                                                      "slow_store",
                                                      "state_damaged",
                                                      "user_fault",
                                                      "poison_trial",
                                                      "poison_unit",
                                                      "pause",
                                                      "trial_pause",
                                                      "worker_drain_asked",
                                                      "experiment_stop",
                                                      "experiment_cancel",
                                                      "trial_retry",
                                                      "gc",
                                                      "fork",
                                                      "extend"};
  return kNames[static_cast<std::size_t>(kind)];
}

namespace {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : rng_(seed, Purpose::kSimulator, 1) {}
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + rng_.below(high - low + 1); }
  std::uint32_t small(std::uint64_t low, std::uint64_t high) { return static_cast<std::uint32_t>(between(low, high)); }
  std::int64_t ms(std::uint64_t low, std::uint64_t high) {
    return static_cast<std::int64_t>(between(low, high)) * kMillisecond;
  }
  bool percent(std::uint64_t p) { return rng_.below(100) < p; }

 private:
  KeyedRng rng_;
};

PlannedExperiment draw_experiment(Draw& draw, bool crowded, char number, std::uint64_t trials, std::uint64_t epochs,
                                  std::uint32_t partitions) {
  PlannedExperiment experiment;
  Spec spec;
  spec.name = "sim";
  spec.dataset = "data";
  spec.epochs = epochs;
  spec.evaluate_every = draw.between(1, 2);
  spec.metric = draw.percent(80) ? "val_loss" : "train_loss";
  spec.maximize = draw.percent(30);
  spec.metric_scope = draw.percent(50) ? MetricScope::kLast : MetricScope::kBest;
  spec.max_restarts = 1000;
  spec.reproducibility = draw.percent(70) ? Reproducibility::kRerun : Reproducibility::kVerify;
  spec.save_experiment_best = draw.between(1, 2);
  spec.save_trial_best = draw.between(0, 2);
  spec.save_trial_latest = crowded && draw.percent(60) ? 0 : draw.between(0, 2);
  if (draw.percent(30)) spec.max_work_at_risk_ms = draw.between(100, 1'500);
  if (draw.percent(30)) spec.max_concurrent_trials = draw.between(1, trials);
  if (draw.percent(20)) {
    StopRule patience;
    patience.patience = draw.between(1, 2);
    spec.stop.push_back(patience);
  }
  experiment.trials = trials;
  spec.max_trials = trials;
  experiment.extended = {trials + draw.between(0, 3), 0, epochs + draw.between(0, 2)};
  if (draw.percent(20)) experiment.search_stops_every = draw.between(2, 5);
  experiment.delete_at_end = draw.percent(20);
  // A search forgets what it wanted of a trial that ended.
  experiment.retry = draw.percent(crowded ? 95 : 60) && experiment.search_stops_every == 0;
  if (draw.percent(40)) {
    experiment.poison.kind = static_cast<Poison::Kind>(draw.between(1, 3));
    experiment.poison.trial = {draw.between(1, trials)};
    experiment.poison.visit = draw.between(0, epochs * partitions - 1);
    if (experiment.poison.kind != Poison::kKills) spec.max_restarts = draw.between(0, 2);
  }
  spec.expanded = std::string("sim ") + number;  // what finds the plan again in replay
  experiment.spec = std::make_shared<const Spec>(std::move(spec));
  return experiment;
}

struct Share {
  std::uint64_t percent, most;
};
struct Menu {
  FaultKind kind;
  Share usual, crowded;
  std::uint64_t lasts_ms_min, lasts_ms_max;
};
constexpr Menu kMenu[] = {
    {FaultKind::kWorkerKilled, {45, 4}, {45, 4}, 50, 12'000},
    {FaultKind::kWorkerHung, {30, 2}, {30, 2}, 500, 15'000},
    {FaultKind::kWorkerDeaf, {30, 2}, {30, 2}, 1'000, 10'000},
    {FaultKind::kWorkerMute, {25, 2}, {25, 2}, 1'000, 10'000},
    {FaultKind::kWorkerCut, {25, 2}, {25, 2}, 1'000, 10'000},
    {FaultKind::kWorkerKilledBetween, {25, 3}, {25, 3}, 50, 8'000},
    {FaultKind::kWorkerDoubled, {20, 2}, {20, 2}, 0, 0},
    {FaultKind::kTrainerHung, {60, 3}, {60, 3}, 0, 0},
    {FaultKind::kWorkerDrained, {25, 2}, {25, 2}, 50, 5'000},
    {FaultKind::kWorkerGoneForGood, {25, 2}, {45, 4}, 0, 0},
    {FaultKind::kSchedulerCrashed, {45, 3}, {45, 3}, 50, 4'000},
    {FaultKind::kSchedulerDrained, {20, 1}, {20, 1}, 50, 2'000},
    {FaultKind::kSchedulerKilledBetween, {30, 3}, {30, 3}, 50, 3'000},
    {FaultKind::kSchedulerHung, {25, 2}, {25, 2}, 500, 25'000},
    {FaultKind::kClockJumped, {20, 3}, {20, 3}, 1'000, 40'000'000},
    {FaultKind::kSlowDisk, {25, 2}, {25, 2}, 500, 4'000},
    {FaultKind::kSlowStore, {25, 2}, {25, 2}, 500, 8'000},
    {FaultKind::kStateDamaged, {35, 2}, {85, 8}, 0, 0},
    {FaultKind::kPause, {20, 2}, {20, 2}, 200, 6'000},
    {FaultKind::kTrialPause, {20, 3}, {70, 6}, 200, 6'000},
    {FaultKind::kWorkerDrainAsked, {20, 2}, {20, 2}, 200, 8'000},
    {FaultKind::kStop, {16, 1}, {45, 1}, 0, 0},
    {FaultKind::kCancel, {16, 1}, {45, 1}, 0, 0},
    {FaultKind::kGarbageCollected, {60, 6}, {90, 20}, 0, 0},
    {FaultKind::kFork, {30, 3}, {90, 8}, 0, 0},
    {FaultKind::kExtend, {25, 1}, {70, 2}, 0, 0},
};

void draw_faults(Draw& draw, bool crowded, Plan& plan) {
  for (const Menu& menu : kMenu) {
    const Share& share = crowded ? menu.crowded : menu.usual;
    if (!draw.percent(share.percent)) continue;
    for (std::uint64_t n = draw.between(1, share.most); n > 0; --n) {
      PlannedFault fault;
      fault.at_ns = static_cast<std::int64_t>(draw.between(0, static_cast<std::uint64_t>(plan.horizon_ns)));
      fault.kind = menu.kind;
      const bool of_worker = menu.kind < FaultKind::kSchedulerCrashed || menu.kind == FaultKind::kWorkerDrainAsked;
      fault.target = draw.small(0, of_worker ? plan.workers - 1 : plan.experiments.size() - 1);
      if (menu.kind == FaultKind::kTrialPause) fault.target = draw.small(1, 8);
      fault.lasts_ns = draw.ms(menu.lasts_ms_min, menu.lasts_ms_max);
      if (menu.kind == FaultKind::kWorkerGoneForGood && fault.target < plan.profiles)
        continue;  // somebody has to be left
      plan.faults.push_back(fault);
    }
  }
  std::stable_sort(plan.faults.begin(), plan.faults.end(),
                   [](const PlannedFault& a, const PlannedFault& b) { return a.at_ns < b.at_ns; });
  if (draw.percent(40)) plan.lost_permille = draw.small(1, 150);
  if (draw.percent(40)) plan.delayed_permille = draw.small(1, 50);
  if (draw.percent(40)) plan.doubled_permille = draw.small(1, 100);
  if (draw.percent(40)) plan.reordered_permille = draw.small(1, 200);
  bool poisoned = false;
  for (const PlannedExperiment& e : plan.experiments) {
    poisoned |= e.poison.kind == Poison::kFaults || e.poison.kind == Poison::kInvalid;
  }
  if (!poisoned && draw.percent(65)) plan.user_fault_permille = draw.small(5, 100);
}

}  // namespace

Plan make_plan(std::uint64_t seed) {
  Draw draw(seed);
  Plan plan;
  plan.seed = seed;
  // In some plans, deeds on states and trials crowd, so that each meets every other while it is under way.
  const bool crowded = draw.percent(30);
  plan.workers = draw.small(1, 8);
  plan.partitions = draw.small(1, 8);
  const std::uint64_t trials = draw.between(1, 16);
  const std::uint64_t epochs = draw.between(1, 4);
  if (plan.workers > 1 && draw.percent(20)) plan.profiles = 2;
  plan.config.heartbeat_ms = 1'000;
  plan.config.lease_ttl_ms = 4'000;
  plan.config.worker_lost_ms = 6'000;
  plan.config.stall_ms = 20'000;
  plan.config.replace_after_ms = 8'000;
  plan.config.settle_ms = 2'000;
  plan.config.workers_expected = draw.small(1, plan.workers);
  plan.config.replicas = draw.small(1, 2);
  plan.config.unit_worker_deaths_max = 1'000;
  const std::uint64_t second = trials > 1 && draw.percent(20) ? draw.between(1, trials - 1) : 0;
  plan.experiments.push_back(draw_experiment(draw, crowded, '0', trials - second, epochs, plan.partitions));
  if (second > 0)
    plan.experiments.push_back(draw_experiment(draw, crowded, '1', second, draw.between(1, epochs), plan.partitions));
  for (const PlannedExperiment& e : plan.experiments) {
    if (e.poison.kind == Poison::kKills) plan.config.unit_worker_deaths_max = draw.small(1, 3);
  }
  for (std::uint32_t p = 0; p < plan.partitions; ++p) plan.batches.push_back(draw.small(2, 6));
  for (std::uint32_t w = 0; w < plan.workers; ++w) plan.batch_ns.push_back(draw.ms(30, draw.percent(20) ? 600 : 150));
  const std::uint64_t alone_ms = trials * epochs * plan.partitions * 400 / std::min(plan.workers, plan.partitions);
  plan.horizon_ns = draw.ms(2'000, 4'000 + alone_ms);
  draw_faults(draw, crowded, plan);
  return plan;
}

Plan make_lossy_plan(std::uint64_t seed) {
  Plan plan;
  plan.seed = seed;
  plan.workers = plan.partitions = 4;
  plan.config.workers_expected = plan.workers;
  Spec spec;
  spec.name = "lossy";
  spec.dataset = "data";
  spec.metric = "val_loss";
  spec.epochs = 36;
  spec.expanded = "sim 0";
  spec.max_trials = 16;
  PlannedExperiment experiment;
  experiment.trials = *spec.max_trials;
  experiment.spec = std::make_shared<const Spec>(std::move(spec));
  plan.experiments.push_back(std::move(experiment));
  plan.batches.assign(plan.partitions, 6);
  plan.batch_ns.assign(plan.workers, 10 * kSecond);
  plan.horizon_ns = static_cast<std::int64_t>(kLossyHours) * 3'600 * kSecond;
  plan.latency_us_max = 500'000;
  plan.lost_permille = 200;
  plan.check_every = 1'000;
  return plan;
}

}  // namespace modelhop::sim
