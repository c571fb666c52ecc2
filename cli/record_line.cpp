#include <fmt/format.h>

#include "cli/output.h"
#include "cli/view.h"
#include "scheduler/api/json_text.h"

namespace modelhop::cli {
namespace {

// Of a record's sums: "val_accuracy 0.8712  val_loss 0.34".
std::string means(const Json& sums, const char* prefix) {
  std::string out;
  for (const Json& sum : sums.is_array() ? sums : Json::array()) {
    const double weight = number_of(sum, "weight");
    if (weight > 0)
      out += fmt::format("  {}{} {:.4g}", prefix, printable(text_of(sum, "name")), number_of(sum, "total") / weight);
  }
  return out;
}

std::string trial_of(const Json& body, const Json& experiment) {
  return text_of(experiment, "id") + "." + std::to_string(count_of(body, "trial"));
}

std::string because(const Json& body) {
  const std::string reason = text_of(body, "reason");
  return reason.empty() ? "" : ": " + printable(reason);
}

}  // namespace

std::optional<std::string> record_line(const Json& record, const Json& experiment) {
  const std::string type = text_of(record, "type");
  const Json& body = member(record, "body");
  if (type == "trial_evaluated") {
    const double partitions = std::max(1.0, number_of(experiment, "partitions"));
    return fmt::format("{}  epoch {}/{}{}{}", trial_of(body, experiment),
                       short_number(number_of(body, "visits") / partitions), count_of(experiment, "epochs"),
                       means(member(body, "validation"), "val_"), means(member(body, "train"), "train_"));
  }
  if (type == "trial_forked") {
    const Json& source = member(body, "source");
    const double partitions = std::max(1.0, number_of(experiment, "partitions"));
    const double visits =
        number_of(member(source, "at"), "epoch") * partitions + number_of(member(source, "at"), "visit");
    return fmt::format("{}  goes on from {} at epoch {}", trial_of(body, experiment), trial_of(source, experiment),
                       short_number(visits / partitions));
  }
  if (type == "trial_target_changed") {
    const double partitions = std::max(1.0, number_of(experiment, "partitions"));
    return fmt::format("{}  trains on to epoch {}", trial_of(body, experiment),
                       short_number(number_of(body, "target_visits") / partitions));
  }
  if (type == "experiment_limits_changed") {
    std::string line = fmt::format("{}  is extended: {} epochs", text_of(experiment, "id"), count_of(body, "epochs"));
    if (count_of(body, "max_trials") > 0) line += fmt::format(", {} trials", count_of(body, "max_trials"));
    if (count_of(body, "time_budget_ms") > 0) {
      line += ", " + duration_text(number_of(body, "time_budget_ms") / 1000);
    }
    return line;
  }
  if (type == "trial_ended") {
    return fmt::format("{}  {}{}", trial_of(body, experiment), text_of(body, "how"), because(body));
  }
  if (type == "experiment_state_changed") {
    return fmt::format("{}  {}{}", text_of(experiment, "id"), text_of(body, "state"), because(body));
  }
  if (type == "unit_released") {
    const std::string detail = printable(text_of(body, "detail"));
    return fmt::format("{}.u{}  no result ({}){}", text_of(experiment, "id"), count_of(body, "unit"),
                       text_of(body, "fault"), detail.empty() ? "" : ": " + detail);
  }
  if (type == "unit_parked") {
    return fmt::format("{}.u{}  given up{}", text_of(experiment, "id"), count_of(body, "unit"), because(body));
  }
  return std::nullopt;
}

}  // namespace modelhop::cli
