#pragma once
// The one list of fields of each record, as fields.h has it of the rest.
#include "common/wire/fields.h"
#include "common/wire/records.h"

namespace modelhop {

inline constexpr std::size_t kOriginBytesMax = 1024;  // where a trial's parameters came from

template <>
inline constexpr unsigned kEnumCount<ExperimentState> = 8;
template <>
inline constexpr unsigned kEnumCount<Admission> = 3;
template <>
inline constexpr unsigned kEnumCount<TrialState> = 8;

template <class A>
void fields(A& a, Like<Booted> auto& v) {
  a("boot", v.boot);
  a("accept_lost_tail", v.accept_lost_tail);
}
template <class A>
void fields(A& a, Like<WorkerJoined> auto& v) {
  a("worker", v.worker);
  a("name", v.name, kNameBytesMax);
  a("incarnation", v.incarnation);
  a("profile", v.profile);
  a("device", v.device, kNameBytesMax);
  a("threads", v.threads);
  a("memory_bytes", v.memory_bytes);
}
template <class A>
void fields(A& a, Like<WorkerLeft> auto& v) {
  a("worker", v.worker);
  a("incarnation", v.incarnation);
  a.cut("reason", v.reason, kDetailBytesMax);
}
template <class A>
void fields(A& a, Like<WorkerAdmissionChanged> auto& v) {
  a("worker", v.worker);
  a("admission", v.admission);
}
template <class A>
void fields(A& a, Like<DatasetRegistered> auto& v) {
  a("name", v.name, kNameBytesMax);
  a("identity", v.identity);
  a("partition_rows", v.partition_rows, kPartitionsMax);
  a("partition_bytes", v.partition_bytes);
}
template <class A>
void fields(A& a, Like<PartitionPlaced> auto& v) {
  a("dataset", v.dataset, kNameBytesMax);
  a("partition", v.partition);
  a("worker", v.worker);
}
template <class A>
void fields(A& a, Like<PartitionDropped> auto& v) {
  a("dataset", v.dataset, kNameBytesMax);
  a("partition", v.partition);
  a("worker", v.worker);
}
template <class A>
void fields(A& a, Like<ExperimentCreated> auto& v) {
  a("experiment", v.experiment);
  a("spec_sent", v.spec_sent);
  a("spec_expanded", v.spec_expanded);
  a("dataset", v.dataset, kNameBytesMax);
  a("dataset_identity", v.dataset_identity);
  a("idempotency_key", v.idempotency_key, kNameBytesMax);
}
template <class A>
void fields(A& a, Like<ExperimentStateChanged> auto& v) {
  a("experiment", v.experiment);
  a("state", v.state);
  a.cut("reason", v.reason, kDetailBytesMax);
  a("slot_ms", v.slot_ms);
  a("bound_ms", v.bound_ms);
}
template <class A>
void fields(A& a, Like<ExperimentChanged> auto& v) {
  a("experiment", v.experiment);
  a("name", v.name, kNameBytesMax);
  a("notes", v.notes, kNotesBytesMax);
  a("labels", v.labels, kLabelsMax);
  a("priority", v.priority);
}
template <class A>
void fields(A& a, Like<ExperimentLimitsChanged> auto& v) {
  a("experiment", v.experiment);
  a("max_trials", v.max_trials);
  a("time_budget_ms", v.time_budget_ms);
  a("epochs", v.epochs);
}
template <class A>
void fields(A& a, Like<TrialCreated> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a("params", v.params);
  a("offset", v.offset);
  a("target_visits", v.target_visits);
  a.cut("origin", v.origin, kOriginBytesMax);
  a("asked", v.asked);
  a("idempotency_key", v.idempotency_key, kNameBytesMax);
  a("request", v.request);
}
template <class A>
void fields(A& a, Like<TrialForked> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a("source", v.source);
  a("params", v.params);
  a("params_revision", v.params_revision);
  a("lineage", v.lineage);
}
template <class A>
void fields(A& a, Like<TrialTargetChanged> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a("target_visits", v.target_visits);
  a("lineage", v.lineage);
}
template <class A>
void fields(A& a, Like<TrialEvaluated> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a("visits", v.visits);
  a("value", v.value);
  a("validation", v.validation, kSumsMax);
  a("train", v.train, kSumsMax);
  a("state", v.state);
}
template <class A>
void fields(A& a, Like<TrialPaused> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a.cut("reason", v.reason, kDetailBytesMax);
}
template <class A>
void fields(A& a, Like<TrialResumed> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a("lineage", v.lineage);
  a.cut("reason", v.reason, kDetailBytesMax);
}
template <class A>
void fields(A& a, Like<TrialEnded> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a("how", v.how);
  a.cut("reason", v.reason, kDetailBytesMax);
  a("with_experiment", v.with_experiment);
}
template <class A>
void fields(A& a, Like<TrialRolledBack> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a("to", v.to);
  a("lineage", v.lineage);
  a.cut("reason", v.reason, kDetailBytesMax);
}

template <class A>
void fields(A& a, Like<UnitLeased> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("trial", v.trial);
  a("token", v.token);
  a("worker", v.worker);
  a("incarnation", v.incarnation);
  a("visit", v.visit);
  a("partition", v.partition);
  a("then_evaluate", v.then_evaluate);
}
template <class A>
void fields(A& a, Like<UnitFinished> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("token", v.token);
  a("state", v.state);
  a("durable", v.durable);
  a("train", v.train, kSumsMax);
  a("times", v.times);
  a("path", v.path);
}
template <class A>
void fields(A& a, Like<UnitYielded> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("token", v.token);
  a("state", v.state);
  a("train", v.train, kSumsMax);
  a("times", v.times);
  a("path", v.path);
}
template <class A>
void fields(A& a, Like<UnitReleased> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("token", v.token);
  a("fault", v.fault);
  a.cut("detail", v.detail, kDetailBytesMax);
}
template <class A>
void fields(A& a, Like<UnitParked> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a.cut("reason", v.reason, kDetailBytesMax);
}
template <class A>
void fields(A& a, Like<UnitDiverged> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("expected", v.expected);
  a("state", v.state);
}
template <class A>
void fields(A& a, Like<StateDurable> auto& v) {
  a("state", v.state);
  a("save_ns", v.save_ns);
}
template <class A>
void fields(A& a, Like<StateDeleteIntended> auto& v) {
  a("state", v.state);
}
template <class A>
void fields(A& a, Like<StateDeleted> auto& v) {
  a("state", v.state);
}

}  // namespace modelhop
