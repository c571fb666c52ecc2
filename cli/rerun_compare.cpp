#include "cli/rerun_compare.h"

#include <set>

#include "cli/output.h"

namespace modelhop::cli {
namespace {

std::uint64_t number_of_trial(const std::string& id) {
  const std::size_t dot = id.rfind('.');
  return dot == std::string::npos ? 0 : std::strtoull(id.c_str() + dot + 1, nullptr, 10);
}

using ByVisits = std::map<std::uint64_t, const Json*>;
struct TrialOfRun {
  const Json* trial{};
  ByVisits points;
};
using TrialsOfRun = std::map<std::uint64_t, TrialOfRun>;

TrialsOfRun by_number(const RunOfSpec& run) {
  TrialsOfRun out;
  for (const Json& trial : run.trials) out[number_of_trial(text_of(trial, "id"))].trial = &trial;
  for (const Json& point : run.points) {
    const auto trial = out.find(number_of_trial(text_of(point, "trial")));
    if (trial != out.end()) trial->second.points[count_of(point, "visits")] = &point;
  }
  return out;
}

class RunComparer {
 public:
  void compare(std::uint64_t number, const TrialOfRun& first, const TrialOfRun& again);
  void differs(std::uint64_t trial, const std::string& at, const std::string& what, const Json& first,
               const Json& again);
  RunComparison out;

 private:
  void equal(std::uint64_t trial, const std::string& at, const std::string& what, const Json& first,
             const Json& again) {
    if (first != again) differs(trial, at, what, first, again);
  }
  void compare_points(std::uint64_t number, const TrialOfRun& first, const TrialOfRun& again);
};

void RunComparer::differs(std::uint64_t trial, const std::string& at, const std::string& what, const Json& first,
                          const Json& again) {
  ++out.differ;
  if (out.differences.size() < kDifferencesKept) out.differences.push_back({trial, at, what, first, again});
}

std::set<std::string> keys_of(const Json& a, const Json& b) {
  std::set<std::string> keys;
  for (const Json* json : {&a, &b}) {
    for (const auto& item : json->items()) keys.insert(item.key());
  }
  return keys;
}

Json state_and_reason(const Json& trial) {
  const std::string reason = text_of(trial, "reason");
  return text_of(trial, "state") + (reason.empty() ? "" : ": " + reason);
}

void RunComparer::compare(std::uint64_t number, const TrialOfRun& first, const TrialOfRun& again) {
  ++out.trials;
  const Json &a = *first.trial, &b = *again.trial;
  const Json &params = member(a, "params"), &params_again = member(b, "params");
  for (const std::string& path : keys_of(params, params_again)) {
    equal(number, "", "parameter " + path, member(params, path), member(params_again, path));
  }
  if (text_of(a, "state") != text_of(b, "state"))
    differs(number, "", "state", state_and_reason(a), state_and_reason(b));
  for (const char* key : {"offset", "target_visits", "visits"}) {
    equal(number, "", key, member(a, key), member(b, key));
  }
  compare_points(number, first, again);
  // Where a trial ended inside a visit, the batch at which it did is an accident of time.
  if (count_of(a, "batch") != 0 || count_of(b, "batch") != 0) return;
  ++out.states;
  equal(number, "end", "state_hash", member(a, "state_hash"), member(b, "state_hash"));
}

void RunComparer::compare_points(std::uint64_t number, const TrialOfRun& first, const TrialOfRun& again) {
  std::set<std::uint64_t> visits;
  for (const auto* points : {&first.points, &again.points}) {
    for (const auto& [at, point] : *points) visits.insert(at);
  }
  for (const std::uint64_t at : visits) {
    const auto a = first.points.find(at), b = again.points.find(at);
    const Json& shown = a != first.points.end() ? *a->second : *b->second;
    const std::string epoch = "epoch " + short_number(number_of(shown, "epochs"));
    if (a == first.points.end() || b == again.points.end()) {
      differs(number, epoch, "milestone", a == first.points.end() ? Json(nullptr) : Json("reached"),
              b == again.points.end() ? Json(nullptr) : Json("reached"));
      continue;
    }
    ++out.milestones;
    ++out.states;
    for (const std::string& key : keys_of(*a->second, *b->second)) {
      if (key == "trial" || key == "at" || key == "visits" || key == "epochs") continue;
      equal(number, epoch, key, member(*a->second, key), member(*b->second, key));
    }
  }
}

}  // namespace

std::map<std::uint64_t, std::string> touched_by_hand(const std::vector<Json>& records) {
  std::map<std::uint64_t, std::string> out;
  std::set<std::uint64_t> ended;
  bool extended = false;
  for (const Json& record : records) {
    const std::string type = text_of(record, "type");
    const Json& body = member(record, "body");
    const std::uint64_t trial = count_of(body, "trial");
    const auto touched = [&](const char* why) { out.emplace(trial, why); };
    if (type == "experiment_limits_changed") extended = true;
    if (type == "trial_created" && extended) touched("it was made after the experiment had been extended");
    if (type == "trial_created" && member(body, "asked") == true) touched("somebody asked for it");
    if (type == "trial_forked") out[trial] = "it is a fork";
    if (type == "trial_target_changed") touched("it was extended");
    if (type == "trial_resumed" && ended.contains(trial)) touched("it was tried again after its end");
    if (type != "trial_ended") continue;
    ended.insert(trial);
    if (text_of(body, "how") == "STOPPED" && text_of(body, "reason") == "stop was asked") {
      touched("it was stopped by hand");
    }
  }
  return out;
}

RunComparison compare_runs(const RunOfSpec& first, const RunOfSpec& again,
                           const std::map<std::uint64_t, std::string>& left_out) {
  const TrialsOfRun a = by_number(first), b = by_number(again);
  RunComparer comparer;
  for (const auto& [number, trial] : a) {
    if (const auto why = left_out.find(number); why != left_out.end()) {
      comparer.out.left_out.insert(*why);
      continue;
    }
    if (const auto other = b.find(number); other != b.end()) {
      comparer.compare(number, trial, other->second);
    } else {
      comparer.differs(number, "", "trial", text_of(*trial.trial, "state"), nullptr);
    }
  }
  for (const auto& [number, trial] : b) {
    if (!a.contains(number)) comparer.differs(number, "", "trial", nullptr, text_of(*trial.trial, "state"));
  }
  return std::move(comparer.out);
}

}  // namespace modelhop::cli
