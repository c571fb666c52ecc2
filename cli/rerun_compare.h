#pragma once
// Two runs of one spec, trial by trial. Pure: the API's JSON goes in, what differs comes out.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/json_input.h"

namespace modelhop::cli {

struct RunOfSpec {
  std::vector<Json> trials;  // GET .../trials
  std::vector<Json> points;  // GET .../export?rows=points: a row a milestone
};

// Why a trial is left out, by its number: somebody stopped it, tried it again, forked, extended or asked for it. What
// was only paused is compared: that changes when a visit runs, never its bits. `records`: all of the experiment.
std::map<std::uint64_t, std::string> touched_by_hand(const std::vector<Json>& records);

struct RunDifference {
  std::uint64_t trial{};
  std::string at;    // "epoch 2"; empty: of the trial as a whole
  std::string what;  // "val_loss", "state_hash", "parameter training.batch_size", "state"
  Json first, again;
};

struct RunComparison {
  std::uint64_t trials{}, milestones{}, states{};  // that were compared; states: by their hashes
  std::map<std::uint64_t, std::string> left_out;
  std::vector<RunDifference> differences;  // by trial, then by visits: the first kDifferencesKept
  std::uint64_t differ{};                  // of them, kept or not
};
inline constexpr std::size_t kDifferencesKept = 1'000;

RunComparison compare_runs(const RunOfSpec& first, const RunOfSpec& again,
                           const std::map<std::uint64_t, std::string>& left_out);

}  // namespace modelhop::cli
