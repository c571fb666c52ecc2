#pragma once
// Auditor: a second opinion on the core. Follows records and messages from outside and keeps its own small ledger, so a
// mistake in apply() and in its invariants together still shows.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/sim/plan.h"

namespace modelhop::sim {

class Auditor {
 public:
  explicit Auditor(const Plan& plan) : plan_(plan) {}
  void on_record(Instant now, const Record& record);
  void on_named(Instant now, const Progress& progress);   // a worker's word on what it runs reached the scheduler
  void on_heard(Instant now, const Incarnation& worker);  // any message of it reached the scheduler
  void on_sent(const ToWorker& message);                  // it has left the scheduler
  void on_replied(const Reply& reply);                    // likewise
  void on_restart(Instant now, const State& state);       // replayed from what was durable
  void scheduler_hung(std::int64_t ns);                   // it hears nobody for so long
  void state_damaged() { damaged_ = true; }
  bool damaged() const { return damaged_; }
  void on_step(Instant now);  // no lease outlives its time to live unnamed
  // When all has ended: each trial as if it had been trained alone, in order, without faults.
  void at_end(const State& state);
  std::vector<std::string> violations;

 private:
  struct Lease {
    ExperimentId experiment;
    UnitId unit;
    TrialId trial;
    Instant named;
  };
  struct Trial {
    std::uint32_t offset{};
    std::uint64_t visits{};
    Cursor durable;  // of the newest state that was said to be in the store, and that it can go back to
    bool ended{};
    std::uint32_t lineage{};
    StateRef head;
  };
  void say(const std::string& what) { violations.push_back(what); }
  void durable(const StateRef& state);
  void close(Token token, ExperimentId experiment, UnitId unit, const char* what);
  // The state that the trial's lineage gives after so many visits, trained alone.
  StateRef alone(const ExperimentRow& experiment, const TrialRow& trial, std::uint64_t visits) const;
  void check_fork(const ExperimentRow& experiment, const TrialRow& trial);
  void check_trial(const ExperimentRow& experiment, const PlannedExperiment& planned, const TrialRow& trial);

  const Plan& plan_;
  std::map<Token, Lease> open_;
  std::set<Token> dismissed_;  // tokens whose workers were told to forget
  Token newest_sent_, newest_leased_;
  std::map<Incarnation, Instant> heard_;
  Instant restarted_;
  std::set<WorkerId> drained_;
  std::set<ExperimentId> resting_;  // paused or stopping
  std::set<std::pair<ExperimentId, TrialId>> paused_;
  std::uint64_t experiments_promised_{};
  std::set<std::pair<ExperimentId, TrialId>> forks_promised_;
  bool damaged_{};  // a state in the store was, so that a unit may find none
  std::vector<std::vector<Trial>> experiments_;
};

}  // namespace modelhop::sim
