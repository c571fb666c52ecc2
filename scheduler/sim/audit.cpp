#include "scheduler/sim/audit.h"

#include <algorithm>

namespace modelhop::sim {
namespace {

template <class... F>
struct Match : F... {
  using F::operator()...;
};
template <class... F>
Match(F...) -> Match<F...>;

}  // namespace

void Auditor::on_record(Instant now, const Record& record) {
  std::visit(Match{
                 [&](const ExperimentCreated&) { experiments_.emplace_back(); },
                 [&](const TrialCreated& r) {
                   experiments_[r.experiment.value - 1].push_back({r.offset, 0, {}, false, 0, {}});
                 },
                 [&](const TrialForked& r) {
                   Trial& trial = experiments_[r.experiment.value - 1][r.trial.value - 1];
                   trial.durable = r.source.at;
                   trial.lineage = r.lineage;
                   trial.head = r.source;
                   trial.visits = std::uint64_t{r.source.at.epoch} * plan_.partitions + r.source.at.visit;
                 },
                 [&](const TrialTargetChanged& r) {
                   Trial& trial = experiments_[r.experiment.value - 1][r.trial.value - 1];
                   trial.ended = false;
                   trial.lineage = r.lineage;
                 },
                 [&](const UnitLeased& r) {
                   const Trial& trial = experiments_[r.experiment.value - 1][r.trial.value - 1];
                   if (r.visit != trial.visits) {
                     say("a lease on visit " + std::to_string(r.visit) + " after " + std::to_string(trial.visits));
                   }
                   if (r.partition.value != (trial.offset + r.visit) % plan_.partitions)
                     say("a lease on the wrong partition");
                   if (r.token <= newest_leased_) say("the token " + to_string(r.token) + " is not new");
                   if (drained_.contains(r.worker)) say("a lease for a worker that is drained");
                   if (resting_.contains(r.experiment)) say("a lease for an experiment that is paused or stopping");
                   if (paused_.contains({r.experiment, r.trial})) say("a lease for a trial that is paused");
                   newest_leased_ = r.token;
                   for (const auto& [token, lease] : open_) {
                     if (lease.experiment == r.experiment && lease.trial == r.trial) say("a second lease on a trial");
                   }
                   open_[r.token] = {r.experiment, r.unit, r.trial, now};
                 },
                 [&](const UnitFinished& r) {
                   const auto lease = open_.find(r.token);
                   if (lease != open_.end()) {
                     Trial& trial = experiments_[r.experiment.value - 1][lease->second.trial.value - 1];
                     ++trial.visits;
                     trial.head = r.state;
                   }
                   close(r.token, r.experiment, r.unit, "finished");
                   if (r.durable) durable(r.state);
                 },
                 [&](const WorkerAdmissionChanged& r) {
                   if (r.admission == Admission::kActive) drained_.erase(r.worker);
                   if (r.admission != Admission::kActive) drained_.insert(r.worker);
                 },
                 [&](const ExperimentStateChanged& r) {
                   if (r.state == ExperimentState::kRunning) resting_.erase(r.experiment);
                   if (r.state != ExperimentState::kRunning) resting_.insert(r.experiment);
                 },
                 [&](const TrialPaused& r) {
                   paused_.insert({r.experiment, r.trial});
                 },
                 [&](const TrialResumed& r) {
                   paused_.erase({r.experiment, r.trial});
                   Trial& trial = experiments_[r.experiment.value - 1][r.trial.value - 1];
                   if (trial.ended) trial.lineage = r.lineage;
                   trial.ended = false;
                 },
                 [&](const TrialRolledBack& r) {
                   Trial& trial = experiments_[r.experiment.value - 1][r.trial.value - 1];
                   const std::uint64_t visits = std::uint64_t{r.to.at.epoch} * plan_.partitions + r.to.at.visit;
                   if (visits > trial.visits) say("a rollback forward of " + to_string(r.experiment, r.trial));
                   // No more is lost than what no store had.
                   if (r.to.at < trial.durable && !damaged_) {
                     say(to_string(r.experiment, r.trial) + " went back beyond a state that was durable");
                   }
                   trial.durable = r.to.at;
                   trial.visits = visits;
                   trial.lineage = r.lineage;
                   trial.head = r.to;
                 },
                 [&](const WorkerLeft& r) {
                   if (r.reason.find("silent") == std::string::npos) return;
                   const auto heard = heard_.find(r.incarnation);
                   const Instant since = heard == heard_.end() ? restarted_ : heard->second;
                   if (now - since < plan_.config.worker_lost_ms * kMillisecond)
                     say("a worker was lost as silent that had spoken");
                 },
                 [&](const TrialEnded& r) {
                   // What is kept of it is the policy's: tried again, it may have to begin anew.
                   Trial& trial = experiments_[r.experiment.value - 1][r.trial.value - 1];
                   trial.durable = {};
                   trial.ended = true;
                   paused_.erase({r.experiment, r.trial});  // its running unit was its last; extended, it goes on
                 },
                 [&](const UnitDiverged& r) { say(to_string(r.experiment, r.unit) + " was made again otherwise"); },
                 [&](const UnitYielded& r) { close(r.token, r.experiment, r.unit, "yielded"); },
                 [&](const StateDurable& r) { durable(r.state); },
                 [&](const UnitReleased& r) {
                   if (r.fault == Fault::kHashMismatch && !damaged_)
                     say("a unit found no parent state: " + to_string(r.experiment, r.unit));
                   close(r.token, r.experiment, r.unit, "released");
                 },
                 [](const auto&) {},
             },
             record.body);
}

void Auditor::durable(const StateRef& state) {
  Trial& trial = experiments_[state.experiment.value - 1][state.trial.value - 1];
  // Of what it made before a rollback only its head is a state of its own; the rest is deleted.
  const bool own = state.lineage == trial.lineage || state == trial.head;
  if (!trial.ended && own) trial.durable = std::max(trial.durable, state.at);
}

void Auditor::close(Token token, ExperimentId experiment, UnitId unit, const char* what) {
  const auto lease = open_.find(token);
  if (lease == open_.end() || lease->second.experiment != experiment || lease->second.unit != unit) {
    return say(std::string("a unit ") + what + " under the token " + to_string(token) + " that it does not hold");
  }
  open_.erase(lease);
}

void Auditor::on_named(Instant now, const Progress& progress) {
  const auto lease = open_.find(progress.token);
  if (lease != open_.end()) lease->second.named = now;
}

void Auditor::on_heard(Instant now, const Incarnation& worker) { heard_[worker] = now; }

void Auditor::scheduler_hung(std::int64_t ns) {
  // It sees all but the time to the step that was due next.
  const std::int64_t seen = std::max<std::int64_t>(0, ns - plan_.config.heartbeat_ms * kMillisecond);
  restarted_ = restarted_ + seen;
  for (auto& [worker, at] : heard_) at = at + seen;
  for (auto& [token, lease] : open_) lease.named = lease.named + ns;
}

void Auditor::on_step(Instant now) {
  for (const auto& [token, lease] : open_) {
    if (now - lease.named > plan_.config.lease_ttl_ms * kMillisecond) {
      say("the lease " + to_string(token) + " is held though nobody named it in its time to live");
    }
  }
}

void Auditor::on_sent(const ToWorker& message) {
  if (const auto* run = std::get_if<RunUnit>(&message)) newest_sent_ = std::max(newest_sent_, run->lease.token);
  if (const auto* dismiss = std::get_if<Dismiss>(&message)) dismissed_.insert(dismiss->token);
}

void Auditor::on_replied(const Reply& reply) {
  if (reply.status.ok() && reply.trial) forks_promised_.insert({reply.experiment, reply.trial});
  if (reply.status.ok()) experiments_promised_ = std::max(experiments_promised_, reply.experiment.value);
}

void Auditor::on_restart(Instant now, const State& state) {
  open_.clear();
  heard_.clear();
  restarted_ = now;
  experiments_.clear();
  newest_leased_ = state.token;
  drained_.clear();
  resting_.clear();
  paused_.clear();
  for (const WorkerRow& worker : state.workers) {
    if (worker.admission != Admission::kActive) drained_.insert(worker.id);
  }
  for (const ExperimentRow& experiment : state.experiments) {
    experiments_.emplace_back();
    if (experiment.state != ExperimentState::kRunning) resting_.insert(experiment.id);
    for (const TrialRow& trial : experiment.trials) {
      experiments_.back().push_back({trial.offset, trial.visits, {}, !live(trial.state), trial.lineage, trial.head});
      for (const SavedState& saved : trial.stored) durable(saved.ref);
      if (trial.state == TrialState::kPaused) paused_.insert({experiment.id, trial.id});
    }
    for (const LeaseRow& lease : experiment.leases) {
      if (lease.outcome != LeaseOutcome::kOpen) continue;
      open_[lease.token] = {experiment.id, lease.unit, lease.trial, now};
      if (dismissed_.contains(lease.token))
        say("a report was dismissed before it was durable: " + to_string(lease.token));
    }
  }
  if (newest_sent_ > state.token) say("a lease was sent before it was durable: " + to_string(newest_sent_));
  for (const auto& [experiment, trial] : forks_promised_) {
    if (experiment.value > state.experiments.size()) continue;
    const ExperimentRow& row = state.experiments[experiment.value - 1];
    if (row.state != ExperimentState::kDeleted && trial.value > row.trials.size()) {
      say("a fork was promised before it was durable");
    }
  }
  if (experiments_promised_ > experiments_.size()) say("an experiment was promised before it was durable");
}

}  // namespace modelhop::sim
