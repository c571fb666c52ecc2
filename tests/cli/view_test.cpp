#include <catch2/catch_test_macros.hpp>

#include "cli/output.h"
#include "cli/view.h"
#include "common/base/time.h"

namespace modelhop::cli {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;

Json bar(const char* worker, const char* trial, std::int64_t from_s, std::int64_t to_s, bool open = false) {
  return {{"worker", worker},
          {"trial", trial},
          {"from", to_iso8601({kNow + from_s * 1000})},
          {"partition", 2},
          {"epoch", 0},
          {"outcome", open ? "open" : "finished"},
          {"to", open ? Json(nullptr) : Json(to_iso8601({kNow + to_s * 1000}))}};
}

Snapshot snapshot() {
  Snapshot out;
  out.now_ms = kNow;
  out.experiment = {{"id", "e1"},           {"name", "grid"},
                    {"state", "RUNNING"},   {"metric", "val_accuracy"},
                    {"trials_planned", 12}, {"visits_done", 24},
                    {"visits_planned", 48}, {"progress", 0.5},
                    {"elapsed_s", 41.0},    {"eta_s", 44.0},
                    {"gap", 0.031},         {"epochs", 5},
                    {"partitions", 4},      {"trials", {{"COMPLETED", 3}, {"RUNNING", 2}, {"FAILED", 1}}}};
  for (int i = 1; i <= 3; ++i) {
    out.trials.push_back({{"id", "e1." + std::to_string(i)},
                          {"state", "RUNNING"},
                          {"epochs", 2.0},
                          {"target_epochs", 5.0},
                          {"value", 0.9 - i * 0.01},
                          {"metrics", {{"val_loss", 0.3}}},
                          {"params", {{"training.optimizer.lr", 0.001}}}});
  }
  out.bars = {bar("w1", "e1.1", -40, -20), bar("w1", "e1.2", -20, 0, true), bar("w2", "e1.3", -40, -10)};
  out.idle = {
      {"causes", Json::array({{{"cause", "train"}, {"share", 0.91}}, {{"cause", "conflict"}, {"share", 0.06}}})},
      {"now", Json::array({{{"worker", "w1"}, {"busy", true}, {"cause", "train"}},
                           {{"worker", "w2"}, {"busy", false}, {"cause", "conflict"}}})}};
  return out;
}

TEST_CASE("the live view says what runs, what is best, how long, and why slots are idle", "[cli][view]") {
  const auto lines = render(snapshot(), {100, 30, false});
  std::string all;
  for (const auto& line : lines) all += line + "\n";
  INFO(all);
  CHECK(lines[0] == "e1 grid  RUNNING  4/12 trials done, 2 running, 1 failed");
  CHECK(lines[1].find("50 %") != std::string::npos);
  CHECK(lines[1].find("24/48 visits  41s  ETA 44s  gap to bound 3.1 %") != std::string::npos);
  CHECK(lines[2].starts_with("w1 |1"));
  CHECK(lines[2].ends_with("2| e1.2 epoch 1 partition 2"));
  CHECK(lines[3].ends_with(".| idle: conflict"));
  CHECK(lines[4] == "slot time: train 91 %  conflict 6 %");
  CHECK(lines[5].find("VAL_ACCURACY") != std::string::npos);
  CHECK(lines[6].starts_with("1 e1.1"));
}

TEST_CASE("what is unfinished where no scheduler works is shown as waiting", "[cli][view]") {
  Json experiment = snapshot().experiment;
  const std::vector<Json> trials = {{{"id", "e1.1"}, {"state", "RUNNING"}}, {{"id", "e1.2"}, {"state", "COMPLETED"}}};
  experiment["served"] = true;
  CHECK(trial_table(experiment, trials, 0).find("RUNNING") != std::string::npos);
  experiment["served"] = false;
  const std::string table = trial_table(experiment, trials, 0);
  CHECK(table.find("e1.1   WAITING") != std::string::npos);
  CHECK(table.find("e1.2   COMPLETED") != std::string::npos);
  CHECK(table.find("RUNNING") == std::string::npos);
  CHECK(shown_state("STOPPED", experiment) == "STOPPED");
}

TEST_CASE("no line is wider and no view higher than the terminal", "[cli][view]") {
  Snapshot big = snapshot();
  for (int i = 1; i <= 200; ++i) {
    big.bars.push_back(bar(("worker-with-a-long-name-" + std::to_string(i)).c_str(), "e1.77", -30, -5));
    big.trials.push_back(big.trials.front());
  }
  for (const std::size_t width : {20u, 40u, 80u, 200u}) {
    for (const std::size_t height : {6u, 10u, 24u, 60u}) {
      for (const bool color : {false, true}) {
        const auto lines = render(big, {width, height, color});
        CHECK(lines.size() <= height - 1);
        for (const auto& line : lines) {
          INFO(line);
          CHECK(display_width(line) <= width - 1);
        }
      }
    }
  }
}

TEST_CASE("a view of empty or strange answers is a view, not a crash", "[cli][view]") {
  CHECK(!render({}, {80, 24, true}).empty());
  Snapshot strange;
  strange.experiment = Json::array({1, 2});
  strange.trials = {Json("x"), Json(3)};
  strange.bars = {Json(nullptr), {{"worker", 7}, {"from", "never"}}};
  strange.idle = {{"causes", 3}, {"now", "x"}};
  CHECK(!render(strange, {80, 24, false}).empty());
}

TEST_CASE("a worker's row has a symbol of the trial per cell and dots where it was idle", "[cli][view]") {
  const std::vector<Json> bars = {bar("w1", "e1.1", -40, -20), bar("w1", "e1.10", -10, 0), bar("w2", "e1.3", -40, 0)};
  CHECK(gantt_line(bars, "w1", kNow - 40'000, kNow, 8, false) == "1111..aa");
  CHECK(gantt_line(bars, "w3", kNow - 40'000, kNow, 8, false) == "........");
  CHECK(display_width(gantt_line(bars, "w1", kNow - 40'000, kNow, 8, true)) == 8);
}

TEST_CASE("a progress bar is empty, growing and full", "[cli][view]") {
  CHECK(progress_bar(0, 4) == "[>   ]   0 %");
  CHECK(progress_bar(0.5, 4) == "[==> ]  50 %");
  CHECK(progress_bar(1, 4) == "[====] 100 %");
  CHECK(progress_bar(7, 4) == "[====] 100 %");
}

TEST_CASE("plain lines tell milestones, ends and faults, and nothing else", "[cli][view]") {
  const Json experiment = snapshot().experiment;
  const auto line = [&](const char* type, const Json& body) {
    return record_line({{"type", type}, {"body", body}}, experiment).value_or("");
  };
  CHECK(
      line("trial_evaluated", {{"trial", 3},
                               {"visits", 8},
                               {"validation", Json::array({{{"name", "accuracy"}, {"total", 87.0}, {"weight", 100}}})},
                               {"train", Json::array({{{"name", "loss"}, {"total", 30.0}, {"weight", 100}}})}}) ==
      "e1.3  epoch 2/5  val_accuracy 0.87  train_loss 0.3");
  CHECK(line("trial_ended", {{"trial", 3}, {"how", "FAILED"}, {"reason", "bad\ndata"}}) == "e1.3  FAILED: bad?data");
  CHECK(line("unit_released", {{"unit", 9}, {"fault", "worker_lost"}, {"detail", ""}}) ==
        "e1.u9  no result (worker_lost)");
  CHECK(line("unit_released", {{"unit", 9}, {"fault", "invalid_params"}, {"detail", "a kernel of 11"}}) ==
        "e1.u9  no result (invalid_params): a kernel of 11");
  CHECK(line("unit_leased", {{"unit", 9}}).empty());
}

}  // namespace
}  // namespace modelhop::cli
