// The durable state as canonical JSON. Written by hand: the simulator takes two at each crash.
#include <charconv>
#include <cstring>

#include "common/wire/fields.h"
#include "scheduler/core/impl.h"

namespace modelhop {
namespace {

class Text {
 public:
  std::string out;

  template <class T>
  void operator()(const char* name, const T& value, std::size_t = 0) {
    key(name);
    add(value);
  }
  void key(const char* name) {
    comma();
    out += '"';
    out += name;
    out += "\":";
    first_ = true;
  }
  template <class Body>
  void object(Body body) {
    comma();
    out += '{';
    first_ = true;
    body();
    out += '}';
    first_ = false;
  }
  template <class List, class Body>
  void list(const char* name, const List& values, Body body) {
    key(name);
    out += '[';
    first_ = true;
    for (const auto& value : values) object([&] { body(value); });
    out += ']';
    first_ = false;
  }

  template <class T>
  void add(const T& value) {
    comma();
    if constexpr (std::is_same_v<T, bool>) {
      out += value ? "true" : "false";
    } else if constexpr (std::is_enum_v<T>) {
      number(static_cast<std::uint64_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
      number(value);
    } else if constexpr (std::is_same_v<T, double>) {
      std::uint64_t bits = 0;  // equal bits are what replay promises; -0.0 and 0.0 differ
      std::memcpy(&bits, &value, sizeof bits);
      number(bits);
    } else if constexpr (std::is_same_v<T, std::string>) {
      quoted(value);
    } else if constexpr (std::is_same_v<T, Token>) {
      out += '"';
      number(value.boot);
      out += '.';
      number(value.counter);
      out += '"';
    } else if constexpr (requires { value.bytes; }) {
      hex(value.bytes);
    } else if constexpr (requires { value.value; }) {
      number(value.value);
    } else if constexpr (requires {
                           value.size();
                           value.begin();
                         }) {
      out += '[';
      first_ = true;
      for (const auto& element : value) add(element);
      out += ']';
    } else {
      out += '{';
      first_ = true;
      fields(*this, value);
      out += '}';
    }
    first_ = false;
  }

 private:
  void comma() {
    if (!first_) out += ',';
    first_ = true;
  }
  template <class N>
  void number(N value) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
  template <class Bytes>
  void hex(const Bytes& bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    char text[34];
    std::size_t n = 0;
    text[n++] = '"';
    for (const std::uint8_t byte : bytes) {
      text[n++] = kDigits[byte >> 4];
      text[n++] = kDigits[byte & 15];
    }
    text[n++] = '"';
    out.append(text, n);
  }
  void quoted(const std::string& text) {
    out += '"';
    for (const char c : text) {
      if (static_cast<unsigned char>(c) < 0x20) {
        out += "\\u00";
        out += "0123456789abcdef"[(c >> 4) & 15];
        out += "0123456789abcdef"[c & 15];
      } else {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
      }
    }
    out += '"';
  }
  bool first_ = true;
};

void write(Text& t, const LeaseRow& lease) {
  t("unit", lease.unit);
  t("trial", lease.trial);
  t("token", lease.token);
  t("worker", lease.worker);
  t("incarnation", lease.incarnation);
  t("visit", lease.visit);
  t("partition", lease.partition);
  t("then_evaluate", lease.then_evaluate);
  t("from", lease.from);
  t("to", lease.to);
  t("outcome", lease.outcome);
  t("fault", lease.fault);
  t("detail", lease.detail);
  t("times", lease.times);
  t("path", lease.path);
}

void write(Text& t, const TrialRow& trial) {
  t("id", trial.id);
  t("params", to_json_text(trial.params));
  t("origin", trial.origin);
  t("offset", trial.offset);
  t("target_visits", trial.target_visits);
  t("state", trial.state);
  t("reason", trial.reason);
  t("head", trial.head);
  t("visits", trial.visits);
  t("unit", trial.unit);
  t("restarts", trial.restarts);
  t.list("milestones", trial.milestones, [&](const Milestone& m) {
    t("visits", m.visits);
    t("value", m.value);
    t("validation", m.validation);
    t("train", m.train);
    t("state", m.state);
    t("at", m.at);
  });
  t("train_since_milestone", trial.train_since_milestone);
  t("stored", trial.stored);
  t("created_at", trial.created_at);
  t("started_at", trial.started_at);
  t("ended_at", trial.ended_at);
}

void write(Text& t, const ExperimentRow& e) {
  t("id", e.id);
  t("spec", e.spec->expanded);
  t("spec_sent", e.spec_sent);
  t("dataset", e.dataset);
  t("idempotency_key", e.idempotency_key);
  t("dataset_identity", e.dataset_identity);
  t("profile", e.profile);
  t("partitions", e.partitions);
  t("state", e.state);
  t("reason", e.reason);
  t.list("trials", e.trials, [&](const TrialRow& trial) { write(t, trial); });
  t.list("units", e.units, [&](const UnitRow& unit) {
    t("id", unit.id);
    t("trial", unit.trial);
    t("visit", unit.visit);
    t("state", unit.state);
    t("lease", unit.lease);
    t("train", unit.train);
    t("worker_deaths", unit.worker_deaths);
    t("faults", unit.faults);
  });
  t.list("leases", e.leases, [&](const LeaseRow& lease) { write(t, lease); });
  t("deleting", e.deleting);
  t("created_at", e.created_at);
  t("started_at", e.started_at);
  t("ended_at", e.ended_at);
  t.list("slot_ms", e.slot_ms, [&](const auto& entry) {
    t("cause", entry.first);
    t("ms", entry.second);
  });
  t("bound_ms", e.bound_ms);
}

}  // namespace

std::string Core::Impl::snapshot() const {
  Text t;
  t.object([&] {
    t("seq", state.seq);
    t("at", state.at);
    t("boot", state.boot);
    t("cluster", state.cluster);
    t.list("down", state.down, [&](const Downtime& d) {
      t("from", d.from);
      t("to", d.to);
    });
    t("token", state.token);
    t.list("workers", state.workers, [&](const WorkerRow& w) {
      t("id", w.id);
      t("name", w.name);
      t("present", w.present);
      t("incarnation", w.incarnation);
      t("profile", w.profile);
      t("device", w.device);
      t("threads", w.threads);
      t("memory_bytes", w.memory_bytes);
      t("joined_at", w.joined_at);
      t("left_at", w.left_at);
      t("left_reason", w.left_reason);
      t("former", w.former);
    });
    t.list("datasets", state.datasets, [&](const auto& entry) {
      t("info", entry.second.info);
      t("holders", entry.second.holders);
    });
    t.list("experiments", state.experiments, [&](const ExperimentRow& e) { write(t, e); });
  });
  return std::move(t.out);
}

}  // namespace modelhop
