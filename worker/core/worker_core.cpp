#include "worker/core/worker_core.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/marks.h"

namespace modelhop {
namespace {

template <class... F>
struct Match : F... {
  using F::operator()...;
};
template <class... F>
Match(F...) -> Match<F...>;

constexpr Instant kNever{INT64_MAX};

bool being_saved(const UnitReport& report) {
  return report.members.size() == 1 && !report.members.front().durable && !report.members.front().yielded;
}

}  // namespace

WorkerCore::WorkerCore(WorkerConfig config) : config_(std::move(config)) {}

void WorkerCore::step(Instant now, const WorkerEvent& event, std::vector<WorkerAction>& out) {
  if (left_) return;
  if (!started_) {
    started_ = true;
    heard_at_ = now;
    hello(now, out);
  }
  std::visit(Match{
                 [&](const WorkerTick&) {},
                 [&](const WorkerReconnected&) { hello(now, out); },
                 [&](const ToWorker& message) { on_message(now, message, out); },
                 [&](const UnitEnded& ended) { on_ended(now, ended.report, out); },
                 [&](const StateSaved& saved) { on_saved(now, saved); },
                 [&](const UnitProgress& progress) {
                   if (!running_ || running_->run.lease.token != progress.token) return;
                   running_->at = progress.at;
                   running_->beats = progress.beats;
                 },
                 [&](const WorkerDrain&) { drain(now, "asked to stop", out); },
             },
             event);
  on_tick(now, out);
}

void WorkerCore::on_tick(Instant now, std::vector<WorkerAction>& out) {
  if (left_) return;
  if (now >= hello_due()) hello(now, out);
  if (welcomed_ && now >= heartbeat_at_) {
    heartbeat_at_ = now + heartbeat_ms_ * kMillisecond;
    out.push_back(ToScheduler(Heartbeat{config_.incarnation, progress()}));
  }
  for (Waiting& waiting : reports_) {
    if (now < waiting.resend_at) continue;
    if (waiting.said) mark(Mark::kReportAgain);
    waiting.said = true;
    waiting.resend_at = now + config_.resend_ms * kMillisecond;
    out.push_back(ToScheduler(UnitDone{config_.incarnation, waiting.report}));
  }
  leave_if_done(now, out);
}

Instant WorkerCore::wake_at() const {
  if (left_) return kNever;
  Instant wake = hello_due();
  if (welcomed_) wake = std::min(wake, heartbeat_at_);
  for (const Waiting& waiting : reports_) wake = std::min(wake, waiting.resend_at);
  if (draining_) wake = std::min(wake, drain_until_);
  return wake;
}

// Without a Welcome there are no heartbeats, and the scheduler may have heard the first hello.
Instant WorkerCore::hello_due() const {
  return std::max(heard_at_, hello_at_) + (welcomed_ ? config_.silence_ms : config_.resend_ms) * kMillisecond;
}

void WorkerCore::hello(Instant now, std::vector<WorkerAction>& out) {
  hello_at_ = now;
  out.push_back(
      ToScheduler(WorkerHello{config_.name, config_.incarnation, config_.profile, config_.device, config_.threads,
                              config_.memory_bytes, boot_seen_, progress(), seq_boot_, seq_seen_}));
  // A report that was lost with the old connection follows at once.
  for (Waiting& waiting : reports_) {
    if (waiting.resend_at != kNever) waiting.resend_at = now;
  }
}

std::vector<Progress> WorkerCore::progress() const {
  std::vector<Progress> units;
  const auto add = [&](const RunUnit& run, const Cursor& at, std::uint64_t beats) {
    units.push_back({run.lease.unit.experiment, run.lease.unit.id, run.lease.token, at, beats});
  };
  if (running_) add(running_->run, running_->at, running_->beats);
  if (next_) add(*next_, next_->lease.unit.members.front().parent.at, 0);
  return units;
}

bool WorkerCore::obeys(std::uint64_t boot, std::uint64_t seq) {
  if (boot < boot_seen_) {
    mark(Mark::kOldBootIgnored);
    return false;
  }
  boot_seen_ = boot;
  if (boot == seq_boot_) seq_seen_ = std::max(seq_seen_, seq);
  return true;
}

void WorkerCore::on_message(Instant now, const ToWorker& message, std::vector<WorkerAction>& out) {
  std::visit(Match{
                 [&](const Welcome& welcome) {
                   if (!obeys(welcome.boot, welcome.seq)) return;
                   if (seq_boot_ != welcome.boot) {
                     seq_boot_ = welcome.boot;
                     seq_seen_ = welcome.seq;
                   }
                   heard_at_ = now;
                   heartbeat_ms_ = std::max(welcome.heartbeat_ms, 1u);
                   if (!welcomed_) heartbeat_at_ = now + heartbeat_ms_ * kMillisecond;
                   welcomed_ = true;
                 },
                 [&](const Refused& refused) {
                   left_ = true;
                   out.push_back(Exit{5, refused.reason});
                 },
                 [&](const Place& place) {
                   if (!obeys(place.boot, place.seq)) return;
                   heard_at_ = now;
                   out.push_back(SetPlacement{place});
                 },
                 [&](const RunUnit& run) {
                   if (!obeys(run.boot, run.seq)) return;
                   heard_at_ = now;
                   on_run(now, run, out);
                 },
                 [&](const YieldUnit& yield) {
                   if (!obeys(yield.boot, yield.seq)) return;
                   heard_at_ = now;
                   if (running_ && running_->run.lease.token == yield.token) stop(yield.keep, out);
                   if (next_ && next_->lease.token == yield.token) {
                     // Not begun: nothing to keep, so its parent is what was reached.
                     mark(Mark::kWaitingUnitYielded);
                     UnitReport report;
                     report.experiment = yield.experiment;
                     report.unit = yield.unit;
                     report.token = yield.token;
                     if (yield.keep) {
                       report.members.push_back({next_->lease.unit.members.front().parent, true, false, {}, {}});
                     }
                     next_.reset();
                     reports_.push_back({std::move(report), now});
                   }
                 },
                 [&](const Dismiss& dismiss) {
                   heard_at_ = now;
                   on_dismiss(dismiss);
                 },
                 [&](const Shutdown& shutdown) { drain(now, shutdown.reason, out); },
             },
             message);
}

void WorkerCore::on_dismiss(const Dismiss& dismiss) {
  const auto waiting = std::find_if(reports_.begin(), reports_.end(), [&](const Waiting& w) {
    return w.report.token == dismiss.token && w.report.experiment == dismiss.experiment &&
           w.report.unit == dismiss.unit;
  });
  if (waiting == reports_.end()) return;
  if (dismiss.durable) {
    reports_.erase(waiting);
  } else if (being_saved(waiting->report)) {
    waiting->resend_at = kNever;
  }  // else it answers what was said before the state was saved: that news goes on being sent
}

void WorkerCore::on_saved(Instant now, const StateSaved& saved) {
  for (Waiting& waiting : reports_) {
    if (waiting.report.token != saved.token || !being_saved(waiting.report)) continue;
    if (waiting.resend_at == kNever) mark(Mark::kSavedLater);
    waiting.report.members.front().durable = true;
    waiting.report.times.save_ns = saved.save_ns;
    waiting.resend_at = now;
  }
}

void WorkerCore::on_run(Instant, const RunUnit& run, std::vector<WorkerAction>& out) {
  if (run.lease.token <= newest_ || run.lease.unit.members.empty()) return;  // a copy, or late
  newest_ = run.lease.token;
  if (draining_) return;  // its lease goes with us when we leave
  if (running_) {
    // We have one slot: the scheduler has given up what runs.
    mark(Mark::kNewerUnitWaits);
    stop(false, out);
    next_ = run;
    return;
  }
  start(run, out);
}

void WorkerCore::start(const RunUnit& run, std::vector<WorkerAction>& out) {
  running_ = Running{run, run.lease.unit.members.front().parent.at, 0, false, false};
  out.push_back(StartUnit{run});
}

void WorkerCore::stop(bool keep, std::vector<WorkerAction>& out) {
  if (running_->stopping && (keep || !running_->keep)) return;  // asked before; only keep -> drop is news
  running_->stopping = true;
  running_->keep = keep;
  out.push_back(StopUnit{running_->run.lease.token, keep});
}

void WorkerCore::on_ended(Instant now, const UnitReport& report, std::vector<WorkerAction>& out) {
  if (!running_ || running_->run.lease.token != report.token) return;
  running_.reset();
  if (reports_.size() == kReportsWaitingMax) reports_.erase(reports_.begin());
  reports_.push_back({report, now});
  reports_.back().report.detail = report.detail.substr(0, kDetailBytesMax);
  if (next_) {
    const RunUnit run = std::move(*next_);
    next_.reset();
    start(run, out);
  }
}

void WorkerCore::drain(Instant now, std::string reason, std::vector<WorkerAction>& out) {
  if (draining_) return;
  draining_ = true;
  drain_reason_ = std::move(reason);
  drain_until_ = now + config_.drain_ms * kMillisecond;
  next_.reset();
  if (running_) stop(true, out);
}

void WorkerCore::leave_if_done(Instant now, std::vector<WorkerAction>& out) {
  if (!draining_) return;
  const bool done = !running_ && reports_.empty();
  if (!done && now < drain_until_) return;
  if (!done) mark(Mark::kDrainRanOut);
  left_ = true;
  if (welcomed_) out.push_back(ToScheduler(WorkerBye{config_.incarnation, drain_reason_}));
  out.push_back(Exit{done ? 0 : 1, drain_reason_});
}

std::vector<std::string> WorkerCore::check_invariants() const {
  std::vector<std::string> broken;
  const auto expect = [&](bool holds, const char* message) {
    if (!holds) broken.emplace_back(message);
  };
  expect(!next_ || (running_ && running_->stopping), "a unit waits though none is being stopped for it");
  expect(!running_ || running_->run.lease.token <= newest_, "a unit runs under a token it has not seen");
  expect(!next_ || (next_->lease.token == newest_ && running_ && running_->run.lease.token < newest_),
         "the unit that waits is not the newest");
  for (std::size_t i = 0; i < reports_.size(); ++i) {
    for (std::size_t j = i + 1; j < reports_.size(); ++j) {
      expect(reports_[i].report.token != reports_[j].report.token, "two reports of one token");
    }
    expect(!running_ || reports_[i].report.token != running_->run.lease.token, "a report of a unit that still runs");
  }
  return broken;
}

}  // namespace modelhop
