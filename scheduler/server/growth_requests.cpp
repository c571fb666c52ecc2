#include "scheduler/server/growth_requests.h"

#include "common/base/limits.h"
#include "common/spec/recipe_path.h"
#include "common/spec/schema_scalar.h"
#include "common/wire/json.h"
#include "scheduler/api/find.h"
#include "scheduler/api/json_text.h"
#include "scheduler/server/spec_requests.h"
#include "scheduler/server/store_view.h"

namespace modelhop {
namespace {

ApiResponse no_such_thing(const std::string& what, const std::string& name) {
  return problem(404, "not found", "no " + what + " \"" + name + "\" here");
}

Status read_count(const std::string& key, const nlohmann::json& value, std::optional<std::uint64_t>& out) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0)
    return invalid("/" + key + ": wants a whole number");
  out = value.get<std::uint64_t>();
  return {};
}

Status read_set(const nlohmann::json& value, Params& set) {
  if (!value.is_object() || value.size() > kParametersMax) {
    return invalid("/set: wants an object of at most " + std::to_string(kParametersMax) + " paths and values");
  }
  for (const auto& [path, one] : value.items()) {
    const bool too_large = one.is_number_unsigned() && one.get<std::uint64_t>() > INT64_MAX;
    if (!(one.is_boolean() || one.is_number() || one.is_string()) || too_large || path.size() > kDetailBytesMax) {
      return invalid("/set/" + cut_text(path, kNameBytesMax) + ": wants a number, a text, true or false");
    }
    set[path] = value_of(one);
  }
  return {};
}

// "e7.12@0.8", or "0.8" alone.
Status read_checkpoint(const nlohmann::json& value, std::string& owner, std::optional<ForkTrial::At>& out) {
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  const std::size_t at = text.rfind('@');
  const std::string name = at == std::string::npos ? text : text.substr(at + 1);
  const std::size_t dot = name.find('.');
  const auto lineage = parse_u64(name.substr(0, dot));
  const auto visits = dot == std::string::npos ? std::nullopt : parse_u64(name.substr(dot + 1));
  if (!lineage || !visits || *lineage > UINT32_MAX) {
    return invalid("/checkpoint: wants a checkpoint of the trial, as in e7.12@0.8; got " +
                   cut_text(text, kNameBytesMax));
  }
  owner = at == std::string::npos ? "" : text.substr(0, at);
  out = {static_cast<std::uint32_t>(*lineage), *visits};
  return {};
}

Status read_fork(const std::string& text, ForkTrial& event, std::string& owner) {
  if (text.empty()) return {};
  const Result<nlohmann::json> body = parse_bounded_json(text, kSpecBytesMax);
  if (!body.ok()) return invalid("the body " + body.status().message());
  if (!body->is_object()) return invalid("wants an object with set, checkpoint or epochs");
  for (const auto& [key, value] : body->items()) {
    if (key == "set") {
      RETURN_IF_ERROR(read_set(value, event.set));
    } else if (key == "checkpoint") {
      RETURN_IF_ERROR(read_checkpoint(value, owner, event.at));
    } else if (key == "epochs") {
      RETURN_IF_ERROR(read_count(key, value, event.epochs));
    } else {
      return invalid("/" + cut_text(key, kNameBytesMax) + ": a fork has set, checkpoint and epochs");
    }
  }
  return {};
}

Status read_extend(const std::string& text, ExtendExperiment& event) {
  const Result<nlohmann::json> body = parse_bounded_json(text, kSpecBytesMax);
  if (!body.ok()) return invalid("the body " + body.status().message());
  if (!body->is_object() || body->empty()) return invalid("wants an object with max_trials, time_budget or epochs");
  for (const auto& [key, value] : body->items()) {
    if (key == "max_trials") {
      RETURN_IF_ERROR(read_count(key, value, event.max_trials));
    } else if (key == "epochs") {
      RETURN_IF_ERROR(read_count(key, value, event.epochs));
    } else if (key == "time_budget") {
      std::uint64_t ms = 0;
      if (!value.is_string() || !parse_duration(value.get<std::string>(), ms) || ms == 0) {
        return invalid("/time_budget: wants a number and its unit (ms, s, m, h, d), as in \"2h\"");
      }
      event.time_budget_ms = ms;
    } else {
      return invalid("/" + cut_text(key, kNameBytesMax) +
                     ": cannot be extended; max_trials, time_budget and epochs can be");
    }
  }
  return {};
}

