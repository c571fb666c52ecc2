#pragma once
// What `run` and `exp watch` show, as pure functions from the API's JSON to lines of text.
#include <optional>
#include <string>
#include <vector>

#include "cli/json_input.h"

namespace modelhop::cli {

// The API's answers at one moment.
struct Snapshot {
  Json experiment;           // GET /experiments/{e}
  std::vector<Json> trials;  // GET .../trials?sort=value: the best first
  std::vector<Json> bars;    // GET .../gantt of the last kGanttWindowMs
  Json idle;                 // GET .../idle
  std::int64_t now_ms{};
};
inline constexpr std::int64_t kGanttWindowMs = 120'000;

struct ViewStyle {
  std::size_t width{80}, height{24};
  bool color{};
};

// The live view. Every line is at most width - 1 wide, and there are at most height - 1: nothing wraps or scrolls.
std::vector<std::string> render(const Snapshot& snapshot, const ViewStyle& style);

// One worker's row: a symbol per time cell, '.' where it was idle. The symbol is the trial's: see trial_symbol().
std::string gantt_line(const std::vector<Json>& bars, const std::string& worker, std::int64_t from_ms,
                       std::int64_t to_ms, std::size_t cells, bool color);
char trial_symbol(std::uint64_t trial);  // 1-9 a-z A-Z, then again

// "[=====>    ]  37 %"
std::string progress_bar(double fraction, std::size_t cells);

// What people read for a state: what is unfinished where no scheduler works (`shown`'s "served") is WAITING.
inline constexpr const char* kWaiting = "WAITING";
std::string shown_state(const std::string& state, const Json& shown);

// The best trials as a table; how many is the caller's choice.
std::string trial_table(const Json& experiment, const std::vector<Json>& trials, std::size_t width);

// One record as a plain line, for logs and pipes. Empty: not worth a line. `experiment`: GET /experiments/{e}.
std::optional<std::string> record_line(const Json& record, const Json& experiment);

}  // namespace modelhop::cli
