// Which metrics there are. A counter whose help says "since this start" is not recorded; the others are the journal's,
// and a restart does not take them back. Every label value is written, also at 0: a series never appears late.
#include "scheduler/api/prometheus.h"

#include <algorithm>
#include <array>
#include <utility>

#include "scheduler/api/exposition.h"
#include "scheduler/api/views.h"

namespace modelhop {
namespace {

constexpr std::array kUnitKinds = {"train", "train+evaluate"};  // as a bar of the Gantt says it

template <std::size_t... kIndex>
std::array<const char*, sizeof...(kIndex)> record_types(std::index_sequence<kIndex...>) {
  return {type_name(RecordBody(std::in_place_index<kIndex>))...};
}

// One sample for each value of an enumeration: its name under `label`, its count.
template <class Enum, std::size_t kCount>
void samples(Exposition& out, const char* label, const std::array<std::uint64_t, kCount>& counts,
             std::size_t first = 0) {
  for (std::size_t i = first; i < kCount; ++i) out.sample({{label, to_string(static_cast<Enum>(i))}}, counts[i]);
}

void write_experiments(const Core& core, Instant now, Exposition& out) {
  constexpr auto kStates = static_cast<std::size_t>(ExperimentState::kDeleted);  // deleted ones are not shown
  std::array<std::uint64_t, kStates> experiments{};
  double gap = -1;
  for (const ExperimentRow& row : core.state().experiments) {
    if (row.state == ExperimentState::kDeleted) continue;
    ++experiments[static_cast<std::size_t>(row.state)];
    if (row.ended()) continue;
    const LiveAccounting live = core.accounting(row.id, now);
    if (live.bound_ns == 0) continue;
    const double ratio = static_cast<double>(live.elapsed_ns) / static_cast<double>(live.bound_ns);
    gap = std::max({gap, 0.0, ratio - 1});
  }
  out.gauge("modelhop_experiments", "Experiments by state.");
  samples<ExperimentState>(out, "state", experiments);
  if (gap < 0) return;
  out.gauge("modelhop_bound_gap_ratio", "Largest gap of a running experiment to its bound: elapsed / bound - 1.");
  out.sample({}, gap);
}

void write_trials(const Totals& totals, Exposition& out) {
  out.gauge("modelhop_trials", "Trials by state, of experiments that are not deleted.");
  samples<TrialState>(out, "state", totals.trials);
  out.counter("modelhop_trials_ended_total", "Trials that ended, by how.");
  samples<TrialState>(out, "how", totals.trials_ended, static_cast<std::size_t>(TrialState::kCompleted));
}

void write_slots(const Core& core, Instant now, Exposition& out) {
  std::uint64_t busy = 0, idle = 0;
  for (const auto& slot : core.slots(now)) {
    if (slot.connected) ++(slot.unit ? busy : idle);
  }
  out.gauge("modelhop_workers_connected", "Workers that answer.");
  out.sample({}, busy + idle);
  out.gauge("modelhop_slots", "Slots of connected workers, by state.");
  out.sample({{"state", "busy"}}, busy);
  out.sample({{"state", "idle"}}, idle);
  out.counter("modelhop_slot_seconds_total",
              "Where slot time went while an experiment ran, since this start. A lease's time is added when it ends; "
              "with that of the open leases, the causes sum to slots x time.");
  const LiveCounts counts = core.counts(now);
  for (std::size_t i = 0; i < kCauses; ++i) {
    out.sample({{"cause", to_string(static_cast<Cause>(i))}}, static_cast<double>(counts.slot_ns[i]) / 1e9);
  }
  out.counter("modelhop_lease_expirations_total",
              "Leases that ran out because no heartbeat named their unit, since this start.");
  out.sample({}, counts.lease_expirations);
}

void write_units(const Totals& totals, Exposition& out) {
  out.counter("modelhop_units_total", "Lease attempts that ended, by kind and outcome.");
  for (std::size_t kind = 0; kind < kUnitKinds.size(); ++kind) {
    const Totals::Units& units = totals.units[kind];
    const auto attempts = [&](LeaseOutcome outcome, std::uint64_t count) {
      out.sample({{"kind", kUnitKinds[kind]}, {"outcome", to_string(outcome)}}, count);
    };
    attempts(LeaseOutcome::kFinished, units.finished);
    attempts(LeaseOutcome::kYielded, units.yielded);
    attempts(LeaseOutcome::kReleased, units.released);
    attempts(LeaseOutcome::kLost, units.lost);
  }
  out.histogram("modelhop_unit_duration_seconds", "Length of finished units, from lease to result, by kind.");
  for (std::size_t kind = 0; kind < kUnitKinds.size(); ++kind) {
    out.sample({{"kind", kUnitKinds[kind]}}, totals.units[kind].duration);
  }
  out.counter("modelhop_unit_retries_total", "Units released without a result, by fault.");
  samples<Fault>(out, "fault", totals.released);
}

void write_states(const Totals& totals, Exposition& out) {
  const auto path = [](std::size_t i) { return std::string(to_string(static_cast<HopPath>(i))); };
  out.counter("modelhop_hops_total",
              "How a unit's parent state came to its worker; failed: a state was lost or is not what its hash says.");
  for (std::size_t i = 0; i < kHopPaths; ++i) {
    out.sample({{"path", path(i)}, {"outcome", "ok"}}, totals.hops[i].done);
    out.sample({{"path", path(i)}, {"outcome", "failed"}}, totals.hops[i].failed);
  }
  out.counter(
      "modelhop_hop_bytes_total",
      "Bytes of parent states brought to a worker, of units with a result; what stays or is made new moves none.");
  for (std::size_t i = 0; i < kHopPaths; ++i) out.sample({{"path", path(i)}}, totals.hops[i].bytes);
  out.histogram("modelhop_hop_duration_seconds", "Time to bring a parent state into memory, of units with a result.");
  for (std::size_t i = 0; i < kHopPaths; ++i) out.sample({{"path", path(i)}}, totals.hops[i].duration);
  out.counter("modelhop_checkpoint_bytes_total", "Bytes of accepted states, each written to the store.");
  out.sample({}, totals.checkpoint_bytes);
  out.histogram("modelhop_checkpoint_duration_seconds", "Time to write an accepted state to the store.");
  out.sample({}, totals.checkpoint);
  out.gauge("modelhop_store_bytes", "Bytes of the states in the store that this journal knows.");
  out.sample({}, totals.store_bytes);
}

void write_journal(const Totals& totals, Exposition& out) {
  static const auto kTypes = record_types(std::make_index_sequence<std::variant_size_v<RecordBody>>());
  out.counter("modelhop_journal_records_total", "Records of the journal, by type.");
  for (std::size_t i = 0; i < kTypes.size(); ++i) out.sample({{"type", kTypes[i]}}, totals.records[i]);
}

void write_service(const Core& core, const ServiceFigures& figures, Instant now, Exposition& out) {
  out.histogram("modelhop_journal_commit_seconds",
                "Time to make a group of records durable, fsync included, since this start.");
  out.sample({}, figures.commit);
  out.histogram("modelhop_decision_seconds", "Time of a step of the scheduler's core, since this start.");
  out.sample({}, figures.decision);
  out.histogram("modelhop_loop_lag_seconds",
                "How late the scheduler's loop came to a timer or a posted task, since this start.");
  out.sample({}, figures.lag);
  out.counter("modelhop_stale_messages_total",
              "Messages of workers that changed nothing, by why, since this start. A few are usual: they were late.");
  samples<Ignored>(out, "reason", core.counts(now).ignored);
  out.sample({{"reason", "bad_frame"}}, figures.bad_frames);
  out.sample({{"reason", "refused_key"}}, figures.refused_frames);
  out.counter("modelhop_frames_total", "Frames of workers that were decoded, since this start.");
  out.sample({}, figures.frames);
  out.counter("modelhop_connections_refused_total",
              "Connections that ended before a frame of them was read, by why, since this start. A worker that is not "
              "allowed tries every few seconds.");
  out.sample({{"reason", "key"}}, figures.refused_keys);
  out.sample({{"reason", "handshake"}}, figures.refused_handshakes);
}

}  // namespace

std::string prometheus_text(const Core& core, const ApiContext& context) {
  Exposition out;
  out.gauge("modelhop_build_info", "Always 1; the version is its label.");
  out.sample({{"version", context.version}}, 1.0);
  out.gauge("modelhop_boot_number", "The fence number of this start: it grows with every start on the store.");
  out.sample({}, core.state().boot);
  write_experiments(core, context.now, out);
  write_trials(core.totals(), out);
  write_slots(core, context.now, out);
  write_units(core.totals(), out);
  write_states(core.totals(), out);
  write_journal(core.totals(), out);
  if (context.figures != nullptr) write_service(core, *context.figures, context.now, out);
  return out.take();
}

}  // namespace modelhop
