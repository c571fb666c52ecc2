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
  return {};
}

void Core::Impl::handle(const UnitDone& event) {
  const UnitReport& report = event.report;
  const WorkerRow* row = present(event.incarnation);
  if (row != nullptr) heard(row->id);
  const LeaseRow* lease = find_open(report.experiment, report.unit, report.token);
  const Dismiss dismiss{report.experiment, report.unit, report.token};
  if (lease == nullptr || (lease->incarnation != event.incarnation && !planted(Mistake::kStaleTokenAccepted))) {
    // A late worker or a copy, not a fault.
    row == nullptr ? ignore(Ignored::kUnknownIncarnation) : ignore_lease(report.token);
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
    emit(UnitYielded{experiment.id, report.unit, report.token, member.state, member.train, bounded(report.times),
                     report.path});
    account_lease(experiment, *lease);
    collect(experiment, experiment.trials[lease->trial.value - 1]);
  } else {
    finished(experiment, *lease, report);
  }
  send(event.incarnation, dismiss);
}

void Core::Impl::finished(ExperimentRow& experiment, const LeaseRow& lease, const UnitReport& report) {
  const MemberResult& member = report.members.front();
  emit(UnitFinished{experiment.id, report.unit, report.token, member.state, member.train, bounded(report.times),
                    report.path});
  account_lease(experiment, lease);
  TrialRow& trial = experiment.trials[lease.trial.value - 1];
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
  if (fault == Fault::kWorkerLost && row.worker_deaths >= config.unit_worker_deaths_max) {
    const std::string reason =
        to_string(experiment.id, unit) + " cost " + std::to_string(row.worker_deaths) + " workers, the last: " + detail;
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
