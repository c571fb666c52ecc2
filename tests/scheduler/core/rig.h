#pragma once
// What the core's tests share: a search that makes n trials, specs made by hand, names of workers, and a core to drive.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>

#include "common/base/limits.h"
#include "scheduler/core/core.h"

namespace modelhop::test {

// Makes `trials` trials of `target` visits, as many at a time as there is room for, then is done.
class CountingSearch : public Search {
 public:
  CountingSearch(std::uint64_t trials, std::uint64_t target) : trials_(trials), target_(target) {}
  void apply(const SearchRecord& record) override {
    made_ += std::holds_alternative<SearchTrialCreated>(record) ? 1 : 0;
  }
  std::vector<Decision> decide(const SearchView& view) const override {
    std::vector<Decision> decisions;
    const std::uint64_t more = std::min(trials_ - made_, view.room);
    for (std::uint64_t i = 0; i < more; ++i) {
      CreateTrial create;
      create.target_visits = target_;
      create.origin = "test " + std::to_string(made_ + i + 1);
      decisions.emplace_back(create);
    }
    if (made_ + more == trials_) decisions.emplace_back(std::in_place_type<SearchDone>);
    return decisions;
  }

 private:
  std::uint64_t trials_, target_, made_ = 0;
};

// `expanded` carries all that the hooks need to make the same spec again: the spec itself, by number.
inline std::vector<std::shared_ptr<const Spec>>& specs() {
  static std::vector<std::shared_ptr<const Spec>> all;
  return all;
}

inline std::shared_ptr<const Spec> keep(Spec spec) {
  spec.expanded = std::to_string(specs().size());
  specs().push_back(std::make_shared<const Spec>(std::move(spec)));
  return specs().back();
}

inline Spec make_spec(std::uint64_t trials, std::uint64_t epochs) {
  Spec spec;
  spec.name = "test";
  spec.dataset = "data";
  spec.epochs = epochs;
  spec.max_trials = trials;
  spec.metric = "val_loss";
  spec.reproducibility = Reproducibility::kRerun;
  return spec;
}

inline CoreHooks hooks() {
  return {
      .load_spec = [](std::string_view expanded) -> Result<std::shared_ptr<const Spec>> {
        return specs()[std::stoul(std::string(expanded))];
      },
      .make_search = [](std::shared_ptr<const Spec> spec, std::uint64_t partitions) -> Result<std::unique_ptr<Search>> {
        if (spec->algorithm == "none") return not_found("there is no search algorithm none");
        return std::unique_ptr<Search>(new CountingSearch(*spec->max_trials, spec->epochs * partitions));
      },
      .recipe = [](const Spec&, const Params&) { return std::string("{}"); },
      .with_limits = [](const Spec& spec, const SpecLimits& limits) -> Result<std::shared_ptr<const Spec>> {
        for (const auto& known : specs()) {  // the same number each time, so that a replay has it too
          if (known->notes == "of " + spec.expanded && limits_of(*known) == limits) return known;
        }
        Spec raised = spec;
        raised.notes = "of " + spec.expanded;
        if (limits.max_trials != 0) raised.max_trials = limits.max_trials;
        if (limits.time_budget_ms != 0) raised.time_budget_ms = limits.time_budget_ms;
        raised.epochs = limits.epochs;
        return keep(std::move(raised));
      },
      .horizon_schedule = [](const Spec& spec, const Params* trial) -> std::string {
        if (trial != nullptr && trial->contains("training.lr_schedule.name")) return "cosine";
        return spec.project == "cosine" ? "cosine" : "";
      },
      .fork_params = [](const Spec&, const Params& source, const Params& set) -> Result<Params> {
        Params params = source;
        for (const auto& [path, value] : set) {
          if (!path.starts_with("training.")) return invalid(path + " may not change");
          params[path] = value;
        }
        return params;
      },
      .trials_max = [](const Spec& spec, std::uint64_t) -> Result<std::uint64_t> {
        return std::min<std::uint64_t>(spec.max_trials.value_or(kTrialsMax), 12);
      },
  };
}

inline DatasetRegistered make_dataset(std::uint32_t partitions, std::uint8_t identity = 1) {
  DatasetRegistered info;
  info.name = "data";
  info.identity.bytes[0] = identity;
  info.partition_rows.assign(partitions, 100);
  info.partition_bytes = 1000;
  return info;
}

// Worker "w3" in its second life has incarnation 03 02 00...
inline Incarnation incarnation(unsigned worker, unsigned life) {
  Incarnation result;
  result.bytes[0] = static_cast<std::uint8_t>(worker);
  result.bytes[1] = static_cast<std::uint8_t>(life);
  return result;
}

// The state that a whole visit, or `batch` batches of one, makes of `parent`.
inline StateRef child(const StateRef& parent, std::uint32_t partitions, std::uint32_t batch = 0) {
  StateRef state = parent;
  state.at.step += batch == 0 ? 10 - parent.at.batch : batch - parent.at.batch;
  state.at.batch = batch;
  if (batch == 0 && ++state.at.visit == partitions) {
    state.at.visit = 0;
    ++state.at.epoch;
  }
  state.at.samples = state.at.step * 10;
  state.hash.bytes = {static_cast<std::uint8_t>(state.trial.value), static_cast<std::uint8_t>(state.at.epoch),
                      static_cast<std::uint8_t>(state.at.visit), static_cast<std::uint8_t>(batch), 1};
  return state;
}

// A core with a client, some workers, and everything it said.
struct Rig {
  explicit Rig(CoreConfig config = {}) : core(config, hooks()) { REQUIRE(core.begin_serving(1, now, {1}, all).ok()); }
  void step(const Event& event) {
    core.step(now, {now.ns / kMillisecond}, event, all);
    for (const std::string& broken : core.check_invariants()) FAIL(broken);
  }
  Status create(Spec spec, std::uint32_t partitions, std::string key = "") {
    CreateExperiment event;
    event.idempotency_key = std::move(key);
    event.spec = keep(std::move(spec));
    event.dataset = make_dataset(partitions);
    step(event);
    return std::get<Reply>(all.sends.back().message).status;
  }
  void hello(unsigned worker, const std::string& name = "") {
    WorkerHello event;
    event.name = name.empty() ? "w" + std::to_string(worker) : name;
    event.incarnation = incarnation(worker % 256, 1 + worker / 256);
    event.profile.bytes[0] = 1;
    step(event);
  }
  const ExperimentRow& experiment(std::size_t i = 0) { return core.state().experiments.at(i); }
  UnitReport report(const LeaseRow& lease) {
    UnitReport result;
    result.experiment = experiment().id;
    result.unit = lease.unit;
    result.token = lease.token;
    MemberResult member;
    const TrialRow& trial = experiment().trials[lease.trial.value - 1];
    StateRef parent = trial.head;
    parent.trial = trial.id;  // a fork's is another's
    parent.lineage = trial.lineage;
    member.state = child(parent, experiment().partitions);
    member.validation = {{"loss", 1, 1}};
    member.durable = true;
    result.members.push_back(member);
    return result;
  }
  // Time goes by, and workers say what they run.
  void pass(std::int64_t ns) {
    for (const Instant until = now + ns; now < until;) {
      now = std::min(until, now + 2 * kSecond);
      const std::vector<WorkerRow> workers = core.state().workers;
      for (const WorkerRow& worker : workers) {
        Heartbeat event{worker.incarnation, {}};
        for (const LeaseRow& lease : open_leases()) {
          if (lease.worker == worker.id) event.units.push_back({experiment().id, lease.unit, lease.token, {}});
        }
        if (worker.present) step(event);
      }
      step(Tick{});
    }
  }
  void finish(const LeaseRow& open) {
    const LeaseRow lease = open;
    step(UnitDone{lease.incarnation, report(lease)});
  }
  std::vector<LeaseRow> open_leases() {
    std::vector<LeaseRow> open;
    for (const LeaseRow& lease : experiment().leases) {
      if (lease.outcome == LeaseOutcome::kOpen) open.push_back(lease);
    }
    return open;
  }

  Instant now{kSecond};
  Actions all;
  Core core;
};

}  // namespace modelhop::test
