#include "common/spec/change.h"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "common/base/limits.h"

using namespace modelhop;

namespace {

nlohmann::json spec_to_change(const char* schedule = R"({"name":"step","step_size":2})") {
  auto spec = nlohmann::json::parse(R"({"version":1,"name":"n","seed":7,"dataset":{"name":"d"},
    "model":{"type":"sequential","layers":[{"type":"flatten"},{"type":"linear","out_features":3}]},
    "training":{"epochs":4,"batch_size":8,"loss":"cross_entropy","metrics":["accuracy"],
      "optimizer":{"name":"sgd","lr":0.1,"momentum":0.9}},
    "algorithm":{"name":"random"},"metric":{"name":"val_loss","goal":"minimize"},"max_trials":5,
    "parameters":{"training.optimizer.lr":{"values":[0.1,0.01,0.001]}}})");
  spec["training"]["lr_schedule"] = nlohmann::json::parse(schedule);
  return spec;
}

std::shared_ptr<const Spec> accepted(const nlohmann::json& spec) {
  const ParsedSpec out = parse_spec(spec.dump(), nullptr);
  INFO(format_problems("spec.json", out.problems));
  REQUIRE(out.spec != nullptr);
  return out.spec;
}

const Params kForkSource = {{"training.optimizer.lr", 0.01}};

// What a fork is refused with; empty: it is none.
std::string fork_refusal(const Spec& spec, const Params& set) {
  return fork_params(spec, kForkSource, set).status().message();
}

}  // namespace

TEST_CASE("a spec with raised limits is the spec that has them from the start", "[spec][change]") {
  nlohmann::json larger = spec_to_change();
  larger["max_trials"] = 9;
  larger["training"]["epochs"] = 6;
  const auto raised = with_limits(*accepted(spec_to_change()), {9, 0, 6});
  REQUIRE(raised.ok());
  CHECK((*raised)->expanded == accepted(larger)->expanded);
  CHECK(limits_of(**raised) == SpecLimits{9, 0, 6});
  nlohmann::json timed = spec_to_change();
  timed["time_budget"] = "90s";
  timed["execution"]["reproducibility"] = "verify";
  const auto longer = with_limits(*accepted(timed), {5, 120'500, 4});
  REQUIRE(longer.ok());
  CHECK(*(*longer)->time_budget_ms == 120'500);
}

TEST_CASE("schedules that depend on the horizon are named, those of a space and of a trial too", "[spec][change]") {
  for (const char* independent :
       {R"({"name":"constant"})", R"({"name":"step","step_size":2})", R"({"name":"exponential","gamma":0.9})",
        R"({"name":"multistep","milestones":[1,3]})", R"({"name":"linear","total_epochs":2})"}) {
    INFO(independent);
    CHECK(horizon_schedule(*accepted(spec_to_change(independent)), nullptr).empty());
  }
  for (const char* name : {"cosine", "one_cycle", "linear"}) {
    CHECK(horizon_schedule(*accepted(spec_to_change((R"({"name":")" + std::string(name) + "\"}").c_str())), nullptr) ==
          name);
  }
  nlohmann::json spec = spec_to_change(R"({"name":"constant"})");
  spec["parameters"]["training.lr_schedule.name"]["values"] = {"constant", "cosine"};
  CHECK(horizon_schedule(*accepted(spec), nullptr) == "cosine");
  const Params constant = {{"training.lr_schedule.name", std::string("constant")}};
  CHECK(horizon_schedule(*accepted(spec), &constant).empty());
}

TEST_CASE("a fork changes what leaves its source's state as it is, in its space or not", "[spec][change]") {
  const auto spec = accepted(spec_to_change());
  const auto params = fork_params(*spec, kForkSource,
                                  {{"training.batch_size", std::int64_t{16}},
                                   {"training.lr_schedule.eta_min", 0.001},
                                   {"training.lr_schedule.name", std::string("cosine")},
                                   {"training.optimizer.lr", std::int64_t{1}},
                                   {"training.clip_grad_norm", 2.0}});
  INFO(params.status().message());
  REQUIRE(params.ok());
  CHECK(params->at("training.optimizer.lr") == Value(1.0));
  const auto recipe = nlohmann::json::parse(recipe_json(*spec, *params));
  CHECK(recipe["training"]["batch_size"] == 16);
  CHECK(recipe["training"]["lr_schedule"]["name"] == "cosine");
  CHECK(recipe["training"]["lr_schedule"]["eta_min"] == 0.001);
  CHECK_FALSE(recipe["training"]["lr_schedule"].contains("step_size"));
  CHECK(recipe["training"]["clip_grad_norm"] == 2.0);
  CHECK(horizon_schedule(*spec, &*params) == "cosine");
  // And a fork of it.
  const auto back = fork_params(*spec, *params, {{"training.lr_schedule.name", std::string("constant")}});
  REQUIRE(back.ok());
  CHECK_FALSE(back->contains("training.lr_schedule.eta_min"));
  CHECK(nlohmann::json::parse(recipe_json(*spec, *back))["training"]["batch_size"] == 16);
}

TEST_CASE("what a fork may not change is refused by name, with what can be done", "[spec][change][bad]") {
  const auto spec = accepted(spec_to_change());
  const std::vector<std::pair<std::string, Value>> bad = {
      {"model.layers.1.out_features", std::int64_t{4}},
      {"dataset.name", std::string("e")},
      {"seed", std::int64_t{8}},
      {"training.epochs", std::int64_t{9}},
      {"training.optimizer.name", std::string("adam")},
      {"training.optimizer", std::string("adam")},
      {"training.loss", std::string("mse_loss")},
      {"training.loss.name", std::string("mse_loss")},
      {"training.metrics", std::string("mae")},
      {"training.lr_schedule", std::string("cosine")},
      {"training.lr_schedule.name", std::string("sine")},
      {"training.lr_schedule.name", true},
      {"training.optimizer.learning_rate", 0.1},
      {"training.batch_size", std::string("many")},
      {"training.batch_size", std::int64_t{0}},
      {"training.optimizer.momentum.x", 0.1},
      {"training", 0.1},
      {"", 0.1},
  };
  for (const auto& [path, value] : bad) {
    INFO(path);
    const std::string why = fork_refusal(*spec, {{path, value}});
    INFO(why);
    CHECK_FALSE(why.empty());
    CHECK(why.find(path) != std::string::npos);
  }
  CHECK(fork_refusal(*spec, {{"training.optimizer.momentum", 0.0}}).find("momentum") != std::string::npos);
  CHECK(fork_refusal(*spec, {{"training.optimizer.momentum", 0.5}}).empty());
  CHECK(fork_refusal(*spec, {}).empty());
}
