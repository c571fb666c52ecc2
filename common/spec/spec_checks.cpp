#include "common/spec/spec_checks.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/spec/json_reader.h"
#include "common/spec/json_text.h"
#include "common/spec/schema.h"
#include "common/spec/schema_scalar.h"
#include "common/spec/suggest.h"

namespace modelhop {
namespace {

using nlohmann::json;

const std::vector<std::string> kKnownMetrics = {"loss", "accuracy", "top5_accuracy", "mae", "mse"};

// Whether the value is there and as the schema wants it. What a parameter gives, rightly or not, may be absent.
bool sound(const json& document, const Problems& found, const std::string& pointer) {
  return found.clean(pointer) && document.contains(json::json_pointer(pointer));
}

bool is_accuracy(const std::string& metric) { return metric.ends_with("accuracy"); }

// Names of what training computes: loss, and training.metrics. Where that list has an error, it may mean any.
std::vector<std::string> computed(const json& document, const Problems& found) {
  if (!sound(document, found, "/training/metrics")) return kKnownMetrics;
  std::vector<std::string> out = {"loss"};
  for (const json& metric : document.at("training").at("metrics")) out.push_back(metric.at("name").get<std::string>());
  return out;
}

// Reports a metric (val_accuracy) that this experiment does not compute.
void check_metric(const std::string& name, const std::vector<std::string>& has, const Manifest* data,
                  const std::string& pointer, Problems& problems) {
  const bool val = name.starts_with("val_"), train = name.starts_with("train_");
  const std::string bare = val ? name.substr(4) : (train ? name.substr(6) : name);
  std::vector<std::string> legal;
  for (const char* prefix : {"val_", "train_"}) {
    for (const std::string& one : has) legal.push_back(prefix + one);
  }
  const bool known = std::find(kKnownMetrics.begin(), kKnownMetrics.end(), bare) != kKnownMetrics.end();
  if (!val && !train) {
    problems.error(pointer, shown(name) + " must begin with val_ or train_" +
                                (known ? "; did you mean \"val_" + bare + "\"?" : suggestion(name, legal)));
  } else if (!known) {
    problems.error(pointer, shown(name) + " is unknown" + suggestion(name, legal));
  } else if (std::find(has.begin(), has.end(), bare) == has.end()) {
    problems.error(pointer, shown(name) + " is not computed; add \"" + bare + "\" to training.metrics");
  } else if (val && data != nullptr && !data->validation) {
    problems.error(pointer, shown(name) + " needs a validation set, and data set \"" + data->name +
                                "\" has none; take train_" + bare + ", or import it with --validation-rows");
  }
}

std::optional<std::uint64_t> number_at(const json& document, const char* key) {
  const auto found = document.find(key);
  if (found == document.end()) return std::nullopt;
  return found->get<std::uint64_t>();
}

std::uint64_t duration_at(const json& object, const char* key) {
  std::uint64_t out = 0;
  CHECK(parse_duration(object.at(key).get_ref<const std::string&>(), out));  // the schema has checked it
  return out;
}

void read_goal(json& metric, Spec& spec, Problems& problems) {
  const char* natural = is_accuracy(spec.metric) ? "maximize" : "minimize";
  if (!metric.contains("goal")) metric["goal"] = natural;
  spec.maximize = metric.at("goal") == "maximize";
  if (metric.at("goal") != natural) {
    problems.warn("/metric/goal", std::string("to ") + metric.at("goal").get<std::string>() + " " + spec.metric +
                                      " prefers the worst trial; " + natural + " is usual");
  }
  spec.metric_scope = metric.at("scope") == "best" ? MetricScope::kBest : MetricScope::kLast;
}

void read_stop(const json& document, const std::vector<std::string>& has, const Manifest* data, Spec& spec,
               Problems& problems) {
  const auto stop = document.find("stop");
  if (stop == document.end() || !stop->is_object()) return;
  if (stop->empty()) problems.error("/stop", "is empty; give a metric and its value, or patience, or leave it out");
  for (const auto& [key, value] : stop->items()) {
    StopRule rule;
    if (!value.is_number()) continue;  // reported by the schema
    if (key == "patience") {
      if (!value.is_number_unsigned()) continue;
      rule.patience = value.get<std::uint64_t>();
    } else {
      if (nearest_name(key, {"patience"}) == "patience") {
        problems.error("/stop" + pointer_step(key), "is unknown; did you mean \"patience\"?");
        continue;
      }
      check_metric(key, has, data, "/stop" + pointer_step(key), problems);
      rule.metric = key;
      rule.threshold = value.get<double>();
      rule.metric_maximize = key == spec.metric ? spec.maximize : is_accuracy(key);
    }
    spec.stop.push_back(std::move(rule));
  }
}

void read_algorithm(const json& document, Spec& spec, const Problems& found, Problems& problems) {
  json options = document.at("algorithm");
  spec.algorithm = options.at("name").get<std::string>();
  options.erase("name");
  spec.algorithm_options = canonical_text(options);
  const auto list = document.find("points_to_evaluate");
  const std::size_t points = list != document.end() && list->is_array() ? list->size() : 0;
  if (spec.algorithm == "grid" && points > 0) {
    problems.error("/points_to_evaluate", "is for algorithm random: a grid trains its own points; leave it out");
  }
  if (spec.algorithm == "random" && !document.contains("max_trials") && !document.contains("time_budget")) {
    problems.error("/max_trials", "is missing: random draws for ever; give max_trials or time_budget");
  }
  if (found.clean("/max_trials") && spec.max_trials && points > *spec.max_trials) {
    problems.error("/points_to_evaluate",
                   "has " + std::to_string(points) + " points, but max_trials is " + std::to_string(*spec.max_trials));
  }
}

void read_execution(json& document, Spec& spec, Problems& problems) {
  json& execution = document.at("execution");
  // How many trials a time budget leaves room for depends on the cluster.
  if (!execution.contains("reproducibility")) execution["reproducibility"] = spec.time_budget_ms ? "verify" : "rerun";
  const json& level = execution.at("reproducibility");
  spec.reproducibility = level == "rerun"    ? Reproducibility::kRerun
                         : level == "replay" ? Reproducibility::kReplay
                                             : Reproducibility::kVerify;
  if (spec.time_budget_ms && spec.reproducibility == Reproducibility::kRerun) {
    problems.error("/execution/reproducibility",
                   "rerun promises the same trials on any cluster, and time_budget ends the search by the clock; take "
                   "verify, or max_trials instead of time_budget");
  }
}

void read_plain_keys(const json& document, Spec& spec) {
  spec.name = document.at("name").get<std::string>();
  spec.project = document.at("project").get<std::string>();
  spec.notes = document.value("notes", "");
  spec.labels = document.at("labels").get<std::vector<std::string>>();
  spec.seed = document.at("seed").get<std::uint64_t>();
  spec.dataset = document.at("dataset").at("name").get<std::string>();
  spec.epochs = document.at("training").at("epochs").get<std::uint64_t>();
  spec.evaluate_every = document.at("evaluate_every").get<std::uint64_t>();
  spec.max_concurrent_trials = number_at(document, "max_concurrent_trials");
  spec.max_restarts = document.at("max_restarts").get<std::uint64_t>();
  spec.max_failed_trials = number_at(document, "max_failed_trials");
  if (const auto priority = number_at(document, "priority")) spec.priority = static_cast<std::uint32_t>(*priority);
  const json& checkpoint = document.at("checkpoint");
  spec.max_work_at_risk_ms = duration_at(checkpoint, "max_work_at_risk");
  spec.save_experiment_best = checkpoint.at("save_experiment_best").get<std::uint64_t>();
  spec.save_trial_best = checkpoint.at("save_trial_best").get<std::uint64_t>();
  spec.save_trial_latest = checkpoint.at("save_trial_latest").get<std::uint64_t>();
}

}  // namespace

void read_search_keys(json& document, const Manifest* data, Spec& spec, Problems& problems) {
  const Problems found = problems;
  const std::vector<std::string> has = computed(document, found);
  if (problems.errors() == 0) read_plain_keys(document, spec);
  if (found.clean("/max_trials")) spec.max_trials = number_at(document, "max_trials");
  if (sound(document, found, "/time_budget")) {
    spec.time_budget_ms = duration_at(document, "time_budget");
  }
  if (sound(document, found, "/metric/name")) {
    spec.metric = document.at("metric").at("name").get<std::string>();
    check_metric(spec.metric, has, data, "/metric/name", problems);
  }
  if (sound(document, found, "/metric")) read_goal(document.at("metric"), spec, problems);
  read_stop(document, has, data, spec, problems);
  if (sound(document, found, "/algorithm")) read_algorithm(document, spec, found, problems);
  if (sound(document, found, "/execution") && found.clean("/time_budget")) read_execution(document, spec, problems);
}

}  // namespace modelhop