void step_fork(Loop& loop, ForkTrial event, const Done& done) {
  event.request = loop.expect_reply_on_loop([done](const Reply& reply) {
    if (!reply.status.ok()) return done(problem_of(reply.status));
    done({201, "application/json", dump({{"id", to_string(reply.experiment, reply.trial)}})});
  });
  loop.step_on_loop(event);
}

}  // namespace

void fork_trial(const Backends& backends, const std::string& name, const ApiRequest& request, const Done& done) {
  ForkTrial event;
  event.idempotency_key = request.idempotency_key;
  std::string owner;
  if (const Status status = read_fork(request.body, event, owner); !status.ok()) return done(problem_of(status));
  const bool posted = backends.loop.post([backends, name, event, owner, done](Loop& loop) mutable {
    const State& state = loop.core_on_loop().state();
    const FoundTrial found = find_trial(state, name);
    if (found.trial == nullptr) return done(no_such_thing("trial", name));
    if (!owner.empty() && find_trial(state, owner).trial != found.trial) {
      return done(problem(422, "invalid", "/checkpoint: is none of " + name + "; fork the trial that it is of"));
    }
    event.experiment = found.experiment->id;
    event.trial = found.trial->id;
    const std::shared_ptr<const Spec> spec = found.experiment->spec;
    Result<Params> params = fork_params(*spec, found.trial->params, event.set);
    if (!params.ok()) return done(problem_of(params.status()));
    // Whether it can train on this data set is known by its manifest, which is in the store.
    const bool asked = backends.side.post([backends, spec, event, done, recipe = recipe_json(*spec, *params),
                                           identity = found.experiment->dataset_identity] {
      const Result<Manifest> manifest = read_manifest(backends.store, spec->dataset);
      if (manifest.ok() && registered(*manifest).identity == identity) {
        const Result<Recipe> read = parse_recipe(recipe, *manifest);
        if (!read.ok()) return done(problem_of(read.status()));
      }
      const bool back = backends.loop.post([event, done](Loop& again) { step_fork(again, event, done); });
      if (!back) done(stopping());
    });
    if (!asked) done(busy());
  });
  if (!posted) done(stopping());
}

void extend_experiment(const Backends& backends, const std::string& name, const std::string& body, const Done& done) {
  ExtendExperiment event;
  if (const Status status = read_extend(body, event); !status.ok()) return done(problem_of(status));
  const bool posted = backends.loop.post([name, event, done](Loop& loop) mutable {
    const ExperimentRow* row = find_experiment(loop.core_on_loop().state(), name);
    if (row == nullptr) return done(no_such_thing("experiment", name));
    event.experiment = row->id;
    event.request = loop.expect_reply_on_loop([&loop, done, id = row->id](const Reply& reply) {
      if (!reply.status.ok()) return done(problem_of(reply.status));
      const ExperimentRow& now = loop.core_on_loop().state().experiments[id.value - 1];
      const SpecLimits limits = limits_of(*now.spec);
      const auto given = [](std::uint64_t value) { return value == 0 ? Json(nullptr) : Json(value); };
      done(
          {200, "application/json",
           dump({{"id", to_string(id)},
                 {"state", to_string(now.state)},
                 {"max_trials", given(limits.max_trials)},
                 {"time_budget_s",
                  limits.time_budget_ms == 0 ? Json(nullptr) : Json(static_cast<double>(limits.time_budget_ms) / 1000)},
                 {"epochs", limits.epochs}})});
    });
    loop.step_on_loop(event);
  });
  if (!posted) done(stopping());
}

}  // namespace modelhop
