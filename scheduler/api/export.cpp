#include "scheduler/api/export.h"

#include <algorithm>
#include <set>

#include "scheduler/api/find.h"
#include "scheduler/api/views.h"

namespace modelhop {
namespace {

// Rows as JSON objects and the order of their columns: both formats are written from the same values.
struct Table {
  std::vector<std::string> columns;
  std::vector<Json> rows;
};

void append(std::vector<std::string>& columns, const std::set<std::string>& more) {
  columns.insert(columns.end(), more.begin(), more.end());
}

// Validation before training, loss first: the order people read them in.
std::vector<std::string> metric_columns(const std::set<std::string>& names) {
  std::vector<std::string> out(names.begin(), names.end());
  const auto rank = [](const std::string& name) {
    return std::tuple(name.starts_with("val_") ? 0 : 1, name.ends_with("_loss") ? 0 : 1, name);
  };
  std::sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return out;
}

void append_metrics(const ExperimentRow& experiment, Table& table) {
  std::set<std::string> names;
  for (const TrialRow& trial : experiment.trials) {
    for (const Milestone& milestone : trial.milestones) {
      const Json metrics = metrics_json(milestone);
      for (const auto& item : metrics.items()) names.insert(item.key());
    }
  }
  const auto columns = metric_columns(names);
  table.columns.insert(table.columns.end(), columns.begin(), columns.end());
}

Table trials_table(const ExperimentRow& experiment) {
  Table table{{"trial", "state", "reason", "epochs"}, {}};
  std::set<std::string> paths;
  if (experiment.spec) {
    for (const Parameter& parameter : experiment.spec->space) paths.insert(parameter.path);
  }
  for (const TrialRow& trial : experiment.trials) {
    for (const auto& [path, value] : trial.params) paths.insert(path);
  }
  append(table.columns, paths);
  append_metrics(experiment, table);
  table.columns.push_back("state_hash");
  for (const TrialRow& trial : experiment.trials) {
    Json row = params_json(trial.params);
    if (!trial.milestones.empty()) row.update(metrics_json(trial.milestones.back()));
    row["trial"] = trial.id.value;
    row["state"] = to_string(trial.state);
    row["reason"] = trial.reason;
    row["epochs"] = epochs_of(trial.visits, experiment.partitions);
    row["state_hash"] = hash_json(trial.head.hash);
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table units_table(const State& state, const ExperimentRow& experiment) {
  Table table{{"unit", "trial", "visit", "epoch", "partition", "worker", "kind", "outcome", "fault", "path", "token",
               "from", "to", "load_s", "hop_s", "train_s", "evaluate_s", "save_s"},
              {}};
  for (const LeaseRow& lease : experiment.leases) table.rows.push_back(bar_json(state, experiment, lease));
  return table;
}

Table points_table(const ExperimentRow& experiment) {
  Table table{{"trial", "visits", "epochs", "at", "value"}, {}};
  append_metrics(experiment, table);
  table.columns.push_back("state_hash");
  for (const TrialRow& trial : experiment.trials) {
    for (const Milestone& milestone : trial.milestones) {
      Json row = metrics_json(milestone);
      row["trial"] = to_string(experiment.id, trial.id);
      row["visits"] = milestone.visits;
      row["epochs"] = epochs_of(milestone.visits, experiment.partitions);
      row["at"] = time_json(milestone.at);
      row["value"] = number_json(milestone.value);
      row["state_hash"] = hash_json(milestone.state.hash);
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

std::string field_text(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return csv_field(value.get_ref<const std::string&>());
  if (value.is_number_float()) return number_text(value.get<double>());
  return dump(value);
}

std::string to_csv(const Table& table) {
  std::string out;
  for (std::size_t i = 0; i < table.columns.size(); ++i) out += (i == 0 ? "" : ",") + csv_field(table.columns[i]);
  out += '\n';
  for (const Json& row : table.rows) {
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      if (i > 0) out += ',';
      const auto field = row.find(table.columns[i]);
      if (field != row.end()) out += field_text(*field);
    }
    out += '\n';
  }
  return out;
}

std::string to_jsonl(const Table& table) {
  std::string out;
  for (const Json& row : table.rows) {
    out += '{';
    bool first = true;
    for (const std::string& column : table.columns) {
      const auto field = row.find(column);
      if (field == row.end()) continue;
      out += (first ? "" : ",") + dump(column) + ':';
      out += field->is_number_float() ? number_text(field->get<double>()) : dump(*field);
      first = false;
    }
    out += "}\n";
  }
  return out;
}

}  // namespace

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string export_rows(const State& state, const ExperimentRow& experiment, ExportRows rows, ExportFormat format) {
  const Table table = rows == ExportRows::kTrials  ? trials_table(experiment)
                      : rows == ExportRows::kUnits ? units_table(state, experiment)
                                                   : points_table(experiment);
  return format == ExportFormat::kCsv ? to_csv(table) : to_jsonl(table);
}

}  // namespace modelhop
