// The scheduler's process: the core, a journal whose commits lag, sends that wait for them, a client that asks again.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <set>

#include "scheduler/sim/fake_trainer.h"
#include "scheduler/sim/simulation.h"

namespace modelhop::sim {
namespace {

constexpr std::uint64_t kForkRequests = 1'000;

// Makes all trials as there is room, and stops every n-th at its first milestone. Its parameters are the trial's
// number.
class SimSearch : public Search {
 public:
  SimSearch(const PlannedExperiment& planned, const Spec& spec, std::uint64_t partitions)
      : planned_(planned), trials_(*spec.max_trials), target_(spec.epochs * partitions) {}
  void apply(const SearchRecord& record) override {
    if (std::holds_alternative<SearchTrialCreated>(record)) ++made_;
    if (const auto* evaluated = std::get_if<SearchEvaluated>(&record)) {
      if (planned_.search_stops_every > 0 && evaluated->trial.value % planned_.search_stops_every == 0) {
        to_stop_.push_back(evaluated->trial);
        evaluated_.insert(evaluated->trial);
      }
    }
    if (const auto* ended = std::get_if<SearchTrialEnded>(&record)) std::erase(to_stop_, ended->trial);
    const auto* on = std::get_if<SearchTrialGoesOn>(&record);
    if (on != nullptr && evaluated_.contains(on->trial)) {
      std::erase(to_stop_, on->trial);
      to_stop_.push_back(on->trial);
    }
  }
  std::vector<Decision> decide(const SearchView& view) const override {
    std::vector<Decision> decisions;
    for (const TrialId trial : to_stop_) {
      const StopTrial stop{trial, "not worth it"};
      decisions.emplace_back(stop);
    }
    const std::uint64_t more = std::min(trials_ - std::min(trials_, made_), view.room);
    for (std::uint64_t i = 0; i < more; ++i) {
      CreateTrial create;
      create.target_visits = target_;
      create.origin = "sim";
      decisions.emplace_back(create);
    }
    if (made_ + more >= trials_) decisions.emplace_back(std::in_place_type<SearchDone>);
    return decisions;
  }

