#include "common/wire/records.h"

#include <array>
#include <utility>

#include "common/wire/json.h"
#include "common/wire/record_fields.h"

namespace modelhop {
namespace {

struct Type {
  const char* name;
  std::uint16_t version;
};
// In RecordBody's order.
constexpr std::array<Type, std::variant_size_v<RecordBody>> kTypes = {{
    {"booted", 2},
    {"worker_joined", 1},
    {"worker_left", 1},
    {"worker_admission_changed", 1},
    {"dataset_registered", 1},
    {"partition_placed", 1},
    {"partition_dropped", 1},
    {"experiment_created", 1},
    {"experiment_state_changed", 1},
    {"experiment_changed", 1},
    {"experiment_limits_changed", 1},
    {"trial_created", 2},
    {"trial_forked", 1},
    {"trial_target_changed", 1},
    {"trial_evaluated", 1},
    {"trial_paused", 1},
    {"trial_resumed", 2},
    {"trial_ended", 2},
    {"trial_rolled_back", 1},
    {"unit_leased", 1},
    {"unit_finished", 2},
    {"unit_yielded", 1},
    {"unit_released", 1},
    {"unit_parked", 1},
    {"unit_diverged", 1},
    {"state_durable", 1},
    {"state_delete_intended", 1},
    {"state_deleted", 1},
}};

// How a body of an older version becomes one of the next: a key that it lacks, and its value.
struct Upgrade {
  const char* type;
  std::uint16_t from;
  const char* key;
  const char* value;  // JSON
};
constexpr Upgrade kUpgrades[] = {
    {"booted", 1, "accept_lost_tail", "false"},
    {"trial_resumed", 1, "lineage", "0"},  // it went on with the one that it had
    {"trial_created", 1, "asked", "false"},
    {"trial_created", 1, "idempotency_key", R"("")"},
    {"trial_created", 1, "request", R"("00000000000000000000000000000000")"},
    {"trial_ended", 1, "with_experiment", "false"},
    {"unit_finished", 1, "durable", "true"},  // a state was in the store before its unit was reported
};

// False: it has a key that its version did not know.
bool upgrade(nlohmann::json& body, std::string_view type, std::uint16_t from) {
  for (const Upgrade& step : kUpgrades) {  // by version
    if (!body.is_object() || type != step.type || from > step.from) continue;
    if (!body.emplace(step.key, nlohmann::json::parse(step.value)).second) return false;
  }
  return true;
}

std::string dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

template <std::size_t... kIndex>
void emplace_type(RecordBody& body, std::size_t type, std::index_sequence<kIndex...>) {
  (void)((type == kIndex && (body.emplace<kIndex>(), true)) || ...);
}

nlohmann::json body_json(const RecordBody& body) {
  JsonWriter writer;
  std::visit([&](const auto& held) { fields(writer, held); }, body);
  return std::move(writer.object);
}

}  // namespace

const char* type_name(const RecordBody& body) { return kTypes[body.index()].name; }

std::uint16_t type_version(const RecordBody& body) { return kTypes[body.index()].version; }

ExperimentId experiment_of(const RecordBody& body) {
  return std::visit(
      [](const auto& held) -> ExperimentId {
        if constexpr (requires { held.experiment; }) return held.experiment;
        if constexpr (requires { held.state.experiment; }) return held.state.experiment;
        return {};
      },
      body);
}

const char* to_string(Admission admission) {
  static constexpr const char* kNames[] = {"active", "drained", "removed"};
  return kNames[static_cast<std::size_t>(admission)];
}

const char* to_string(ExperimentState state) {
  static constexpr const char* kNames[] = {"RUNNING", "PAUSED",   "STOPPING", "COMPLETED",
                                           "STOPPED", "CANCELED", "FAILED",   "DELETED"};
  return kNames[static_cast<std::size_t>(state)];
}

const char* to_string(TrialState state) {
  static constexpr const char* kNames[] = {"PENDING", "RUNNING", "PAUSED",   "COMPLETED",
                                           "STOPPED", "FAILED",  "CANCELED", "INVALID"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string to_json(const RecordBody& body) { return dump(body_json(body)); }

std::string to_json(const Record& record) {
  nlohmann::json line = {{"at", to_iso8601(record.at)},
                         {"body", body_json(record.body)},
                         {"seq", record.seq},
                         {"type", type_name(record.body)},
                         {"version", type_version(record.body)}};
  const ExperimentId experiment = experiment_of(record.body);
  line["experiment"] = experiment ? nlohmann::json(to_string(experiment)) : nlohmann::json(nullptr);
  return dump(line);
}

Result<RecordBody> parse_record(std::string_view type, std::uint16_t version, std::string_view body) {
  std::size_t index = 0;
  while (index < kTypes.size() && type != kTypes[index].name) ++index;
  if (index == kTypes.size()) {
    return invalid("record of unknown type \"" + cut_text(type, kNameBytesMax) + "\": written by a newer modelhop");
  }
  if (version == 0 || version > kTypes[index].version) {
    return invalid("record " + std::string(type) + " has version " + std::to_string(version) +
                   ", this program reads up to version " + std::to_string(kTypes[index].version));
  }
  Result<nlohmann::json> json = parse_bounded_json(body, kRecordBytesMax);
  if (!json.ok()) return Status(json.status().code(), "record " + std::string(type) + " " + json.status().message());
  if (!upgrade(*json, type, version)) return corrupt(std::string(type) + ": has a key that its version does not know");
  RecordBody out;
  emplace_type(out, index, std::make_index_sequence<std::variant_size_v<RecordBody>>());
  JsonReader reader(*json, std::string(type));
  std::visit([&](auto& held) { fields(reader, held); }, out);
  RETURN_IF_ERROR(reader.finish());
  return out;
}

}  // namespace modelhop
