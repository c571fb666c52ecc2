#include "cli/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/output.h"
#include "scheduler/api/json_text.h"

namespace modelhop::cli {
namespace {

constexpr const char* kReset = "\x1b[0m";

std::string colored(const std::string& text, const char* code, bool color) {
  return color ? std::string("\x1b[") + code + "m" + text + kReset : text;
}

const char* trial_color(std::uint64_t trial) {
  static constexpr const char* kColors[] = {"36", "33", "32", "35", "34", "31", "96", "93", "92", "95"};
  return kColors[trial % std::size(kColors)];
}

const char* state_color(const std::string& state) {
  if (state == "RUNNING") return "36";
  if (state == "COMPLETED") return "32";
  if (state == "FAILED" || state == "INVALID") return "31";
  return "0";
}

// "e7.12" -> 12
std::uint64_t trial_number(const std::string& id) { return parse_u64(id.substr(id.rfind('.') + 1)).value_or(0); }

std::int64_t moment(const Json& bar, const char* key, std::int64_t otherwise) {
  const auto time = parse_time(text_of(bar, key));
  return time ? time->value : otherwise;
}

// w2 before w10.
bool natural_less(const std::string& a, const std::string& b) {
  const auto split = [](const std::string& name) {
    std::size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
    return std::tuple(name.substr(0, digits), parse_u64(name.substr(digits)).value_or(0), name);
  };
  return split(a) < split(b);
}

std::string head_line(const Json& experiment, bool color) {
  const Json& trials = member(experiment, "trials");
  const std::string state = shown_state(text_of(experiment, "state"), experiment);
  std::uint64_t ended = 0;
  for (const char* how : {"COMPLETED", "STOPPED", "FAILED", "CANCELED", "INVALID"}) ended += count_of(trials, how);
  std::string out =
      fmt::format("{} {}  {}  {}/{} trials done, {} running", text_of(experiment, "id"),
                  printable(text_of(experiment, "name")), colored(state, state_color(state), color), ended,
                  count_of(experiment, "trials_planned"), state == kWaiting ? 0 : count_of(trials, "RUNNING"));
  if (const auto failed = count_of(trials, "FAILED") + count_of(trials, "INVALID"); failed > 0) {
    out += colored(fmt::format(", {} failed", failed), "31", color);
  }
  return out;
}

std::string progress_line(const Json& experiment, std::size_t width) {
  std::string right =
      fmt::format("{}/{} visits  {}", count_of(experiment, "visits_done"), count_of(experiment, "visits_planned"),
                  duration_text(number_of(experiment, "elapsed_s")));
  if (member(experiment, "eta_s").is_number()) right += "  ETA " + duration_text(number_of(experiment, "eta_s"));
  if (member(experiment, "gap").is_number()) {
    right += fmt::format("  gap to bound {:.1f} %", number_of(experiment, "gap") * 100);
  }
  const std::size_t used = right.size() + 12;
  return progress_bar(number_of(experiment, "progress"),
                      width > used + 10 ? std::min<std::size_t>(width - used, 40) : 10) +
         "  " + right;
}

std::string causes_line(const Json& idle) {
  std::vector<std::pair<double, std::string>> shares;
  const Json& causes = member(idle, "causes");
  for (const Json& cause : causes.is_array() ? causes : Json::array()) {
    shares.emplace_back(number_of(cause, "share"), text_of(cause, "cause"));
  }
  std::sort(shares.rbegin(), shares.rend());
  std::string out;
  for (const auto& [share, cause] : shares) {
    if (share >= 0.005) out += fmt::format("{}{} {:.0f} %", out.empty() ? "slot time: " : "  ", cause, share * 100);
  }
  return out;
}

struct WorkerNow {
  std::string text;
  bool busy{};
};

std::map<std::string, WorkerNow> workers_now(const Snapshot& snapshot) {
  std::map<std::string, WorkerNow> out;
  const Json& now = member(snapshot.idle, "now");
  for (const Json& slot : now.is_array() ? now : Json::array()) {
    const bool busy = member(slot, "busy").is_boolean() && member(slot, "busy").get<bool>();
    out[text_of(slot, "worker")] = {busy ? text_of(slot, "cause") : "idle: " + text_of(slot, "cause"), busy};
  }
  for (const Json& bar : snapshot.bars) {
    if (text_of(bar, "outcome") != "open") continue;
    out[text_of(bar, "worker")] = {fmt::format("{} epoch {} partition {}", text_of(bar, "trial"),
                                               count_of(bar, "epoch") + 1, count_of(bar, "partition")),
                                   true};
  }
  return out;
}

void add_gantt(const Snapshot& snapshot, const ViewStyle& style, std::size_t lines_max, std::vector<std::string>& out) {
  const auto now = workers_now(snapshot);
  std::set<std::string> seen;
  std::int64_t first = snapshot.now_ms;
  for (const auto& [name, what] : now) seen.insert(name);
  for (const Json& bar : snapshot.bars) {
    seen.insert(text_of(bar, "worker"));
    first = std::min(first, moment(bar, "from", first));
  }
  std::vector<std::string> names(seen.begin(), seen.end());
  std::sort(names.begin(), names.end(), natural_less);
  std::size_t widest = 0;
  for (const auto& name : names) widest = std::max(widest, display_width(name));
  const std::size_t text_width = style.width >= 50 ? 28 : 0;
  const std::size_t cells = style.width > widest + text_width + 14 ? style.width - widest - text_width - 6 : 10;
  const std::int64_t from = std::min(std::max(first, snapshot.now_ms - kGanttWindowMs), snapshot.now_ms - 5'000);
  std::size_t shown = 0;
  for (const auto& name : names) {
    if (shown == lines_max - 1 && names.size() > lines_max) {
      out.push_back(fmt::format("and {} more workers", names.size() - shown));
      break;
    }
    ++shown;
    const auto what = now.find(name);
    out.push_back(printable(name) + std::string(widest - display_width(name), ' ') + " |" +
                  gantt_line(snapshot.bars, name, from, snapshot.now_ms, cells, style.color) + "| " +
                  (what == now.end() ? "gone" : printable(what->second.text)));
  }
}

}  // namespace

char trial_symbol(std::uint64_t trial) {
  static constexpr std::string_view kSymbols = "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return kSymbols[(trial == 0 ? 0 : trial - 1) % kSymbols.size()];
}

std::string progress_bar(double fraction, std::size_t cells) {
  fraction = std::clamp(fraction, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(fraction * static_cast<double>(cells));
  std::string bar(full, '=');
  if (full < cells) bar += '>';
  bar.resize(cells, ' ');
  return fmt::format("[{}] {:3.0f} %", bar, fraction * 100);
}

std::string gantt_line(const std::vector<Json>& bars, const std::string& worker, std::int64_t from_ms,
                       std::int64_t to_ms, std::size_t cells, bool color) {
  std::vector<std::uint64_t> cell(cells, 0);
  const double per_cell = static_cast<double>(std::max<std::int64_t>(to_ms - from_ms, 1)) / static_cast<double>(cells);
  for (const Json& bar : bars) {
    if (text_of(bar, "worker") != worker) continue;
    const std::int64_t start = moment(bar, "from", to_ms), end = moment(bar, "to", to_ms);
    if (end < from_ms || start >= to_ms) continue;
    const auto at = [&](std::int64_t ms) {
      return static_cast<std::size_t>(
          std::clamp(static_cast<double>(ms - from_ms) / per_cell, 0.0, static_cast<double>(cells)));
    };
    const std::size_t last = std::min(std::max(at(end), at(start) + 1), cells);
    for (std::size_t i = at(start); i < last; ++i) cell[i] = trial_number(text_of(bar, "trial"));
  }
  std::string out;
  for (std::size_t i = 0; i < cells; ++i) {
    const bool starts = i == 0 || cell[i] != cell[i - 1];
    if (color && starts) out += cell[i] == 0 ? "\x1b[90m" : std::string("\x1b[") + trial_color(cell[i]) + "m";
    out += cell[i] == 0 ? '.' : trial_symbol(cell[i]);
  }
  return color ? out + kReset : out;
}

std::string shown_state(const std::string& state, const Json& shown) {
  const bool waits = member(shown, "served") == Json(false) && (state == "RUNNING" || state == "STOPPING");
  return waits ? kWaiting : state;
}

std::string trial_table(const Json& experiment, const std::vector<Json>& trials, std::size_t width) {
  const std::string metric = text_of(experiment, "metric");
  std::vector<Column> columns = {
      key_column("trial", "id"),
      {"state", [&](const Json& trial) { return Json(shown_state(text_of(trial, "state"), experiment)); }},
      {"epochs",
       [](const Json& trial) {
         return Json(short_number(number_of(trial, "epochs")) + "/" + short_number(number_of(trial, "target_epochs")));
       }},
      {metric, [](const Json& trial) { return member(trial, "value"); }}};
  for (const char* other : {"val_accuracy", "val_loss", "train_loss"}) {
    const bool known = std::any_of(trials.begin(), trials.end(),
                                   [&](const Json& trial) { return member(trial, "metrics").contains(other); });
    if (metric != other && known) {
      columns.push_back({other, [other](const Json& trial) { return member(member(trial, "metrics"), other); }});
    }
  }
  columns.push_back({"parameters", [](const Json& trial) { return Json(params_text(member(trial, "params"))); }});
  return format_table(columns, trials, width);
}

std::vector<std::string> render(const Snapshot& snapshot, const ViewStyle& style) {
  const std::size_t height = std::max<std::size_t>(style.height, 6) - 1,
                    width = std::max<std::size_t>(style.width, 20) - 1;
  std::vector<std::string> out = {head_line(snapshot.experiment, style.color),
                                  progress_line(snapshot.experiment, width)};
  const std::size_t left = height > 4 ? height - 4 : 1;
  add_gantt(snapshot, {width, style.height, style.color}, std::max<std::size_t>(left / 2, 1), out);
  if (const std::string causes = causes_line(snapshot.idle); !causes.empty()) out.push_back(causes);
  const std::string table = trial_table(snapshot.experiment, snapshot.trials, 0);
  std::size_t row = 0;
  for (std::size_t from = 0; from < table.size() && out.size() < height; ++row) {
    const std::size_t end = table.find('\n', from);
    std::string line = table.substr(from, end - from);
    if (row == 0) {
      line = "  " + colored(line, "1", style.color);
    } else {
      const Json& trial = snapshot.trials[row - 1];
      const std::uint64_t number = trial_number(text_of(trial, "id"));
      const std::string symbol(1, trial_symbol(number));
      line = (style.color ? colored(symbol, trial_color(number), true) : symbol) + " " + line;
    }
    if (row <= snapshot.trials.size()) out.push_back(std::move(line));
    from = end + 1;
  }
  if (out.size() > height) out.resize(height);
  for (std::string& line : out) line = cut_to_width(line, width);
  return out;
}

}  // namespace modelhop::cli
