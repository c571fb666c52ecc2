#pragma once
// The one list of fields of each row of the durable state. Archives walk it: snapshot.cpp writes text with it, save.cpp
// writes and reads the bytes of a snapshot, so a field that is listed here is compared, saved and restored.
// After a release a new field stands at the end of its list as a.since(kStateFormat, "name", v.name), and kStateFormat
// grows: older snapshots stay readable. Format: docs/formats.md, "Snapshot".
#include <string>

#include "common/wire/record_fields.h"
#include "scheduler/core/state.h"
#include "scheduler/core/totals.h"

namespace modelhop {

inline constexpr std::uint32_t kStateFormat = 1;
inline constexpr std::size_t kRowsMax = UINT32_MAX;  // of a list: bounded by the bytes that are there

template <>
inline constexpr unsigned kEnumCount<UnitState> = 5;
template <>
inline constexpr unsigned kEnumCount<LeaseOutcome> = 5;

// A spec is saved as its text. Core::load() makes the Spec of it once all is read.
inline const std::string& text_of(const std::shared_ptr<const Spec>& spec) { return spec->expanded; }
inline bool set_text(const std::string& text, std::shared_ptr<const Spec>& spec) {
  auto read = std::make_shared<Spec>();
  read->expanded = text;
  spec = std::move(read);
  return true;
}

template <class A>
void fields(A& a, Like<WorkerRow> auto& v) {
  a("id", v.id);
  a("name", v.name);
  a("present", v.present);
  a("incarnation", v.incarnation);
  a("profile", v.profile);
  a("device", v.device);
  a("threads", v.threads);
  a("memory_bytes", v.memory_bytes);
  a("joined_at", v.joined_at);
  a("left_at", v.left_at);
  a("left_reason", v.left_reason);
  a("admission", v.admission);
  a("former", v.former, kFormerIncarnationsMax);
  a("last_experiment", v.last_experiment);
  a("last_trial", v.last_trial);
}
template <class A>
void fields(A& a, Like<DatasetRow> auto& v) {
  a("info", v.info);
  a("holders", v.holders, kPartitionsMax);
}
template <class A>
void fields(A& a, Like<LeaseRow> auto& v) {
  a("unit", v.unit);
  a("trial", v.trial);
  a("token", v.token);
  a("worker", v.worker);
  a("incarnation", v.incarnation);
  a("visit", v.visit);
  a("partition", v.partition);
  a("then_evaluate", v.then_evaluate);
  a("from", v.from);
  a("to", v.to);
  a("outcome", v.outcome);
  a("fault", v.fault);
  a("detail", v.detail);
  a("times", v.times);
  a("path", v.path);
}
template <class A>
void fields(A& a, Like<UnitRow> auto& v) {
  a("id", v.id);
  a("trial", v.trial);
  a("visit", v.visit);
  a("state", v.state);
  a("lease", v.lease);
  a("worker_deaths", v.worker_deaths);
  a("faults", v.faults);
  a("machine_faults", v.machine_faults);
  a("diverged", v.diverged);
}
template <class A>
void fields(A& a, Like<SavedState> auto& v) {
  a("ref", v.ref);
  a("since_milestone", v.since_milestone, kSumsMax);
  a("visit", v.visit, kSumsMax);
}
template <class A>
void fields(A& a, Like<HeldState> auto& v) {
  a("saved", v.saved);
  a("worker", v.worker);
  a("incarnation", v.incarnation);
  a("work_ns", v.work_ns);
}
template <class A>
void fields(A& a, Like<Milestone> auto& v) {
  a("visits", v.visits);
  a("value", v.value);
  a("validation", v.validation, kSumsMax);
  a("train", v.train, kSumsMax);
  a("state", v.state);
  a("at", v.at);
  a("seq", v.seq);
}
template <class A>
void fields(A& a, Like<TrialRow> auto& v) {
  a("id", v.id);
  a("created_seq", v.created_seq);
  a("ended_seq", v.ended_seq);
  a("params", v.params, kParametersMax);
  a("params_revision", v.params_revision);
  a("origin", v.origin);
  a("asked", v.asked);
  a("idempotency_key", v.idempotency_key);
  a("request", v.request);
  a("offset", v.offset);
  a("target_visits", v.target_visits);
  a("went_on", v.went_on);
  a("state", v.state);
  a("reason", v.reason);
  a("ended_with_experiment", v.ended_with_experiment);
  a("begin", v.begin);
  a("fork_lineage", v.fork_lineage);
  a("first_visit", v.first_visit);
  a("head", v.head);
  a("visits", v.visits);
  a("unit", v.unit);
  a("lineage", v.lineage);
  a("restarts", v.restarts);
  a("unreadable", v.unreadable);
  a("milestones", v.milestones, kRowsMax);
  a("train_since_milestone", v.train_since_milestone);
  a("visit_sums", v.visit_sums);
  a("stored", v.stored, kRowsMax);
  a("held", v.held, kRowsMax);
  a("lost", v.lost, kRowsMax);
  a("created_at", v.created_at);
  a("started_at", v.started_at);
  a("ended_at", v.ended_at);
}
template <class A>
void fields(A& a, Like<ExperimentRow> auto& v) {
  a("id", v.id);
  a("spec", v.spec);
  a("spec_sent", v.spec_sent);
  a("dataset", v.dataset);
  a("idempotency_key", v.idempotency_key);
  a("name", v.name);
  a("notes", v.notes);
  a("labels", v.labels);
  a("priority", v.priority);
  a("dataset_identity", v.dataset_identity);
  a("profile", v.profile);
  a("partitions", v.partitions);
  a("state", v.state);
  a("reason", v.reason);
  a("trials", v.trials, kTrialsMax);
  a("units", v.units, kRowsMax);
  a("leases", v.leases, kRowsMax);
  a("deleting", v.deleting, kRowsMax);
  a("created_at", v.created_at);
  a("started_at", v.started_at);
  a("ended_at", v.ended_at);
  a("slot_ms", v.slot_ms);
  a("bound_ms", v.bound_ms);
  a("rests", v.rests, kRowsMax);
  a("resting_since", v.resting_since);
}
template <class A>
void fields(A& a, Like<Boot> auto& v) {
  a("boot", v.boot);
  a("seq", v.seq);
  a("accept_lost_tail", v.accept_lost_tail);
}
template <class A>
void fields(A& a, Like<Downtime> auto& v) {
  a("from", v.from);
  a("to", v.to);
}
template <class A>
void fields(A& a, Like<State> auto& v) {
  a("seq", v.seq);
  a("at", v.at);
  a("boot", v.boot);
  a("cluster", v.cluster);
  a("boots", v.boots, kRowsMax);
  a("down", v.down, kRowsMax);
  a("token", v.token);
  a("workers", v.workers, kWorkersMax);
  a("datasets", v.datasets, kRowsMax);
  a("experiments", v.experiments, kRowsMax);
}

template <class A>
void fields(A& a, Like<Histogram> auto& v) {
  a("counts", v.counts);
  a("sum_ns", v.sum_ns);
}
template <class A>
void fields(A& a, Like<Totals::Units> auto& v) {
  a("finished", v.finished);
  a("yielded", v.yielded);
  a("released", v.released);
  a("lost", v.lost);
  a("duration", v.duration);
}
template <class A>
void fields(A& a, Like<Totals::Hops> auto& v) {
  a("done", v.done);
  a("failed", v.failed);
  a("bytes", v.bytes);
  a("duration", v.duration);
}
template <class A>
void fields(A& a, Like<Totals> auto& v) {
  a("records", v.records);
  a("trials", v.trials);
  a("trials_ended", v.trials_ended);
  a("units", v.units);
  a("released", v.released);
  a("hops", v.hops);
  a("checkpoint_bytes", v.checkpoint_bytes);
  a("checkpoint", v.checkpoint);
  a("store_bytes", v.store_bytes);
}

}  // namespace modelhop
