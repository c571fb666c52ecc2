#include "scheduler/api/prometheus.h"

#include <array>
#include <map>

#include "scheduler/api/json_text.h"
#include "scheduler/api/progress.h"
#include "scheduler/api/views.h"

namespace modelhop {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

std::string escaped(const std::string& value) {
  std::string out;
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

// Writes one family after another; every sample of a family stands under its HELP and TYPE.
class Text {
 public:
  void family(const std::string& name, const char* type, const char* help) {
    name_ = name;
    out_ += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  void sample(const Labels& labels, double value, const std::string& suffix = "") {
    out_ += name_ + suffix;
    if (!labels.empty()) {
      out_ += '{';
      for (std::size_t i = 0; i < labels.size(); ++i) {
        out_ += (i == 0 ? "" : ",") + labels[i].first + "=\"" + escaped(labels[i].second) + "\"";
      }
      out_ += '}';
    }
    out_ += ' ' + number(value) + '\n';
  }
  static std::string number(double value) {
    const std::string text = number_text(value);
    return text == "Infinity" ? "+Inf" : text == "-Infinity" ? "-Inf" : text;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string name_, out_;
};

struct Histogram {
  static constexpr std::array<double, 12> kBounds{0.001, 0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30, 120, 600, 3600};
  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  double sum{};
  void add(double value) {
    std::size_t at = 0;
    while (at < kBounds.size() && value > kBounds[at]) ++at;
    ++counts[at];
    sum += value;
  }
  void write(Text& text, const Labels& labels) const {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i <= kBounds.size(); ++i) {
      total += counts[i];
      Labels with = labels;
      with.emplace_back("le", i < kBounds.size() ? Text::number(kBounds[i]) : "+Inf");
      text.sample(with, static_cast<double>(total), "_bucket");
    }
    text.sample(labels, sum, "_sum");
    text.sample(labels, static_cast<double>(total), "_count");
  }
};

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// What the leases of all experiments add up to.
struct Units {
  std::map<std::string, std::uint64_t> outcomes, retries, hops;
  Histogram duration, checkpoint;
  std::map<std::string, Histogram> hop_duration;
};

Units units_of(const State& state) {
  Units out;
  for (const ExperimentRow& experiment : state.experiments) {
    for (const LeaseRow& lease : experiment.leases) {
      if (lease.outcome == LeaseOutcome::kOpen) continue;
      ++out.outcomes[to_string(lease.outcome)];
      if (lease.outcome == LeaseOutcome::kReleased) {
        ++out.retries[to_string(lease.fault)];
        continue;
      }
      if (lease.outcome == LeaseOutcome::kFinished) {
        out.duration.add(static_cast<double>(lease.to.value - lease.from.value) / 1e3);
      }
      const std::string path = to_string(lease.path);
      ++out.hops[path];
      out.hop_duration[path].add(seconds(lease.times.hop_ns));
      out.checkpoint.add(seconds(lease.times.save_ns));
    }
  }
  return out;
}

void write_units(const State& state, Text& text) {
  const Units units = units_of(state);
  text.family("modelhop_units_total", "counter", "Lease attempts that ended, by kind and outcome.");
  for (const char* outcome : {"finished", "yielded", "released"}) {
    const auto found = units.outcomes.find(outcome);
    text.sample({{"kind", "train"}, {"outcome", outcome}},
                found == units.outcomes.end() ? 0.0 : static_cast<double>(found->second));
  }
  text.family("modelhop_unit_duration_seconds", "histogram", "Length of finished units, from lease to result.");
  units.duration.write(text, {{"kind", "train"}});
  text.family("modelhop_unit_retries_total", "counter", "Units released without a result, by fault.");
  for (const auto& [fault, count] : units.retries) text.sample({{"fault", fault}}, static_cast<double>(count));
  text.family("modelhop_hops_total", "counter", "How a unit's parent state came to its worker.");
  for (const auto& [path, count] : units.hops) {
    text.sample({{"path", path}, {"outcome", "ok"}}, static_cast<double>(count));
  }
  text.family("modelhop_hop_duration_seconds", "histogram", "Time to bring a parent state into memory.");
  for (const auto& [path, histogram] : units.hop_duration) histogram.write(text, {{"path", path}});
  text.family("modelhop_checkpoint_duration_seconds", "histogram", "Time to write a state to the store.");
  units.checkpoint.write(text, {});
}

void write_counts(const Core& core, const ApiContext& context, Text& text) {
  const State& state = core.state();
  std::map<std::string, double> experiments, trials, ended, causes;
  for (std::size_t s = 0; s < kTrialStates; ++s) {
    const auto trial_state = static_cast<TrialState>(s);
    trials[to_string(trial_state)] = 0;
    if (trial_state >= TrialState::kCompleted) ended[to_string(trial_state)] = 0;
  }
  for (const auto s : {ExperimentState::kRunning, ExperimentState::kStopping, ExperimentState::kCompleted,
                       ExperimentState::kStopped, ExperimentState::kCanceled, ExperimentState::kFailed}) {
    experiments[to_string(s)] = 0;
  }
  for (std::size_t cause = 0; cause < kCauses; ++cause) causes[to_string(static_cast<Cause>(cause))] = 0;
  double gap = -1;
  for (const ExperimentRow& row : state.experiments) {
    if (row.state == ExperimentState::kDeleted) continue;
    ++experiments[to_string(row.state)];
    for (const TrialRow& trial : row.trials) {
      ++trials[to_string(trial.state)];
      if (trial.state >= TrialState::kCompleted) ++ended[to_string(trial.state)];
    }
    const ExperimentProgress progress = progress_of(core, context, row);
    for (const auto& [cause, s] : progress.slot_seconds) causes[cause] += s;
    if (!row.ended() && progress.gap) gap = std::max(gap, *progress.gap);
  }
  text.family("modelhop_experiments", "gauge", "Experiments by state.");
  for (const auto& [name, count] : experiments) text.sample({{"state", name}}, count);
  text.family("modelhop_trials", "gauge", "Trials by state.");
  for (const auto& [name, count] : trials) text.sample({{"state", name}}, count);
  text.family("modelhop_trials_ended_total", "counter", "Trials that ended, by how.");
  for (const auto& [name, count] : ended) text.sample({{"how", name}}, count);
  text.family("modelhop_slot_seconds_total", "counter", "Where slot time went; the causes sum to slots x time.");
  for (const auto& [cause, s] : causes) text.sample({{"cause", cause}}, s);
  if (gap >= 0) {
    text.family("modelhop_bound_gap_ratio", "gauge",
                "Largest gap of a running experiment to its bound: elapsed / bound - 1.");
    text.sample({}, gap);
  }
}

}  // namespace

std::string prometheus_text(const Core& core, const ApiContext& context) {
  Text text;
  text.family("modelhop_build_info", "gauge", "Always 1; the version is its label.");
  text.sample({{"version", context.version}}, 1);
  text.family("modelhop_boot_number", "gauge", "Times the scheduler was started on this journal.");
  text.sample({}, static_cast<double>(core.state().boot));
  write_counts(core, context, text);
  double busy = 0, idle = 0;
  for (const auto& slot : core.slots(context.now)) {
    if (slot.connected) ++(slot.unit ? busy : idle);
  }
  text.family("modelhop_slots", "gauge", "Slots of connected workers, by state.");
  text.sample({{"state", "busy"}}, busy);
  text.sample({{"state", "idle"}}, idle);
  text.family("modelhop_workers_connected", "gauge", "Workers that answer.");
  text.sample({}, busy + idle);
  write_units(core.state(), text);
  return text.take();
}

}  // namespace modelhop
