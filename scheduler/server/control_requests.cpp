#include "scheduler/server/control_requests.h"

#include "common/base/limits.h"
#include "common/wire/json.h"
#include "scheduler/api/find.h"
#include "scheduler/api/json_text.h"
#include "scheduler/server/spec_requests.h"

namespace modelhop {
namespace {

template <class C>
struct Verb {
  const char* name;
  C control;
};
constexpr Verb<Control> kExperimentVerbs[] = {{"pause", Control::kPause},
                                              {"resume", Control::kResume},
                                              {"stop", Control::kStop},
                                              {"cancel", Control::kCancel},
                                              {"delete", Control::kDelete}};
constexpr Verb<TrialControl> kTrialVerbs[] = {{"pause", TrialControl::kPause},
                                              {"resume", TrialControl::kResume},
                                              {"stop", TrialControl::kStop},
                                              {"retry", TrialControl::kRetry}};
constexpr Verb<WorkerControl> kWorkerVerbs[] = {
    {"drain", WorkerControl::kDrain}, {"resume", WorkerControl::kResume}, {"remove", WorkerControl::kRemove}};

template <class C, std::size_t N>
const C* find_verb(const Verb<C> (&verbs)[N], const std::string& name) {
  for (const Verb<C>& verb : verbs) {
    if (verb.name == name) return &verb.control;
  }
  return nullptr;
}

ApiResponse no_such(const std::string& what, const std::string& name) {
  return problem(404, "not found", "no " + what + " \"" + name + "\" here");
}

// What the reply's answer shows, read when the change is durable.
template <class Show>
RequestId when_replied(Loop& loop, const Done& done, Show show) {
  return loop.expect_reply_on_loop([&loop, done, show](const Reply& reply) {
    if (!reply.status.ok()) return done(problem_of(reply.status));
    done({200, "application/json", dump(show(loop.core_on_loop().state()))});
  });
}

Json experiment_answer(const ExperimentRow& row) {
  return {{"id", to_string(row.id)}, {"state", to_string(row.state)}};
}

void control_experiment(Loop& loop, const std::string& name, Control control, const Done& done) {
  const ExperimentRow* row = find_experiment(loop.core_on_loop().state(), name);
  if (row == nullptr) return done(no_such("experiment", name));
  const ExperimentId id = row->id;
  const RequestId request =
      when_replied(loop, done, [id](const State& state) { return experiment_answer(state.experiments[id.value - 1]); });
  loop.step_on_loop(ControlExperiment{request, id, control});
}

void control_trial(Loop& loop, const std::string& name, TrialControl control, const Done& done) {
  const FoundTrial found = find_trial(loop.core_on_loop().state(), name);
  if (found.trial == nullptr) return done(no_such("trial", name));
  const ExperimentId experiment = found.experiment->id;
  const TrialId trial = found.trial->id;
  const RequestId request = when_replied(loop, done, [experiment, trial](const State& state) -> Json {
    const auto& trials = state.experiments[experiment.value - 1].trials;
    const bool there = trial.value - 1 < trials.size();  // its experiment may have been deleted since
    return {{"id", to_string(experiment, trial)},
            {"state", there ? Json(to_string(trials[trial.value - 1].state)) : Json(nullptr)}};
  });
  loop.step_on_loop(ControlTrial{request, experiment, trial, control});
}

void control_worker(Loop& loop, const std::string& name, WorkerControl control, const Done& done) {
  const WorkerRow* row = find_worker(loop.core_on_loop().state(), name);
  if (row == nullptr) return done(no_such("worker", name));
  const WorkerId id = row->id;
  const RequestId request = when_replied(loop, done, [id](const State& state) -> Json {
    const WorkerRow& worker = state.workers[id.value - 1];
    return {{"name", worker.name}, {"admission", to_string(worker.admission)}};
  });
  loop.step_on_loop(ControlWorker{request, id, control});
}

// Fills what is given; the first thing that is wrong.
Status read_changes(const nlohmann::json& body, ChangeExperiment& change) {
  if (!body.is_object() || body.empty()) return invalid("wants an object with name, notes, labels or priority");
  const auto text = [](const nlohmann::json& value, std::size_t least, std::size_t most) {
    return value.is_string() && value.get_ref<const std::string&>().size() >= least &&
           value.get_ref<const std::string&>().size() <= most;
  };
  for (const auto& [key, value] : body.items()) {
    if (key == "name") {
      if (!text(value, 1, kNameBytesMax)) return invalid("/name: wants 1 to 128 bytes of text");
      change.name = value.get<std::string>();
    } else if (key == "notes") {
      if (!text(value, 0, kNotesBytesMax)) return invalid("/notes: wants at most 64 KiB of text");
      change.notes = value.get<std::string>();
    } else if (key == "labels") {
      if (!value.is_array() || value.size() > kLabelsMax) return invalid("/labels: wants a list of at most 64");
      change.labels.emplace();
      for (const auto& label : value) {
        if (!text(label, 1, kNameBytesMax)) return invalid("/labels: each wants 1 to 128 bytes of text");
        change.labels->push_back(label.get<std::string>());
      }
    } else if (key == "priority") {
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kPriorityMax) {
        return invalid("/priority: wants a whole number from 0 to " + std::to_string(kPriorityMax));
      }
      change.priority = value.get<std::uint32_t>();
    } else {
      return invalid("/" + cut_text(key, kNameBytesMax) +
                     ": cannot be changed; name, notes, labels and priority can be");
    }
  }
  return {};
}

}  // namespace

void control_request(const Backends& backends, const std::string& what, const std::string& name,
                     const std::string& verb, const Done& done) {
  const bool posted = backends.loop.post([what, name, verb, done](Loop& loop) {
    if (what == "experiments") {
      if (const Control* control = find_verb(kExperimentVerbs, verb)) {
        return control_experiment(loop, name, *control, done);
      }
    } else if (what == "trials") {
      if (const TrialControl* control = find_verb(kTrialVerbs, verb)) {
        return control_trial(loop, name, *control, done);
      }
    } else if (what == "workers") {
      if (const WorkerControl* control = find_verb(kWorkerVerbs, verb)) {
        return control_worker(loop, name, *control, done);
      }
    }
    done(problem(404, "not found", "there is no verb \":" + verb + "\" of " + what));
  });
  if (!posted) done(stopping());
}

void change_experiment(const Backends& backends, const std::string& name, const std::string& body, const Done& done) {
  ChangeExperiment change;
  const Result<nlohmann::json> json = parse_bounded_json(body, kSpecBytesMax);
  const Status read =
      json.ok() ? read_changes(*json, change) : Status(Code::kInvalid, "the body " + json.status().message());
  if (!read.ok()) return done(problem_of(read));
  const bool posted = backends.loop.post([name, change, done](Loop& loop) mutable {
    const ExperimentRow* row = find_experiment(loop.core_on_loop().state(), name);
    if (row == nullptr) return done(no_such("experiment", name));
    change.experiment = row->id;
    change.request = when_replied(loop, done, [id = row->id](const State& state) {
      const ExperimentRow& now = state.experiments[id.value - 1];
      Json answer = experiment_answer(now);
      answer.update({{"name", now.name}, {"notes", now.notes}, {"labels", now.labels}, {"priority", now.priority}});
      return answer;
    });
    loop.step_on_loop(change);
  });
  if (!posted) done(stopping());
}

}  // namespace modelhop
