#pragma once
// The one list of fields of each struct that is written or sent. An archive (bytes.h, json.h) walks it in either
// direction, so what is written and what is read cannot disagree. Names are the journal's keys; order is the wire's.
// `most` bounds a string's bytes or a list's length; cut() is for free text, which is shortened instead of refused.
#include <concepts>
#include <type_traits>

#include "common/base/limits.h"
#include "common/wire/messages.h"

namespace modelhop {

inline constexpr std::size_t kUnitsHeldMax = 64;  // units one worker runs at a time

// T, or const T.
template <class T, class U>
concept Like = std::same_as<std::remove_const_t<T>, U>;

// How many values an enumeration has: 0 .. count-1.
template <class E>
inline constexpr unsigned kEnumCount = 0;
template <>
inline constexpr unsigned kEnumCount<UnitKind> = 2;
template <>
inline constexpr unsigned kEnumCount<Fault> = 8;
template <>
inline constexpr unsigned kEnumCount<HopPath> = 3;

// --- common/base/unit.h ---

template <class A>
void fields(A& a, Like<Cursor> auto& v) {
  a("epoch", v.epoch);
  a("visit", v.visit);
  a("batch", v.batch);
  a("step", v.step);
  a("samples", v.samples);
}
template <class A>
void fields(A& a, Like<StateRef> auto& v) {
  a("experiment", v.experiment);
  a("trial", v.trial);
  a("lineage", v.lineage);
  a("at", v.at);
  a("hash", v.hash);
  a("layout", v.layout);
  a("size_bytes", v.size_bytes);
}
template <class A>
void fields(A& a, Like<Member> auto& v) {
  a("trial", v.trial);
  a("lineage", v.lineage);
  a("parent", v.parent);
  a("params_revision", v.params_revision);
  a("train", v.train, kSumsMax);
}
template <class A>
void fields(A& a, Like<Unit> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.id);
  a("kind", v.kind);
  a("members", v.members, kUnitMembersMax);
  a("partition", v.partition);
  a("then_evaluate", v.then_evaluate);
}
template <class A>
void fields(A& a, Like<Lease> auto& v) {
  a("unit", v.unit);
  a("token", v.token);
  a("ttl_ms", v.ttl_ms);
}
template <class A>
void fields(A& a, Like<Sum> auto& v) {
  a("name", v.name, kNameBytesMax);
  a("total", v.total);
  a("weight", v.weight);
}
template <class A>
void fields(A& a, Like<MemberResult> auto& v) {
  a("state", v.state);
  a("yielded", v.yielded);
  a("durable", v.durable);
  a("train", v.train, kSumsMax);
  a("validation", v.validation, kSumsMax);
}
template <class A>
void fields(A& a, Like<UnitTimes> auto& v) {
  a("load_ns", v.load_ns);
  a("hop_ns", v.hop_ns);
  a("train_ns", v.train_ns);
  a("evaluate_ns", v.evaluate_ns);
  a("save_ns", v.save_ns);
}
template <class A>
void fields(A& a, Like<UnitReport> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("token", v.token);
  a("fault", v.fault);
  a.cut("detail", v.detail, kDetailBytesMax);
  a("members", v.members, kUnitMembersMax);
  a("times", v.times);
  a("path", v.path);
}

// --- messages.h ---

template <class A>
void fields(A& a, Like<Progress> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("token", v.token);
  a("at", v.at);
  a("beats", v.beats);
}
template <class A>
void fields(A& a, Like<WorkerHello> auto& v) {
  a("name", v.name, kNameBytesMax);
  a("incarnation", v.incarnation);
  a("profile", v.profile);
  a("device", v.device, kNameBytesMax);
  a("threads", v.threads);
  a("memory_bytes", v.memory_bytes);
  a("boot_seen", v.boot_seen);
  a("running", v.running, kUnitsHeldMax);
  a("seq_boot", v.seq_boot);
  a("seq_seen", v.seq_seen);
}
template <class A>
void fields(A& a, Like<Heartbeat> auto& v) {
  a("incarnation", v.incarnation);
  a("units", v.units, kUnitsHeldMax);
}
template <class A>
void fields(A& a, Like<WorkerBye> auto& v) {
  a("incarnation", v.incarnation);
  a.cut("reason", v.reason, kDetailBytesMax);
}
template <class A>
void fields(A& a, Like<UnitDone> auto& v) {
  a("incarnation", v.incarnation);
  a("report", v.report);
}
template <class A>
void fields(A& a, Like<Welcome> auto& v) {
  a("worker", v.worker);
  a("boot", v.boot);
  a("heartbeat_ms", v.heartbeat_ms);
  a("seq", v.seq);
}
template <class A>
void fields(A& a, Like<Refused> auto& v) {
  a.cut("reason", v.reason, kDetailBytesMax);
}
template <class A>
void fields(A& a, Like<Place> auto& v) {
  a("boot", v.boot);
  a("dataset", v.dataset, kNameBytesMax);
  a("identity", v.identity);
  a("partitions", v.partitions, kPartitionsMax);
  a("seq", v.seq);
}
template <class A>
void fields(A& a, Like<RunUnit> auto& v) {
  a("boot", v.boot);
  a("lease", v.lease);
  a("recipes", v.recipes, kUnitMembersMax);
  a("dataset", v.dataset, kNameBytesMax);
  a("dataset_identity", v.dataset_identity);
  a("partitions", v.partitions);
  a("cluster", v.cluster);
  a("seq", v.seq);
}
template <class A>
void fields(A& a, Like<YieldUnit> auto& v) {
  a("boot", v.boot);
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("token", v.token);
  a("keep", v.keep);
  a("seq", v.seq);
}
template <class A>
void fields(A& a, Like<Dismiss> auto& v) {
  a("experiment", v.experiment);
  a("unit", v.unit);
  a("token", v.token);
  a("durable", v.durable);
}
template <class A>
void fields(A& a, Like<Shutdown> auto& v) {
  a.cut("reason", v.reason, kDetailBytesMax);
}

}  // namespace modelhop
