#pragma once
// Runs a transcript: commands, then "----", then what the core did. Grammar: the commands of Transcript::run().
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/scheduler/core/rig.h"

namespace modelhop::test {

class Transcript {
 public:
  // Runs every command of `text` and returns the same text with what happened now under each "----".
  std::string rewrite(const std::string& text) {
    std::istringstream in(text);
    std::string line, result;
    std::vector<std::string> commands;
    bool output = false;
    while (std::getline(in, line)) {
      if (line == "----") {
        result += "----\n";
        for (const std::string& command : commands) result += run(command);
        commands.clear();
        output = true;
      } else if (output) {
        if (!line.empty()) continue;  // the old output
        output = false;
        result += "\n";
      } else {
        if (!line.empty() && line[0] != '#') commands.push_back(line);
        result += line + "\n";
      }
    }
    return result;
  }

 private:
  using Words = std::map<std::string, std::string>;

  std::string run(const std::string& command) {
    said_.str("");
    std::istringstream in(command);
    std::string verb, word;
    in >> verb;
    Words words;
    std::vector<std::string> plain;
    while (in >> word) {
      const auto equals = word.find('=');
      if (equals == std::string::npos) {
        plain.push_back(word);
      } else {
        words[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
    const std::string who = plain.empty() ? "" : plain[0];
    if (verb == "config") {
      config(words);
    } else if (verb == "create") {
      create(words);
    } else if (verb == "hello") {
      hello(who, words, plain);
    } else if (verb == "heartbeat") {
      Heartbeat event{life(who, words), {}};
      for (std::size_t i = 1; i < plain.size(); ++i) event.units.push_back(progress(plain[i]));
      step(event);
    } else if (verb == "finished" || verb == "yielded" || verb == "stopped" || verb == "fault") {
      report(verb, who, words, plain);
    } else if (verb == "again" || verb == "saved") {  // a copy; or: what was reported as held is in the store
      UnitDone again{life(who, words), reported_.at(progress(plain.at(1)).token)};
      again.report.members.at(0).durable |= verb == "saved";
      step(again);
    } else if (verb == "bye") {
      step(WorkerBye{life(who, words), "asked to stop"});
    } else if (verb == "gone") {
      step(WorkerGone{life(who, words), "killed by signal 9", plain.size() > 1 && plain[1] == "for_good"});
    } else if (verb == "trial_pause" || verb == "trial_resume" || verb == "trial_stop" || verb == "trial_retry") {
      ControlTrial event{{++request_}, {}, {}, TrialControl::kPause};
      parse(who, event.experiment, event.trial);
      if (verb == "trial_resume") event.control = TrialControl::kResume;
      if (verb == "trial_stop") event.control = TrialControl::kStop;
      if (verb == "trial_retry") event.control = TrialControl::kRetry;
      step(event);
    } else if (verb == "fork") {  // fork e1.1 at=0.2 epochs=3 training.lr=5 key=k
      ForkTrial event{{++request_}, "", {}, {}, {}, {}, {}};
      parse(who, event.experiment, event.trial);
      for (const auto& [key, value] : words) {
        if (key == "key") {
          event.idempotency_key = value;
        } else if (key == "epochs") {
          event.epochs = std::stoull(value);
        } else if (key == "at") {
          event.at = {static_cast<std::uint32_t>(std::stoul(value)), std::stoull(value.substr(value.find('.') + 1))};
        } else {
          event.set[key] = std::int64_t{std::stoll(value)};
        }
      }
      step(event);
    } else if (verb == "extend") {  // extend e1 max_trials=4 budget_s=60 epochs=3
      ExtendExperiment event{{++request_}, {}, {}, {}, {}};
      parse(who, event.experiment);
      if (words.contains("max_trials")) event.max_trials = std::stoull(words.at("max_trials"));
      if (words.contains("budget_s")) event.time_budget_ms = std::stoull(words.at("budget_s")) * 1000;
      if (words.contains("epochs")) event.epochs = std::stoull(words.at("epochs"));
      step(event);
    } else if (verb == "worker_drain" || verb == "worker_resume" || verb == "worker_remove") {
      ControlWorker event{{++request_}, {static_cast<std::uint32_t>(std::stoul(who.substr(1)))}, WorkerControl::kDrain};
      if (verb == "worker_resume") event.control = WorkerControl::kResume;
      if (verb == "worker_remove") event.control = WorkerControl::kRemove;
      step(event);
    } else if (verb == "priority") {
      ChangeExperiment event{{++request_}, {}, {}, {}, {}, static_cast<std::uint32_t>(std::stoul(plain.at(1)))};
      parse(who, event.experiment);
      step(event);
    } else if (verb == "pause" || verb == "resume" || verb == "stop" || verb == "cancel" || verb == "delete") {
      ControlExperiment event{{++request_},
                              {},
                              verb == "pause"    ? Control::kPause
                              : verb == "resume" ? Control::kResume
                              : verb == "stop"   ? Control::kStop
                              : verb == "cancel" ? Control::kCancel
                                                 : Control::kDelete};
      if (!parse(who, event.experiment)) said_ << "bad id " << who << "\n";
      step(event);
    } else if (verb == "deleted") {
      const std::vector<StateRef> gone = std::move(deleting_);
      deleting_.clear();
      for (const StateRef& state : gone) step(StateGone{state});
    } else if (verb == "advance") {
      advance(std::stoll(who) * kSecond);
    } else if (verb == "disk") {
      step(DiskSpace{who == "low", "disk full: the state directory has no room"});
    } else if (verb == "drain") {
      step(DrainAll{});
    } else if (verb == "restart") {
      restart(who.empty() ? 0 : std::stoll(who) * kSecond);
    } else if (verb == "slots") {
      slots();
    } else if (verb == "trials") {
      trials();
    } else if (verb == "account") {
      account();
    } else {
      said_ << "unknown command: " << verb << "\n";
    }
    if (core_ != nullptr) {
      for (const std::string& broken : core_->check_invariants()) said_ << "BROKEN " << broken << "\n";
    }
    return said_.str();
  }

  void config(const Words& words) {
    for (const auto& [key, value] : words) {
      const auto number = static_cast<std::uint32_t>(std::stoul(value));
      if (key == "workers_expected")
        config_.workers_expected = number;
      else if (key == "replicas")
        config_.replicas = number;
      else if (key == "deaths")
        config_.unit_worker_deaths_max = number;
      else if (key == "replace_s")
        config_.replace_after_ms = number * 1000;
      else if (key == "stall_s")
        config_.stall_ms = number * 1000;
      else if (key == "lost_s")
        config_.worker_lost_ms = number * 1000;
      else
        said_ << "unknown setting " << key << "\n";
    }
  }

  Core& core() {
    if (core_ == nullptr) {
      core_ = std::make_unique<Core>(config_, hooks());
      Actions actions;
      if (!core_->begin_serving(++boot_, now_, wall(), actions).ok()) said_ << "BROKEN boot\n";
      take(actions);
      said_.str("");
    }
    return *core_;
  }

  WallMs wall() const { return {1'000'000 + now_.ns / kMillisecond}; }

  void step(const Event& event) {
    Actions actions;
    core().step(now_, wall(), event, actions);
    take(actions);
  }

  void take(const Actions& actions) {
    for (const Record& record : actions.records) {
      said_ << "record " << type_name(record.body);
      std::visit([&](const auto& body) { print(body); }, record.body);
      said_ << "\n";
      journal_.push_back(record);
    }
    for (const Send& send : actions.sends) {
      said_ << (send.after_seq == core_->state().seq ? "send" : "BROKEN after_seq");
      if (const auto* to = std::get_if<Incarnation>(&send.to)) said_ << " " << name_of(*to);
      if (const auto* message = std::get_if<ToWorker>(&send.message))
        std::visit([&](const auto& m) { print(m); }, *message);
      if (const auto* answer = std::get_if<Reply>(&send.message)) {
        said_ << " reply ";
        if (answer->status.ok() && answer->trial)
          said_ << to_string(answer->experiment, answer->trial);
        else
          answer->status.ok() ? said_ << to_string(answer->experiment) : said_ << answer->status.message();
      }
      said_ << "\n";
    }
    for (const DeleteState& one : actions.deletes) {
      said_ << "delete " << name_of(one.state) << "\n";
      deleting_.push_back(one.state);
    }
    wake_ = actions.wake_at;
  }

  void advance(std::int64_t ns) {
    const Instant until = now_ + ns;
    core();
    while (wake_ && *wake_ <= until) {
      now_ = std::max(now_, *wake_);
      step(Tick{});
    }
    now_ = until;
  }

  void restart(std::int64_t down_ns) {
    now_ = now_ + down_ns;
    auto fresh = std::make_unique<Core>(config_, hooks());
    for (const Record& record : journal_) {
      if (const Status status = fresh->apply(record); !status.ok()) said_ << "BROKEN " << status.message() << "\n";
    }
    if (fresh->snapshot() != core().snapshot()) said_ << "BROKEN replay gives another state\n";
    auto loaded = std::make_unique<Core>(config_, hooks());
    if (const Status status = loaded->load(fresh->save()); !status.ok()) said_ << "BROKEN " << status.message() << "\n";
    if (loaded->snapshot() != core().snapshot()) said_ << "BROKEN a saved state is loaded as another\n";
    for (const std::string& differs : loaded->check_index()) said_ << "BROKEN " << differs << "\n";
    core_ = std::move(loaded);
    deleting_.clear();
    Actions actions;
    if (!core_->begin_serving(++boot_, now_, wall(), actions).ok()) said_ << "BROKEN boot\n";
    take(actions);
  }

  void create(const Words& words) {
    const auto get = [&](const char* key, std::uint64_t otherwise) {
      const auto found = words.find(key);
      return found == words.end() ? otherwise : std::stoull(found->second);
    };
    Spec spec = make_spec(get("trials", 1), get("epochs", 1));
    spec.evaluate_every = get("evaluate_every", 1);
    spec.max_restarts = get("max_restarts", 3);
    spec.save_trial_best = get("save_trial_best", 0);
    spec.save_trial_latest = get("save_trial_latest", 1);
    if (words.contains("patience")) spec.stop.push_back({.metric = "", .patience = get("patience", 0)});
    if (words.contains("below")) spec.stop.push_back({"val_loss", std::stod(words.at("below")), false, {}});
    if (words.contains("concurrent")) spec.max_concurrent_trials = get("concurrent", 0);
    if (words.contains("max_failed")) spec.max_failed_trials = get("max_failed", 0);
    if (words.contains("budget_s")) spec.time_budget_ms = get("budget_s", 0) * 1000;
    if (words.contains("verify")) spec.reproducibility = Reproducibility::kVerify;
    if (words.contains("algorithm")) spec.algorithm = words.at("algorithm");
    CreateExperiment event;
    event.request = {++request_};
    if (words.contains("key")) event.idempotency_key = words.at("key");
    event.spec_sent = "{}";
    event.spec = keep(std::move(spec));
    event.dataset =
        make_dataset(static_cast<std::uint32_t>(get("partitions", 2)), static_cast<std::uint8_t>(get("identity", 1)));
    step(event);
  }

  Incarnation life(const std::string& who, const Words& words) {
    const auto found = words.find("life");
    return incarnation(static_cast<unsigned>(std::stoul(who.substr(1))),
                       found == words.end() ? 1 : static_cast<unsigned>(std::stoul(found->second)));
  }

  Progress progress(const std::string& text) {  // e1.u3:1.7
    Progress result;
    const auto colon = text.find(':');
    if (colon == std::string::npos || !parse(text.substr(0, colon), result.experiment, result.unit) ||
        !parse(text.substr(colon + 1), result.token)) {
      said_ << "bad unit " << text << "\n";
    }
    return result;
  }

  void hello(const std::string& who, const Words& words, const std::vector<std::string>& plain) {
    WorkerHello event;
    event.name = who;
    event.incarnation = life(who, words);
    event.profile.bytes[0] = words.contains("profile") ? static_cast<std::uint8_t>(words.at("profile")[0]) : 'A';
    event.device = "cpu";
    event.threads = 1;
    if (words.contains("boot_seen")) event.boot_seen = std::stoull(words.at("boot_seen"));
    for (std::size_t i = 1; i < plain.size(); ++i) event.running.push_back(progress(plain[i]));
    step(event);
  }

  // finished w1 e1.u1:1.1 loss=0.5 | yielded w1 e1.u1:1.1 batch=3 | stopped w1 e1.u1:1.1 | fault w1 e1.u1:1.1 user_code
  void report(const std::string& verb, const std::string& who, const Words& words,
              const std::vector<std::string>& plain) {
    const Progress unit = progress(plain.at(1));
    UnitReport report;
    report.experiment = unit.experiment;
    report.unit = unit.unit;
    report.token = unit.token;
    const ExperimentRow& row = core().state().experiments.at(unit.experiment.value - 1);
    const UnitRow& unit_row = row.units.at(unit.unit.value - 1);
    const TrialRow& trial = row.trials.at(unit_row.trial.value - 1);
    report.times.train_ns = 900 * kMillisecond;
    report.times.save_ns = 100 * kMillisecond;
    const auto batch = words.contains("batch") ? static_cast<std::uint32_t>(std::stoul(words.at("batch"))) : 0u;
    if (verb == "fault") {
      for (unsigned fault = 0; fault < kEnumCount<Fault>; ++fault) {
        if (plain.at(2) == to_string(static_cast<Fault>(fault))) report.fault = static_cast<Fault>(fault);
      }
      report.detail = "the layer exploded";
    } else if (verb != "stopped") {
      MemberResult member;
      member.yielded = verb == "yielded";
      StateRef parent = trial.head;
      parent.trial = trial.id;  // a fork's is another's
      member.state = member.yielded && batch == 0 ? trial.head : child(parent, row.partitions, batch);
      if (!member.yielded || batch > 0) member.state.lineage = trial.lineage;
      if (words.contains("diverged")) member.state.hash.bytes[5] = 1;
      member.durable = std::find(plain.begin(), plain.end(), "held") == plain.end();
      if (words.contains("wrong_trial")) member.state.trial.value += 1;
      member.train = {{"loss", 10, 10}};
      if (!member.yielded)
        member.validation = {{"loss", words.contains("loss") ? std::stod(words.at("loss")) * 10 : 10, 10}};
      report.members.push_back(member);
    }
    reported_[report.token] = report;
    step(UnitDone{life(who, words), report});
  }

  void slots() {
    for (const Core::SlotStatus& slot : core().slots(now_)) {
      said_ << "slot w" << slot.worker.value << " " << to_string(slot.cause) << (slot.connected ? "" : " gone");
      if (slot.unit) said_ << " " << to_string(slot.experiment, slot.unit);
      said_ << "\n";
    }
  }

  void trials() {
    for (const ExperimentRow& row : core().state().experiments) {
      said_ << to_string(row.id) << " " << to_string(row.state) << " " << row.reason << "\n";
      for (const TrialRow& trial : row.trials) {
        said_ << to_string(row.id, trial.id) << " " << to_string(trial.state) << " visits=" << trial.visits
              << " milestones=" << trial.milestones.size() << " stored=" << trial.stored.size() << " " << trial.reason
              << "\n";
      }
    }
  }

  void account() {
    for (const ExperimentRow& row : core().state().experiments) {
      const LiveAccounting sums = core().accounting(row.id, now_);
      said_ << to_string(row.id);
      for (std::size_t i = 0; i < kCauses; ++i) {
        if (sums.slot_ns[i] > 0)
          said_ << " " << to_string(static_cast<Cause>(i)) << "=" << sums.slot_ns[i] / kMillisecond;
      }
      said_ << " slot_time=" << sums.slot_time_ns / kMillisecond << " elapsed=" << sums.elapsed_ns / kMillisecond
            << " bound=" << sums.bound_ns / kMillisecond << " ms\n";
    }
  }

  std::string name_of(const Incarnation& who) {
    return "w" + std::to_string(who.bytes[0]) + (who.bytes[1] > 1 ? "(life " + std::to_string(who.bytes[1]) + ")" : "");
  }
  std::string name_of(const StateRef& state) {
    const std::string name = to_string(state.experiment, state.trial);
    if (!state.hash) return name + "@initial";
    return name + "@" + std::to_string(state.at.epoch) + "." + std::to_string(state.at.visit) + "." +
           std::to_string(state.at.batch);
  }

  void print(const Booted& r) { said_ << " " << r.boot; }
  void print(const WorkerJoined& r) { said_ << " " << name_of(r.incarnation); }
  void print(const WorkerLeft& r) { said_ << " " << name_of(r.incarnation) << ": " << r.reason; }
  void print(const DatasetRegistered& r) { said_ << " " << r.name << " partitions=" << r.partition_rows.size(); }
  void print(const PartitionPlaced& r) { said_ << " " << r.partition.value << " on w" << r.worker.value; }
  void print(const PartitionDropped& r) { said_ << " " << r.partition.value << " on w" << r.worker.value; }
  void print(const ExperimentCreated& r) { said_ << " " << to_string(r.experiment); }
  void print(const ExperimentStateChanged& r) {
    said_ << " " << to_string(r.experiment) << " " << to_string(r.state) << ": " << r.reason;
    std::uint64_t ms = 0;
    for (const auto& [cause, value] : r.slot_ms) ms += value;
    if (ms > 0) said_ << " (slot_ms " << ms << ", bound_ms " << r.bound_ms << ")";
  }
  void print(const TrialCreated& r) {
    said_ << " " << to_string(r.experiment, r.trial) << " offset=" << r.offset << " target=" << r.target_visits;
    if (r.asked) said_ << ": " << r.origin;
  }
  void print(const TrialForked& r) {
    said_ << " " << to_string(r.experiment, r.trial) << " of " << name_of(r.source) << " " << to_json_text(r.params)
          << " revision=" << r.params_revision << " lineage=" << r.lineage;
  }
  void print(const TrialTargetChanged& r) {
    said_ << " " << to_string(r.experiment, r.trial) << " target=" << r.target_visits;
  }
  void print(const ExperimentLimitsChanged& r) {
    said_ << " " << to_string(r.experiment) << " max_trials=" << r.max_trials << " budget_ms=" << r.time_budget_ms
          << " epochs=" << r.epochs;
  }
  void print(const TrialEvaluated& r) {
    said_ << " " << to_string(r.experiment, r.trial) << " visits=" << r.visits << " value=" << r.value
          << " state=" << name_of(r.state);
  }
  void print(const TrialPaused& r) { said_ << " " << to_string(r.experiment, r.trial) << ": " << r.reason; }
  void print(const TrialResumed& r) {
    said_ << " " << to_string(r.experiment, r.trial);
    if (r.lineage != 0) said_ << " lineage=" << r.lineage;
    said_ << ": " << r.reason;
  }
  void print(const WorkerAdmissionChanged& r) { said_ << " w" << r.worker.value << " " << to_string(r.admission); }
  void print(const ExperimentChanged& r) {
    said_ << " " << to_string(r.experiment) << " name=" << r.name << " priority=" << r.priority;
  }
  void print(const TrialEnded& r) {
    said_ << " " << to_string(r.experiment, r.trial) << " " << to_string(r.how) << ": " << r.reason;
  }
  void print(const TrialRolledBack& r) {
    said_ << " " << to_string(r.experiment, r.trial) << " to " << name_of(r.to) << " lineage=" << r.lineage << ": "
          << r.reason;
  }
  void print(const UnitDiverged& r) {
    said_ << " " << to_string(r.experiment, r.unit) << " expected " << name_of(r.expected) << " got "
          << name_of(r.state);
  }
  void print(const StateDurable& r) { said_ << " " << name_of(r.state); }
  void print(const UnitLeased& r) {
    said_ << " " << to_string(r.experiment, r.unit) << " trial=" << r.trial.value << " token=" << to_string(r.token)
          << " w" << r.worker.value << " visit=" << r.visit << " partition=" << r.partition.value
          << (r.then_evaluate ? " then_evaluate" : "");
  }
  void print(const UnitFinished& r) {
    said_ << " " << to_string(r.experiment, r.unit) << " token=" << to_string(r.token) << " state=" << name_of(r.state)
          << (r.durable ? "" : " held");
  }
  void print(const UnitYielded& r) {
    said_ << " " << to_string(r.experiment, r.unit) << " token=" << to_string(r.token) << " state=" << name_of(r.state);
  }
  void print(const UnitReleased& r) {
    said_ << " " << to_string(r.experiment, r.unit) << " token=" << to_string(r.token)
          << " fault=" << to_string(r.fault) << ": " << r.detail;
  }
  void print(const UnitParked& r) { said_ << " " << to_string(r.experiment, r.unit) << ": " << r.reason; }
  void print(const StateDeleteIntended& r) { said_ << " " << name_of(r.state); }
  void print(const StateDeleted& r) { said_ << " " << name_of(r.state); }

  void print(const Welcome& m) { said_ << " welcome boot=" << m.boot; }
  void print(const Refused& m) { said_ << " refused: " << m.reason; }
  void print(const Place& m) {
    said_ << " place";
    for (const PartitionIndex p : m.partitions) said_ << " " << p.value;
  }
  void print(const RunUnit& m) {
    said_ << " run " << to_string(m.lease.unit.experiment, m.lease.unit.id) << " token=" << to_string(m.lease.token)
          << " from " << name_of(m.lease.unit.members.at(0).parent);
  }
  void print(const YieldUnit& m) {
    said_ << " yield " << to_string(m.experiment, m.unit) << " token=" << to_string(m.token)
          << (m.keep ? " keep" : " drop");
  }
  void print(const Dismiss& m) {
    said_ << " dismiss " << to_string(m.experiment, m.unit) << " token=" << to_string(m.token)
          << (m.durable ? "" : " held");
  }
  void print(const Shutdown& m) { said_ << " shutdown: " << m.reason; }

  std::map<Token, UnitReport> reported_;
  CoreConfig config_;
  std::unique_ptr<Core> core_;
  std::vector<Record> journal_;
  std::vector<StateRef> deleting_;
  std::ostringstream said_;
  Instant now_{kSecond};
  std::optional<Instant> wake_;
  std::uint64_t request_{}, boot_{};
};

}  // namespace modelhop::test