 private:
  const PlannedExperiment& planned_;
  std::uint64_t trials_, target_, made_ = 0;
  std::set<TrialId> evaluated_;
  std::vector<TrialId> to_stop_;
};

std::shared_ptr<const Spec> limited(const Spec& spec, const SpecLimits& limits) {
  Spec raised = spec;
  raised.max_trials = limits.max_trials;
  raised.epochs = limits.epochs;
  raised.expanded = std::to_string(limits.max_trials) + " trials " + std::to_string(limits.epochs) + " epochs sim " +
                    spec.expanded.back();
  return std::make_shared<const Spec>(std::move(raised));
}

}  // namespace

CoreHooks Simulation::hooks() {
  return {
      .load_spec = [this](std::string_view expanded) -> Result<std::shared_ptr<const Spec>> {
        std::shared_ptr<const Spec> spec = plan_.experiments[static_cast<std::size_t>(expanded.back() - '0')].spec;
        SpecLimits limits;
        const std::string text(expanded);
        if (std::sscanf(text.c_str(), "%" SCNu64 " trials %" SCNu64 " epochs", &limits.max_trials, &limits.epochs) ==
            2) {
          spec = limited(*spec, limits);
        }
        return spec;
      },
      .make_search = [this](const std::shared_ptr<const Spec>& spec,
                            std::uint64_t partitions) -> Result<std::unique_ptr<Search>> {
        const PlannedExperiment& planned = plan_.experiments[static_cast<std::size_t>(spec->expanded.back() - '0')];
        return std::unique_ptr<Search>(new SimSearch(planned, *spec, partitions));
      },
      .recipe = [](const Spec&, const Params& params) { return to_json_text(params); },
      .with_limits = [](const Spec& spec, const SpecLimits& limits) -> Result<std::shared_ptr<const Spec>> {
        return limited(spec, limits);
      },
      .horizon_schedule = [](const Spec&, const Params*) { return std::string(); },
      .fork_params = [](const Spec&, const Params& source, const Params& set) -> Result<Params> {
        Params params = set;
        params.insert(source.begin(), source.end());
        return params;
      },
      .trials_max = [](const Spec& spec, std::uint64_t) -> Result<std::uint64_t> { return *spec.max_trials; },
  };
}

std::unique_ptr<Core> Simulation::replay(std::size_t snapshot_at, std::vector<std::uint8_t>& snapshot) {
  auto core = std::make_unique<Core>(plan_.config, hooks());
  for (std::size_t i = 0; i < journal_.size(); ++i) {
    if (i == snapshot_at) snapshot = core->save();
    if (const Status status = core->apply(journal_[i]); !status.ok()) {
      outcome_.violations.push_back("replay: " + status.message());
      break;
    }
  }
  if (snapshot_at == journal_.size()) snapshot = core->save();
  return core;
}

std::unique_ptr<Core> Simulation::restore(std::size_t snapshot_at, const std::vector<std::uint8_t>& snapshot) {
  auto core = std::make_unique<Core>(plan_.config, hooks());
  Status status = core->load(snapshot);
  for (std::size_t i = snapshot_at; i < journal_.size() && status.ok(); ++i) status = core->apply(journal_[i]);
  if (!status.ok()) outcome_.violations.push_back("a snapshot and the records after it: " + status.message());
  return core;
}

// What a start makes of the journal, and of a snapshot at any record with the records after it, is what lives.
void Simulation::check_replay() {
  const std::vector<std::uint8_t> alive = core_->save();
  const auto expect = [&](const Core& core, const char* what) {
    if (core.save() != alive) outcome_.violations.push_back(std::string(what) + " gives another state");
    for (const std::string& differs : core.check_index()) outcome_.violations.push_back(what + (": " + differs));
  };
  const std::size_t snapshot_at = draw(0, journal_.size());
  std::vector<std::uint8_t> snapshot;
  expect(*replay(snapshot_at, snapshot), "replaying the whole journal");
  expect(*restore(snapshot_at, snapshot), "a snapshot and the records after it");
}

void Simulation::start_scheduler() {
  ++scheduler_life_;
  tick_at_ = {INT64_MAX};
  const std::size_t snapshot_at = draw(0, journal_.size());
  std::vector<std::uint8_t> snapshot;
  core_ = replay(snapshot_at, snapshot);
  if (draw(0, 1) == 1) core_ = restore(snapshot_at, snapshot);
  if (!outcome_.violations.empty()) return;
  auditor_.on_restart(now_, core_->state());
  check_stored();
  Actions actions;
  const Status status = core_->begin_serving(++boot_, now_, wall(), actions);
  if (!status.ok()) outcome_.violations.push_back(status.message());
  take(actions);
  check();
}

void Simulation::crash_scheduler(std::int64_t down_ns) {
  check_replay();
  // A commit on its way may have made it: as a whole, or not at all.
  if (committing_seq_ > durable_seq_ && draw(0, 1) == 1) durable_seq_ = committing_seq_;
  core_.reset();
  dies_in_ = 0;
  scheduler_hung_until_ = now_;
  journal_.resize(durable_seq_);
  committing_seq_ = 0;
  outbox_.clear();
  delete_box_.clear();
  draining_ = false;
  at(down_ns, EventKind::kSchedulerStart);
}

bool Simulation::killed_between() {
  if (dies_in_ == 0 || --dies_in_ > 0) return false;
  count(FaultKind::kSchedulerKilledBetween);
  crash_scheduler(down_ns_);
  return true;
}

void Simulation::step_scheduler(const Event& event) {
  if (trace_) say("event " + std::to_string(event.index()));
  Actions actions;
  core_->step(now_, wall(), event, actions);
  take(actions);
  check();
  if (core_ == nullptr) return;
  if (draining_ && core_->quiet() && durable_seq_ == journal_.size()) {
    count(FaultKind::kSchedulerDrained);
    crash_scheduler(500 * kMillisecond);
  }
}

void Simulation::take(Actions& actions) {
  if (actions.fatal) outcome_.violations.push_back("it ends, though nothing is lost: " + *actions.fatal);
  for (Record& record : actions.records) {
    mix_trace(record.seq * 32 + record.body.index());
    if (const auto* finished = std::get_if<UnitFinished>(&record.body)) mix_trace(low_lane(finished->state.hash));
    ++outcome_.records_by_type[record.body.index()];
    if (trace_) say("record " + std::to_string(record.seq) + " " + type_name(record.body) + " " + to_json(record.body));
    auditor_.on_record(now_, record);
    if (const auto* back = std::get_if<TrialRolledBack>(&record.body)) check_in_store(back->to);
    if (const auto* forked = std::get_if<TrialForked>(&record.body)) check_in_store(forked->source);
    if (const auto* decided = std::get_if<TrialEvaluated>(&record.body)) check_in_store(decided->state);
    if (const auto* durable = std::get_if<StateDurable>(&record.body)) check_in_store(durable->state);
    if (const auto* yielded = std::get_if<UnitYielded>(&record.body)) {
      if (yielded->state.at.batch > 0) check_in_store(yielded->state);  // else it may be the parent, which is held
    }
    if (const auto* finished = std::get_if<UnitFinished>(&record.body)) {
      if (finished->durable) check_in_store(finished->state);
    }
    journal_.push_back(std::move(record));
  }
  for (Send& send : actions.sends) outbox_.push_back(std::move(send));
  delete_box_.insert(delete_box_.end(), actions.deletes.begin(), actions.deletes.end());
  committed(durable_seq_);
  if (core_ == nullptr) return;
  core_wake_ = actions.wake_at;
  if (core_wake_ && *core_wake_ < tick_at_) {
    tick_at_ = std::max(*core_wake_, now_);
    queue_.push({tick_at_.ns, order_++, EventKind::kSchedulerTick, 0, scheduler_life_, 0});
  }
  commit_if_idle();
}

// What a record says is in the store, or rests on, is there: nothing but damage takes it.
void Simulation::check_in_store(const StateRef& state) {
  if (!state.hash || store_.contains(store_key(state)) || damaged_.contains(store_key(state))) return;
  outcome_.violations.push_back("a record of " + to_string(state.experiment, state.trial) + " whose state at visit " +
                                std::to_string(state.at.visit) + " is not in the store");
}

void Simulation::commit_if_idle() {
  if (committing_seq_ > durable_seq_ || durable_seq_ == journal_.size()) return;
  committing_seq_ = journal_.size();
  std::int64_t lag_ns = static_cast<std::int64_t>(draw(200, 5'000)) * 1'000;
  if (now_ < slow_disk_until_) lag_ns += static_cast<std::int64_t>(draw(100, 1'500)) * kMillisecond;
  at(lag_ns, EventKind::kCommit, 0, scheduler_life_, committing_seq_);
}

void Simulation::committed(std::uint64_t seq) {
  durable_seq_ = seq;
  while (!outbox_.empty() && outbox_.front().after_seq <= durable_seq_) {
    if (killed_between()) return;
    Send send = std::move(outbox_.front());
    outbox_.pop_front();
    if (const auto* to = std::get_if<Incarnation>(&send.to)) {
      to_worker(*to, std::get<ToWorker>(send.message));
    } else {
      const Reply& reply = std::get<Reply>(send.message);
      auditor_.on_replied(reply);
      const std::uint64_t request = reply.request.value;
      if (request < 2 && reply.status.ok()) created_[request] = true;
      if (request > kForkRequests && reply.status.ok()) {
        std::erase_if(forks_wanted_, [&](const WantedFork& fork) { return fork.number == request - kForkRequests; });
      }
    }
  }
  while (!delete_box_.empty() && delete_box_.front().after_seq <= durable_seq_) {
    if (killed_between()) return;
    deleting_.push_back(delete_box_.front().state);
    delete_box_.pop_front();
    at(static_cast<std::int64_t>(draw(1, 300)) * kMillisecond, EventKind::kStateDeleted, 0, scheduler_life_,
       deleting_.size() - 1);
  }
  delete_garbage_once_durable();
  commit_if_idle();
  if (draining_ && core_->quiet() && durable_seq_ == journal_.size()) crash_scheduler(500 * kMillisecond);
}

// Asks until it is answered, with the same idempotency key.
void Simulation::client(std::uint64_t) {
  at(static_cast<std::int64_t>(draw(500, 2'000)) * kMillisecond, EventKind::kClient);
  for (std::size_t i = 0; i < plan_.experiments.size() && core_ != nullptr; ++i) {
    const ExperimentId id{i + 1};
    if (!created_[i]) {
      CreateExperiment create;
      create.request = {i};
      create.idempotency_key = std::string("key ") + static_cast<char>('0' + i);
      create.spec_sent = "{}";
      create.spec = plan_.experiments[i].spec;
      create.dataset.name = "data";
      create.dataset.identity.bytes[0] = 1;
      create.dataset.partition_rows.assign(plan_.partitions, 100);
      step_scheduler(create);
      return;  // the next when this one is there
    }
    const ExperimentRow& row = core_->state().experiments[i];
    std::optional<Control> control;
    if (row.ended()) {
      if (wants_retry(i)) return retry_something(i);
      if (plan_.experiments[i].delete_at_end && row.state != ExperimentState::kDeleted) {
        control = Control::kDelete;
      }
    } else if (cancel_wanted_[i]) {
      control = Control::kCancel;
    } else if (stop_wanted_[i]) {
      control = Control::kStop;
    }
    if (!control && !row.ended() && row.state != ExperimentState::kStopping) {
      const bool paused = row.state == ExperimentState::kPaused, wanted = now_ < pause_until_[i];
      if (paused != wanted) control = wanted ? Control::kPause : Control::kResume;
    }
    if (control) step_scheduler(ControlExperiment{{100}, id, *control});
    if (core_ != nullptr && faulty() && draw(0, 9) == 0 && !core_->state().experiments[i].ended()) {
      step_scheduler(ChangeExperiment{{103}, id, {}, {}, {}, static_cast<std::uint32_t>(draw(0, 100))});
    }
  }
  if (core_ != nullptr) fork_and_extend();
  while (core_ != nullptr && control_something()) {
  }
}

// Of an experiment that was broken off, the last trial that had visits to make.
void Simulation::retry_something(std::size_t experiment) {
  const ExperimentRow& row = core_->state().experiments[experiment];
  const auto trial =
      std::find_if(row.trials.rbegin(), row.trials.rend(), [&](const TrialRow& t) { return broken_off_with(row, t); });
  stop_wanted_[experiment] = cancel_wanted_[experiment] = false;
  count(FaultKind::kRetry);
  step_scheduler(ControlTrial{{104}, row.id, trial->id, TrialControl::kRetry});
  retried_[experiment] = true;
}

// Asked for until it is so, or can never be.
void Simulation::fork_and_extend() {
  for (std::size_t i = 0; i < plan_.experiments.size() && core_ != nullptr; ++i) {
    if (!extend_wanted_[i] || !created_[i]) continue;
    const ExperimentRow& row = core_->state().experiments[i];
    const SpecLimits& to = plan_.experiments[i].extended;
    extend_wanted_[i] = row.state <= ExperimentState::kStopped && limits_of(*row.spec) != to;
    if (extend_wanted_[i]) step_scheduler(ExtendExperiment{{104}, row.id, to.max_trials, {}, to.epochs});
  }
  const std::vector<WantedFork> wanted = forks_wanted_;
  for (const WantedFork& fork : wanted) {
    if (core_ == nullptr) return;
    const std::size_t i = fork.experiment.value - 1;
    const bool never = created_[i] && (core_->state().experiments[i].state == ExperimentState::kDeleted || !faulty());
    if (never) std::erase_if(forks_wanted_, [&](const WantedFork& one) { return one.number == fork.number; });
    if (never || !created_[i]) continue;
    ForkTrial event;
    event.request = {kForkRequests + fork.number};
    event.idempotency_key = "fork " + std::to_string(fork.number);
    event.experiment = fork.experiment;
    event.trial = {fork.trial};
    event.set["training.fork"] = static_cast<std::int64_t>(fork.number);
    step_scheduler(event);
  }
}

// Trials are paused and workers drained for a time, whatever they do meanwhile.
bool Simulation::control_something() {
  const State& state = core_->state();
  const auto wanted = [&](const std::vector<Wanted>& list, std::uint64_t number) {
    return std::any_of(list.begin(), list.end(), [&](const Wanted& w) { return w.number == number && now_ < w.until; });
  };
  for (const ExperimentRow& experiment : state.experiments) {
    if (experiment.ended()) continue;
    for (const TrialRow& trial : experiment.trials) {
      if (!live(trial.state)) continue;
      const bool paused = trial.state == TrialState::kPaused;
      if (paused == wanted(trials_paused_, trial.id.value)) continue;
      step_scheduler(
          ControlTrial{{101}, experiment.id, trial.id, paused ? TrialControl::kResume : TrialControl::kPause});
      return true;
    }
  }
  for (const WorkerRow& worker : state.workers) {
    const bool drained = worker.admission == Admission::kDrained;
    if (drained == wanted(workers_drained_, static_cast<std::uint64_t>(worker.name[1] - '1'))) continue;
    step_scheduler(ControlWorker{{102}, worker.id, drained ? WorkerControl::kResume : WorkerControl::kDrain});
    return true;
  }
  return false;
}

}  // namespace modelhop::sim
