#pragma once
// The search spec: what people submit. Format: docs/spec.md; the one schema: common/spec/spec.schema.json.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/spec/manifest.h"
#include "common/spec/params.h"
#include "common/spec/recipe.h"

namespace modelhop {

struct Problem {        // one error or warning of a spec
  std::string pointer;  // RFC 6901 JSON pointer into the spec as sent
  std::string message;  // what is wrong and the fix, with the nearest legal name where there is one
  bool warning{};       // true: the spec is accepted (what could not be checked without the data set)
};

enum class MetricScope : std::uint8_t { kLast, kBest };
enum class Reproducibility : std::uint8_t { kVerify, kReplay, kRerun };

struct StopRule {      // ends a trial, looked at in each milestone
  std::string metric;  // "val_accuracy"; empty: none
  double threshold{};  // reached or passed, in the metric's direction
  bool metric_maximize{};
  std::optional<std::uint64_t> patience;  // milestones without a better value
};

// A spec that passed every check. Immutable; shared by core, search and views.
struct Spec {
  std::string name, project, notes;
  std::vector<std::string> labels;
  std::uint32_t priority{50};  // 0 .. kPriorityMax; higher goes first
  std::uint64_t seed{};
  std::string dataset;
  std::uint64_t epochs{};           // training.epochs: the resource of grid and random, and every schedule's horizon
  std::uint64_t evaluate_every{1};  // epochs between milestones; the last visit always is one
  std::string algorithm;            // "grid", "random"
  std::string algorithm_options;    // JSON object: all keys of "algorithm" but name, defaults filled
  std::optional<std::uint64_t> max_trials;
  std::optional<std::uint64_t> max_concurrent_trials;
  std::uint64_t max_restarts{3};
  std::optional<std::uint64_t> max_failed_trials;
  std::optional<std::uint64_t> time_budget_ms;
  std::string metric;  // "val_accuracy"
  bool maximize{};
  MetricScope metric_scope{};
  std::vector<StopRule> stop;
  Space space;
  std::vector<Params> points_to_evaluate;
  Reproducibility reproducibility{};
  std::uint64_t max_work_at_risk_ms{60'000};
  std::uint64_t save_experiment_best{1}, save_trial_best{0}, save_trial_latest{1};
  std::string expanded;  // canonical JSON with every default: what is stored, shown and hashed
};

struct ParsedSpec {
  std::shared_ptr<const Spec> spec;  // null if any problem is an error
  std::vector<Problem> problems;     // all of them at once, in document order
};

// Reads, checks and expands a spec. `text`: UTF-8 JSON, at most kSpecBytesMax. `data`: the manifest of the spec's data
// set; null: everything else is checked and a warning lists what could not be. Never throws; pure; any thread.
ParsedSpec parse_spec(std::string_view text, const Manifest* data);

// Reads a spec back from Spec::expanded, as a journal holds it: without a data set's checks, by the same schema.
Result<std::shared_ptr<const Spec>> restore_spec(std::string_view expanded);

// The name under "dataset", to find the manifest before parse_spec; empty where the text does not say.
std::string dataset_of_spec(std::string_view text);

// One trial's recipe as JSON: dataset, model, training of the spec with `params` put in at their paths, and the seed.
// Canonical: equal inputs give equal bytes. REQUIRES: params come from spec.space.
std::string recipe_json(const Spec& spec, const Params& params);

std::string_view spec_schema();  // the JSON Schema file's text

// `message` lines as the CLI prints them: "spec.json /parameters/x/low: ...".
std::string format_problems(const std::string& file, const std::vector<Problem>& problems);

// Canonical text of a value and of a set of values ({"path":value,...}); exact for doubles.
std::string to_json_text(const Value& value);
std::string to_json_text(const Params& params);

}  // namespace modelhop
