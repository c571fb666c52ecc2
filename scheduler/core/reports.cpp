// What the end of a lease means: a visit counted, a yield, a fault; and the milestone after it.
#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/limits.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/tables.h"

namespace modelhop {
namespace {

UnitTimes bounded(UnitTimes times) {
  for (std::uint64_t* ns : {&times.load_ns, &times.hop_ns, &times.train_ns, &times.evaluate_ns, &times.save_ns}) {
    *ns = std::min(*ns, kUnitNsMax);
  }
  return times;
}

}  // namespace

bool is_milestone(const Spec& spec, std::uint32_t partitions, const TrialRow& trial, std::uint64_t visits) {
  const bool last = visits == trial.target_visits && !planted(Mistake::kMilestoneSkipped);
  return last || visits % (std::max<std::uint64_t>(spec.evaluate_every, 1) * partitions) == 0;
}

Status Core::Impl::check_report(const ExperimentRow& experiment, const LeaseRow& lease,
                                const UnitReport& report) const {
  const TrialRow& trial = experiment.trials[lease.trial.value - 1];
  if (report.members.size() != 1)
    return invalid("its report has " + std::to_string(report.members.size()) + " members for 1 trial");
  const MemberResult& member = report.members.front();
  if (member.train.size() > kSumsMax || member.validation.size() > kSumsMax)
    return invalid("its report has too many sums");
  if (member.yielded ? !fits_yield(experiment, trial, member.state) : !fits_finish(experiment, trial, member.state)) {
    return invalid("its report names a state that visit " + std::to_string(trial.visits) + " cannot end with");
  }
  if (!member.durable && member.state != trial.head && (member.yielded || lease.then_evaluate)) {
    return invalid("its report names a state that had to be stored first");
  }
  return {};
}

void Core::Impl::handle(const UnitDone& event) {
  const UnitReport& report = event.report;
  const WorkerRow* row = present(event.incarnation);
  if (row != nullptr) heard(row->id);
  const LeaseRow* lease = find_open(report.experiment, report.unit, report.token);
  Dismiss dismiss{report.experiment, report.unit, report.token, true};
  if (lease == nullptr || (lease->incarnation != event.incarnation && !planted(Mistake::kStaleTokenAccepted))) {
    if (row == nullptr) {
      ignore(Ignored::kUnknownIncarnation);
    } else {
      dismiss.durable = late_report(report);
    }
    send(event.incarnation, dismiss);
    return;
  }
  ExperimentRow& experiment = *find_experiment(report.experiment);
  const Status status = check_report(experiment, *lease, report);
  if (report.fault != Fault::kNone) {
    // Only the scheduler says that a worker is lost.
    const Fault fault = report.fault == Fault::kWorkerLost ? Fault::kEnvironment : report.fault;
    release(experiment, *lease, fault, report.detail.substr(0, kDetailBytesMax));
  } else if (report.members.empty()) {
    release(experiment, *lease, Fault::kNone, "it was stopped and kept nothing");
  } else if (!status.ok()) {
    release(experiment, *lease, Fault::kEnvironment, status.message());
  } else if (report.members.front().yielded) {
    const MemberResult& member = report.members.front();
    mark(member.state == experiment.trials[lease->trial.value - 1].head ? Mark::kYieldedUnbegun : Mark::kYieldedInside);
    emit(UnitYielded{experiment.id, report.unit, report.token, member.state, member.train, bounded(report.times),
                     report.path});
    account_lease(experiment, *lease);
    collect(experiment, experiment.trials[lease->trial.value - 1]);
  } else {
    dismiss.durable = report.members.front().durable;
    finished(experiment, *lease, report);
  }
  send(event.incarnation, dismiss);
}

bool Core::Impl::late_report(const UnitReport& report) {
  if (report.members.size() == 1 && !report.members.front().yielded) {
    const MemberResult& member = report.members.front();
    ExperimentRow* experiment = find_experiment(member.state.experiment);
    if (experiment != nullptr && member.state.trial.value - 1 < experiment->trials.size()) {
      TrialRow& trial = experiment->trials[member.state.trial.value - 1];
      const bool held = std::any_of(trial.held.begin(), trial.held.end(),
                                    [&](const HeldState& h) { return h.saved.ref == member.state; });
      if (held && !member.durable) return false;  // a copy of a report that was accepted
      if (held) {
        mark(Mark::kLateDurable);
        emit(StateDurable{member.state, std::min(report.times.save_ns, kUnitNsMax)});
        collect(*experiment, trial);
        return true;
      }
    }
  }
  mark(Mark::kLateForgotten);
  ignore_lease(report.token);  // a late worker or a copy, not a fault
  return true;
}

void Core::Impl::finished(ExperimentRow& experiment, const LeaseRow& lease, const UnitReport& report) {
  const MemberResult& member = report.members.front();
  TrialRow& trial = experiment.trials[lease.trial.value - 1];
  const auto before = std::find_if(trial.lost.begin(), trial.lost.end(),
                                   [&](const StateRef& lost) { return lost.at == member.state.at; });
  if (before != trial.lost.end() && before->hash != member.state.hash) {
    emit(UnitDiverged{experiment.id, report.unit, *before, member.state});
  }
  emit(UnitFinished{experiment.id, report.unit, report.token, member.state, member.durable, member.train,
                    bounded(report.times), report.path});
  account_lease(experiment, lease);
  if (lease.then_evaluate) evaluated(experiment, trial, member.validation);
  if (trial.visits >= trial.target_visits) {
    end_trial(experiment, trial, TrialState::kCompleted, "all its visits are done");
  } else if (lease.then_evaluate) {
    stop_rules(experiment, trial);
  }
  if (live(trial.state)) collect(experiment, trial);
}

void Core::Impl::evaluated(ExperimentRow& experiment, TrialRow& trial, const std::vector<Sum>& validation) {
  const Milestone sums{trial.visits, 0, validation, trial.train_since_milestone, trial.head, wall, 0};
  double value = metric_value(sums, experiment.spec->metric);
  if (!std::isfinite(value)) {
    // Worse than any: a diverged trial must never look like the best.
    const double infinity = std::numeric_limits<double>::infinity();
    value = experiment.spec->maximize ? -infinity : infinity;
  }
  emit(TrialEvaluated{experiment.id, trial.id, trial.visits, value, validation, trial.train_since_milestone,
                      trial.head});
  live_of(experiment.id).ask_search = true;
}

void Core::Impl::release(ExperimentRow& experiment, const LeaseRow& lease, Fault fault, const std::string& detail) {
  TrialRow& trial = experiment.trials[lease.trial.value - 1];
  const UnitId unit = lease.unit;
  emit(UnitReleased{experiment.id, unit, lease.token, fault, detail});
  account_lease(experiment, lease);
  const UnitRow& row = experiment.units[unit.value - 1];
  if (of_the_machine(fault)) {
    mark(Mark::kBackedOff);
    if (fault == Fault::kHashMismatch) head_unreadable(experiment, trial, detail);
    back_off(experiment, trial, row.machine_faults);
  } else if (fault == Fault::kWorkerLost && row.worker_deaths >= config.unit_worker_deaths_max) {
    const std::string reason =
        to_string(experiment.id, unit) + " cost " + std::to_string(row.worker_deaths) + " workers, the last: " + detail;
    mark(Mark::kParked);
    emit(UnitParked{experiment.id, unit, reason});
    end_trial(experiment, trial, TrialState::kFailed, reason);
  } else if (fault == Fault::kInvalidParams) {
    end_trial(experiment, trial, TrialState::kInvalid, detail);
  } else if (fault != Fault::kNone && fault != Fault::kWorkerLost && trial.restarts > experiment.spec->max_restarts) {
    end_trial(experiment, trial, TrialState::kFailed,
              std::string(to_string(fault)) + " after " + std::to_string(experiment.spec->max_restarts) +
                  " restarts: " + detail);
  }
}

void Core::Impl::roll_back(ExperimentRow& experiment, TrialRow& trial, const std::string& reason) {
  const StateRef to = newest_before_head(trial);
  if (trial.head == trial.begin || (to == trial.begin && !begin_is_kept(experiment, trial))) {
    return end_trial(experiment, trial, TrialState::kFailed,
                     "it is a " + trial.origin + ", which is lost, and has no other state to go back to; fork again: " +
                         reason.substr(0, kDetailBytesMax));
  }
  const std::uint64_t visits = std::uint64_t{to.at.epoch} * experiment.partitions + to.at.visit;
  if (trial.lineage > 0) mark(Mark::kRolledBackAgain);
  if (!to.hash) mark(Mark::kRolledBackToStart);
  if (!trial.milestones.empty() && trial.milestones.back().visits > visits) mark(Mark::kRolledBackBehindMilestone);
  emit(TrialRolledBack{experiment.id, trial.id, to, trial.lineage + 1, reason.substr(0, kDetailBytesMax)});
}

void Core::Impl::head_unreadable(ExperimentRow& experiment, TrialRow& trial, const std::string& detail) {
  const StateRef head = trial.head;
  if (!head.hash) return;
  const bool durable = is_durable(trial, head);
  // Once may be the worker's own doing; what is gone from its holder is gone.
  if (durable && trial.unreadable < kUnreadableMax) return mark(Mark::kUnreadableOnce);
  if (durable) mark(Mark::kUnreadableGivenUp);
  roll_back(experiment, trial, "its state " + to_string(head.hash) + " is lost: " + detail);
  // Others that began with it find out by themselves. A trial that the rollback ended may have let go of it already.
  const bool begun = head.trial != trial.id || index_of(experiment.id).begun.contains(head);
  if (!begun && is_durable(trial, head)) intend(experiment, head);
  collect(experiment, trial);
}

void Core::Impl::stop_rules(ExperimentRow& experiment, TrialRow& trial) {
  const Spec& spec = *experiment.spec;
  const Milestone& last = trial.milestones.back();
  for (const StopRule& rule : spec.stop) {
    if (!rule.metric.empty()) {
      const double value = metric_value(last, rule.metric);
      if (rule.metric_maximize ? value >= rule.threshold : value <= rule.threshold) {
        return end_trial(experiment, trial, TrialState::kStopped, rule.metric + " reached its threshold");
      }
    }
    if (rule.patience) {
      std::size_t best = 0;
      for (std::size_t i = 1; i < trial.milestones.size(); ++i) {
        if (better(spec, trial.milestones[i].value, trial.milestones[best].value)) best = i;
      }
      if (trial.milestones.size() - 1 - best >= *rule.patience + (planted(Mistake::kPatienceOffByOne) ? 1 : 0)) {
        return end_trial(experiment, trial, TrialState::kStopped,
                         std::to_string(*rule.patience) + " milestones without a better " + spec.metric);
      }
    }
  }
}

}  // namespace modelhop
