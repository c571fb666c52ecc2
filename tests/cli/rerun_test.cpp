#include <catch2/catch_test_macros.hpp>

#include "cli/rerun_compare.h"

namespace modelhop::cli {
namespace {

Json ended_trial(const std::string& id, double rate) {
  return {{"id", id},
          {"state", "COMPLETED"},
          {"params", {{"training.optimizer.lr", rate}}},
          {"offset", 1},
          {"visits", 4},
          {"target_visits", 4},
          {"batch", 0},
          {"state_hash", "h" + id.substr(id.find('.'))}};
}

Json point(const std::string& id, int visits, double loss) {
  return {{"trial", id},
          {"visits", visits},
          {"epochs", visits / 2.0},
          {"at", "then"},
          {"value", loss},
          {"val_loss", loss},
          {"state_hash", "h" + id.substr(id.find('.')) + "@" + std::to_string(visits)}};
}

RunOfSpec spec_run(const std::string& experiment) {
  RunOfSpec run;
  for (int number = 1; number <= 3; ++number) {
    const std::string id = experiment + "." + std::to_string(number);
    run.trials.push_back(ended_trial(id, 0.1 * number));
    run.points.push_back(point(id, 2, 0.5 / number));
    run.points.push_back(point(id, 4, 0.25 / number));
  }
  return run;
}

std::string told(const RunComparison& found) {
  std::string out;
  for (const RunDifference& one : found.differences) {
    out += std::to_string(one.trial) + " " + one.at + " " + one.what + " " + one.first.dump() + " " + one.again.dump() +
           "\n";
  }
  return out;
}

TEST_CASE("runs that differ in ids, times and the order of their rows are equal", "[cli][rerun]") {
  RunOfSpec again = spec_run("e2");
  std::reverse(again.trials.begin(), again.trials.end());
  std::reverse(again.points.begin(), again.points.end());
  for (Json& row : again.points) row["at"] = "now";
  const RunComparison found = compare_runs(spec_run("e1"), again, {});
  CHECK(told(found).empty());
  CHECK(found.differ == 0);
  CHECK(found.trials == 3);
  CHECK(found.milestones == 6);
  CHECK(found.states == 9);
}

TEST_CASE("every planted difference is found and named", "[cli][rerun]") {
  const RunOfSpec first = spec_run("e1");
  const auto with = [&](const auto& change) {
    RunOfSpec again = spec_run("e2");
    change(again);
    return told(compare_runs(first, again, {}));
  };
  CHECK(with([](RunOfSpec& run) { run.points[2]["val_loss"] = 0.2500000000000001; }) ==
        "2 epoch 1 val_loss 0.25 0.2500000000000001\n");
  CHECK(with([](RunOfSpec& run) { run.points[3]["state_hash"] = "x"; }) == "2 epoch 2 state_hash \"h.2@4\" \"x\"\n");
  CHECK(with([](RunOfSpec& run) { run.trials[0]["state_hash"] = nullptr; }) == "1 end state_hash \"h.1\" null\n");
  CHECK(with([](RunOfSpec& run) {
          run.trials[0]["state"] = "FAILED";
          run.trials[0]["reason"] = "why";
        }) == "1  state \"COMPLETED\" \"FAILED: why\"\n");
  CHECK(with([](RunOfSpec& run) { run.trials[0]["offset"] = 2; }) == "1  offset 1 2\n");
  CHECK(with([](RunOfSpec& run) { run.trials[0]["params"]["training.optimizer.lr"] = 0.7; }) ==
        "1  parameter training.optimizer.lr 0.1 0.7\n");
  CHECK(with([](RunOfSpec& run) { run.trials[0]["params"]["training.batch_size"] = 8; }) ==
        "1  parameter training.batch_size null 8\n");
  CHECK(with([](RunOfSpec& run) { run.points.erase(run.points.begin()); }) == "1 epoch 1 milestone \"reached\" null\n");
  CHECK(with([](RunOfSpec& run) { run.points[1]["val_accuracy"] = 1; }) == "1 epoch 2 val_accuracy null 1\n");
  CHECK(with([](RunOfSpec& run) { run.points[1]["val_loss"] = "NaN"; }) == "1 epoch 2 val_loss 0.25 \"NaN\"\n");
  CHECK(with([](RunOfSpec& run) { run.trials.pop_back(); }) == "3  trial \"COMPLETED\" null\n");
  CHECK(with([](RunOfSpec& run) { run.trials.push_back(ended_trial("e2.4", 1)); }) == "4  trial null \"COMPLETED\"\n");
}

TEST_CASE("where a trial ended inside a visit, its last state is not compared", "[cli][rerun]") {
  RunOfSpec first = spec_run("e1"), again = spec_run("e2");
  first.trials[1]["batch"] = 3;
  again.trials[1]["state_hash"] = "elsewhere";
  const RunComparison found = compare_runs(first, again, {});
  CHECK(found.differ == 0);
  CHECK(found.states == 8);
}

TEST_CASE("differences are counted beyond those that are kept", "[cli][rerun]") {
  RunOfSpec first, again;
  for (std::size_t i = 1; i <= kDifferencesKept + 7; ++i) {
    first.trials.push_back(ended_trial("e1." + std::to_string(i), 0.1));
    again.trials.push_back(ended_trial("e2." + std::to_string(i), 0.2));
  }
  const RunComparison found = compare_runs(first, again, {});
  CHECK(found.differences.size() == kDifferencesKept);
  CHECK(found.differ == kDifferencesKept + 7);
}

Json record(const char* type, Json body) { return {{"type", type}, {"body", std::move(body)}}; }

TEST_CASE("trials that somebody had a hand in are left out, and one that was only paused is not", "[cli][rerun]") {
  const auto touched = touched_by_hand(
      {record("trial_created", {{"trial", 1}}), record("trial_paused", {{"trial", 1}}),
       record("trial_resumed", {{"trial", 1}}), record("trial_ended", {{"trial", 1}, {"how", "COMPLETED"}}),
       record("trial_ended", {{"trial", 2}, {"how", "STOPPED"}, {"reason", "stop was asked"}}),
       record("trial_ended", {{"trial", 3}, {"how", "STOPPED"}, {"reason", "val_loss 0.2 reached 0.3"}}),
       record("trial_ended", {{"trial", 4}, {"how", "FAILED"}, {"reason", "its code"}}),
       record("trial_resumed", {{"trial", 4}}), record("trial_ended", {{"trial", 4}, {"how", "COMPLETED"}}),
       record("trial_created", {{"trial", 5}, {"asked", true}}), record("trial_forked", {{"trial", 5}}),
       record("experiment_limits_changed", {{"max_trials", 9}}), record("trial_target_changed", {{"trial", 6}}),
       record("trial_created", {{"trial", 7}}), record("trial_created", {{"trial", 8}, {"asked", true}})});
  CHECK(touched == std::map<std::uint64_t, std::string>{{2, "it was stopped by hand"},
                                                        {4, "it was tried again after its end"},
                                                        {5, "it is a fork"},
                                                        {6, "it was extended"},
                                                        {7, "it was made after the experiment had been extended"},
                                                        {8, "it was made after the experiment had been extended"}});
  RunOfSpec again = spec_run("e2");
  again.trials[1]["state"] = "COMPLETED";
  RunOfSpec first = spec_run("e1");
  first.trials[1]["state"] = "STOPPED";
  first.trials.push_back(ended_trial("e1.7", 1));
  const RunComparison found = compare_runs(first, again, touched);
  CHECK(told(found).empty());
  CHECK(found.trials == 2);
  CHECK(found.left_out.size() == 2);
}

}  // namespace
}  // namespace modelhop::cli
