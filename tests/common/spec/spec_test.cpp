#include "common/spec/spec.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "common/base/hash.h"
#include "common/base/limits.h"
#include "common/base/rng.h"
#include "common/spec/problems.h"

using namespace modelhop;
using nlohmann::json;

namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

Manifest fashion_mnist(std::uint64_t rows = 13'500) {
  Manifest out;
  out.name = "fashion-mnist";
  out.columns = {{"x", DType::kU8, {1, 28, 28}}, {"y", DType::kU8, {}}};
  out.target = TargetKind::kClasses;
  out.classes = 10;
  for (int i = 0; i < 4; ++i) out.partitions.push_back({"p" + std::to_string(i), rows, 1, hash_bytes("p")});
  out.validation = Shard{"v", 6000, 1, hash_bytes("v")};
  return out;
}

Manifest values_of(Shape x, Shape y) {
  Manifest out = fashion_mnist();
  out.name = std::string("values");
  out.columns = {{"x", DType::kF32, std::move(x)}, {"y", DType::kF32, std::move(y)}};
  out.target = TargetKind::kValues;
  out.classes = 0;
  return out;
}

const Manifest kData = fashion_mnist();

json grid_spec() { return json::parse(read_file(MODELHOP_SOURCE_DIR "/configs/fmnist-cnn-grid.json")); }

std::string problems_of(const std::string& text, const Manifest* data = &kData) {
  return format_problems("spec.json", parse_spec(text, data).problems);
}
std::string problems_of(const json& spec, const Manifest* data = &kData) { return problems_of(spec.dump(), data); }

}  // namespace

TEST_CASE("the example of the interfaces is accepted and expanded", "[spec]") {
  const std::string text = read_file(MODELHOP_SOURCE_DIR "/configs/fmnist-cnn-grid.json");
  const ParsedSpec parsed = parse_spec(text, &kData);
  INFO(format_problems("spec.json", parsed.problems));
  REQUIRE(parsed.spec != nullptr);
  CHECK(parsed.problems.empty());
  const Spec& spec = *parsed.spec;
  CHECK(spec.name == "fmnist-cnn-grid");
  CHECK(spec.seed == 7);
  CHECK(spec.epochs == 5);
  CHECK(spec.algorithm == "grid");
  CHECK(spec.metric == "val_accuracy");
  CHECK(spec.maximize);
  CHECK(spec.max_concurrent_trials == 8);
  CHECK(spec.reproducibility == Reproducibility::kRerun);
  CHECK(spec.max_work_at_risk_ms == 60'000);
  REQUIRE(spec.space.size() == 3);
  CHECK(spec.space[0].path == "training.batch_size");
  CHECK(spec.space[0].values == std::vector<Value>{std::int64_t{64}, std::int64_t{256}});
  CHECK(spec.space[1].path == "training.optimizer.lr");
  CHECK(spec.space[2].values == std::vector<Value>{0.0, 0.0001});
  const json expanded = json::parse(spec.expanded);
  CHECK(expanded["training"]["loss"] == json{{"name", "cross_entropy"}, {"label_smoothing", 0.0}});
  CHECK(expanded["model"]["layers"][0]["stride"] == 1);
  CHECK(dataset_of_spec(text) == "fashion-mnist");
}

TEST_CASE("a spec restored from its expanded form is the same spec", "[spec]") {
  for (const auto& entry : std::filesystem::directory_iterator(MODELHOP_SOURCE_DIR "/configs")) {
    INFO(entry.path().string());
    const ParsedSpec parsed = parse_spec(read_file(entry.path()), nullptr);
    REQUIRE(parsed.spec != nullptr);
    const auto restored = restore_spec(parsed.spec->expanded);
    INFO(restored.status().message());
    REQUIRE(restored.ok());
    CHECK((*restored)->expanded == parsed.spec->expanded);
    CHECK((*restored)->space.size() == parsed.spec->space.size());
    CHECK((*restored)->metric == parsed.spec->metric);
    CHECK((*restored)->reproducibility == parsed.spec->reproducibility);
    const auto again = parse_spec(parsed.spec->expanded, nullptr);
    REQUIRE(again.spec != nullptr);
    CHECK(again.spec->expanded == parsed.spec->expanded);
  }
  CHECK_FALSE(restore_spec("{}").ok());
  CHECK_FALSE(restore_spec("[1]").ok());
  CHECK_FALSE(restore_spec("{").ok());
}

TEST_CASE("a trial's recipe has its values at their paths and nothing of another's", "[spec]") {
  const ParsedSpec parsed = parse_spec(grid_spec().dump(), &kData);
  REQUIRE(parsed.spec != nullptr);
  const Params params = {{"training.batch_size", std::int64_t{256}},
                         {"training.optimizer.lr", 0.003},
                         {"training.optimizer.weight_decay", 0.0001}};
  const std::string text = recipe_json(*parsed.spec, params);
  CHECK(text == recipe_json(*parsed.spec, params));
  const auto recipe = parse_recipe(text, kData);
  REQUIRE(recipe.ok());
  CHECK(recipe->training.batch_size == 256);
  CHECK(recipe->training.optimizer.lr == 0.003);
  CHECK(recipe->training.optimizer.weight_decay == 0.0001);
  CHECK(recipe->seed == 7);
  // A path that is not in the space, as a damaged journal may hold, is left out.
  CHECK(recipe_json(*parsed.spec, {{"model.layers.99.p", 0.5}}) == recipe_json(*parsed.spec, {}));
}

TEST_CASE("a parameter that picks an alternative keeps the others' keys out of a trial", "[spec]") {
  json spec = grid_spec();
  spec["training"]["optimizer"] = json::object();
  spec["parameters"] = {
      {"training.optimizer.name", {{"values", {"sgd", "adamw"}}}},
      {"training.optimizer.lr", {{"values", {0.1, 0.01}}}},
      {"training.optimizer.momentum", {{"values", {0, 0.9}}, {"when", {{"training.optimizer.name", {"sgd"}}}}}}};
  const ParsedSpec parsed = parse_spec(spec.dump(), &kData);
  INFO(format_problems("spec.json", parsed.problems));
  REQUIRE(parsed.spec != nullptr);
  REQUIRE(parsed.spec->space.size() == 3);
  CHECK(parsed.spec->space[2].path == "training.optimizer.momentum");
  CHECK(parsed.spec->space[2].values == std::vector<Value>{0.0, 0.9});
  const auto recipe = parse_recipe(
      recipe_json(*parsed.spec, {{"training.optimizer.name", std::string("adamw")}, {"training.optimizer.lr", 0.1}}),
      kData);
  REQUIRE(recipe.ok());
  CHECK(recipe->training.optimizer.weight_decay == 0.01);  // adamw's own default
  // Without its condition the key breaks adamw, which is named.
  spec["parameters"]["training.optimizer.momentum"].erase("when");
  CHECK(
      problems_of(spec).find("/parameters/training.optimizer.name/values/1: with training.optimizer.name = \"adamw\", "
                             "training.optimizer.momentum is not a key of adamw") != std::string::npos);
}

TEST_CASE("a parameter's place in the space stands after what it depends on, else by path", "[spec]") {
  json spec = grid_spec();
  spec["parameters"] = {
      {"model.layers.0.out_channels", {{"values", {8, 16}}, {"when", {{"training.batch_size", {64}}}}}},
      {"model.layers.3.out_channels", {{"values", {8, 16}}}},
      {"training.batch_size", {{"values", {64, 128}}}}};
  const ParsedSpec parsed = parse_spec(spec.dump(), &kData);
  INFO(format_problems("spec.json", parsed.problems));
  REQUIRE(parsed.spec != nullptr);
  CHECK(parsed.spec->space[0].path == "model.layers.3.out_channels");
  CHECK(parsed.spec->space[1].path == "training.batch_size");
  CHECK(parsed.spec->space[2].path == "model.layers.0.out_channels");
}

TEST_CASE("without its data set a spec is checked as far as can be, with a warning that says how far", "[spec]") {
  const ParsedSpec parsed = parse_spec(grid_spec().dump(), nullptr);
  REQUIRE(parsed.spec != nullptr);
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems[0].warning);
  CHECK(parsed.problems[0].pointer == "/dataset/name");
  CHECK(parsed.problems[0].message.find("shapes of the model") != std::string::npos);
}

// Each bad/NAME.json has its messages in bad/NAME.txt, all of them and in this order, as the command line prints them.
// MODELHOP_REWRITE=1 writes them anew, to be read as a diff.
TEST_CASE("every bad spec is refused with exactly its messages", "[spec][bad]") {
  int specs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(MODELHOP_SOURCE_DIR "/tests/common/spec/bad")) {
    if (entry.path().extension() != ".json") continue;
    ++specs;
    const std::string name = entry.path().stem().string();
    const Manifest regression = values_of({5}, {3});
    Manifest no_validation = kData;
    no_validation.validation.reset();
    const Manifest* data =
        name.starts_with("regression") ? &regression : (name.starts_with("no-validation") ? &no_validation : &kData);
    const ParsedSpec parsed = parse_spec(read_file(entry.path()), data);
    INFO(name);
    CHECK(parsed.spec == nullptr);
    auto expected = entry.path();
    expected.replace_extension(".txt");
    const std::string messages = format_problems("spec.json", parsed.problems);
    if (std::getenv("MODELHOP_REWRITE") != nullptr) std::ofstream(expected, std::ios::binary) << messages;
    CHECK(messages == read_file(expected));
  }
  CHECK(specs >= 60);
}

TEST_CASE("a spec at its limits is read, and one over each limit is refused", "[spec][limits]") {
  json spec = grid_spec();
  const std::string text = spec.dump();
  CHECK(parse_spec(text + std::string(kSpecBytesMax - text.size(), ' '), &kData).spec != nullptr);
  CHECK(problems_of(text + std::string(kSpecBytesMax - text.size() + 1, ' ')) ==
        "spec.json: has 1048577 bytes; at most 1048576 are read\n");
  json deep = json::array();
  for (unsigned i = 0; i < kJsonDepthMax - 1; ++i) deep = json::array({deep});
  CHECK(problems_of(json{{"version", deep}}).find("more than 32 objects and lists deep") != std::string::npos);

  spec["algorithm"]["name"] = "random";
  spec["max_trials"] = 10;
  json layers = json::array();
  json parameters = json::object();
  for (std::size_t i = 0; i < kParametersMax; ++i) {
    layers.push_back({{"type", "dropout"}});
    parameters["model.layers." + std::to_string(i) + ".p"] = {{"distribution", "uniform"}, {"low", 0}, {"high", 0.5}};
  }
  layers.push_back({{"type", "flatten"}});
  layers.push_back({{"type", "linear"}, {"out_features", 10}});
  spec["model"]["layers"] = layers;
  spec["parameters"] = parameters;
  CHECK(problems_of(spec).empty());
  spec["parameters"]["training.batch_size"] = {{"values", {64}}};
  CHECK(problems_of(spec) == "spec.json /parameters: must have at most 256 entries, has 257\n");

  spec = grid_spec();
  std::vector<int> values(kChoicesMax);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i) + 1;
  spec["parameters"] = {{"training.batch_size", {{"values", values}}}};
  CHECK(parse_spec(spec.dump(), &kData).spec != nullptr);
  values.push_back(10'001);
  spec["parameters"] = {{"training.batch_size", {{"values", values}}}};
  CHECK(problems_of(spec) ==
        "spec.json /parameters/training.batch_size/values: must have at most 10000 entries, has 10001\n");

  spec = grid_spec();
  spec["name"] = std::string(kNameBytesMax, 'a');
  spec["notes"] = std::string(kNotesBytesMax, 'a');
  CHECK(problems_of(spec).empty());
  spec["name"] = std::string(kNameBytesMax + 1, 'a');
  spec["notes"] = std::string(kNotesBytesMax + 1, 'a');
  CHECK(problems_of(spec) ==
        "spec.json /name: has 129 bytes; at most 128 are allowed\n"
        "spec.json /notes: has 65537 bytes; at most 65536 are allowed\n");
}

TEST_CASE("a hostile spec with a thousand errors reports a bounded number of them", "[spec][limits]") {
  json spec = grid_spec();
  for (int i = 0; i < 1000; ++i) spec["unknown" + std::to_string(i)] = i;
  CHECK(parse_spec(spec.dump(), &kData).problems.size() == kProblemsMax);
  spec = grid_spec();
  for (std::size_t i = 0; i < kProblemsMax; ++i) spec["unknown" + std::to_string(i)] = i;
  CHECK(parse_spec(spec.dump(), &kData).problems.size() == kProblemsMax);
  spec.erase("unknown0");
  CHECK(parse_spec(spec.dump(), &kData).problems.size() == kProblemsMax - 1);
}

TEST_CASE("a clash of many values is told once for each pair of parameters, a bad value once for each", "[spec]") {
  json spec = grid_spec();
  spec["model"]["layers"] = {{{"type", "conv2d"}, {"out_channels", 4}, {"kernel_size", 3}},
                             {{"type", "max_pool2d"}, {"kernel_size", 2}},
                             {{"type", "flatten"}},
                             {{"type", "linear"}, {"out_features", 10}}};
  std::vector<int> kernels(15), pools(16);
  std::iota(kernels.begin(), kernels.end(), 1);
  std::iota(pools.begin(), pools.end(), 10);
  spec["parameters"] = {{"model.layers.0.kernel_size", {{"values", kernels}}},
                        {"model.layers.1.kernel_size", {{"values", pools}}}};
  const ParsedSpec clash = parse_spec(spec.dump(), &kData);
  REQUIRE(clash.problems.size() == 1);
  CHECK(clash.problems[0].pointer == "/parameters");
  // A pair fails where the pool is larger than what the kernel leaves, 29 - kernel.
  std::size_t pairs = 0;
  for (int kernel : kernels) {
    pairs += static_cast<std::size_t>(
        std::count_if(pools.begin(), pools.end(), [&](int pool) { return pool > 29 - kernel; }));
  }
  CHECK(clash.problems[0].message.ends_with("(and " + std::to_string(pairs - 1) + " more pairs of these two like it)"));
  // Values that fail whatever the other parameter is, each at its own place.
  spec["parameters"]["model.layers.0.kernel_size"]["values"] = {1, 29, 30};
  spec["parameters"]["model.layers.1.kernel_size"]["values"] = {2, 3};
  const ParsedSpec alone = parse_spec(spec.dump(), &kData);
  REQUIRE(alone.problems.size() == 2);
  CHECK(alone.problems[0].pointer == "/parameters/model.layers.0.kernel_size/values/1");
  CHECK(alone.problems[1].pointer == "/parameters/model.layers.0.kernel_size/values/2");
}

// Each fault is put into the others' company, two at a time and all at once: none may hide another.
TEST_CASE("no error of one section hides an error of another", "[spec]") {
  const json good = json::parse(R"({"version": 1, "name": "s", "dataset": {"name": "fashion-mnist",
      "transform": [{"op": "normalize", "mean": [0.3], "std": [0.4]}]},
    "model": {"layers": [{"type": "conv2d", "out_channels": 4, "kernel_size": 3}, {"type": "relu"},
      {"type": "max_pool2d", "kernel_size": 2}, {"type": "flatten"}, {"type": "linear", "out_features": 10}]},
    "training": {"epochs": 2, "batch_size": 64, "loss": "cross_entropy", "metrics": ["accuracy"],
      "optimizer": {"name": "sgd", "lr": 0.1}},
    "algorithm": {"name": "random"}, "max_trials": 4, "metric": {"name": "val_accuracy"},
    "parameters": {"training.optimizer.lr": {"values": [0.1, 0.2]}}})");
  REQUIRE(problems_of(good).empty());
  struct Fault {
    const char* pointer;  // that the message must have
    std::function<void(json&)> put;
  };
  const std::vector<Fault> faults = {
      {"/dataset/transform/0/mean",
       [](json& s) {
         s["dataset"]["transform"][0]["mean"] = {1, 2};
       }},
      {"/dataset/transform/1/op",
       [](json& s) {
         s["dataset"]["transform"].push_back({{"op", "scael"}});
       }},
      {"/model/layers/2/kernel", [](json& s) { s["model"]["layers"][2]["kernel"] = 3; }},
      {"/model/layers/0/padding",
       [](json& s) {
         s["model"]["layers"][0].update({{"kernel_size", 4}, {"padding", "same"}});
       }},
      {"/training/batch_size", [](json& s) { s["training"]["batch_size"] = 20'000; }},
      {"/training/optimizer/nesterov", [](json& s) { s["training"]["optimizer"]["nesterov"] = true; }},
      {"/training/lr_schedule/warmup",
       [](json& s) {
         s["training"]["lr_schedule"] = {{"name", "constant"}, {"warmup", 3}};
       }},
      {"/training/metrics/1", [](json& s) { s["training"]["metrics"].push_back("mae"); }},
      {"/training/precison", [](json& s) { s["training"]["precison"] = "fp32"; }},
      {"/metric/name", [](json& s) { s["metric"]["name"] = "val_top5_accuracy"; }},
      {"/algorithm/etaa", [](json& s) { s["algorithm"]["etaa"] = 3; }},
      {"/max_trials", [](json& s) { s["max_trials"] = 0; }},
      {"/stop/val_los", [](json& s) { s["stop"]["val_los"] = 1; }},
      {"/time_budget", [](json& s) { s["time_budget"] = "soon"; }},
      {"/parameters/model.layers.9.p", [](json& s) { s["parameters"]["model.layers.9.p"]["values"] = {0.5}; }},
      {"/parameters/model.layers.4.bias/low",
       [](json& s) {
         s["parameters"]["model.layers.4.bias"] = {{"values", {true}}, {"low", 1}};
       }},
      {"/parameters/training.clip_grad_norm/values/1",
       [](json& s) {
         s["parameters"]["training.clip_grad_norm"]["values"] = {1, -1};
       }},
      {"/points_to_evaluate/0/x",
       [](json& s) {
         s["points_to_evaluate"] = {{{"training.optimizer.lr", 0.1}, {"x", 1}}};
       }},
  };
  const auto check = [&](const std::vector<std::size_t>& which) {
    json spec = good;
    for (std::size_t i : which) faults[i].put(spec);
    const ParsedSpec parsed = parse_spec(spec.dump(), &kData);
    INFO(format_problems("spec.json", parsed.problems));
    for (std::size_t i : which) {
      INFO(faults[i].pointer);
      CHECK(std::any_of(parsed.problems.begin(), parsed.problems.end(),
                        [&](const Problem& problem) { return problem.pointer == faults[i].pointer; }));
    }
    CHECK(parsed.problems.size() == which.size());
  };
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    all.push_back(i);
    for (std::size_t j = 0; j < i; ++j) check({j, i});
  }
  check(all);
}

TEST_CASE("problems print without control characters", "[spec]") {
  json spec = grid_spec();
  spec["a\x1b[31m"] = 1;
  CHECK(problems_of(spec).find('\x1b') == std::string::npos);
  CHECK(problems_of(spec).find("\\u001b[31m") != std::string::npos);
}

TEST_CASE("a spec with changed bytes never crashes the parser", "[spec][random]") {
  const std::string text = read_file(MODELHOP_SOURCE_DIR "/configs/fmnist-cnn-grid.json");
  const std::uint64_t seed = 3;
  INFO("seed " << seed);
  KeyedRng rng(seed, Purpose::kSimulator);
  for (int round = 0; round < 1'500; ++round) {
    std::string bytes = text;
    for (std::uint64_t i = 0, n = 1 + rng.below(3); i < n; ++i) {
      bytes[rng.below(bytes.size())] = static_cast<char>(32 + rng.below(95));
    }
    const ParsedSpec parsed = parse_spec(bytes, &kData);
    REQUIRE((parsed.spec != nullptr || !parsed.problems.empty()));
    if (parsed.spec) REQUIRE(restore_spec(parsed.spec->expanded).ok());
  }
}

TEST_CASE("a spec with values taken out, changed or swapped is refused or read, never a crash", "[spec][random]") {
  const std::uint64_t seed = 5;
  INFO("seed " << seed);
  KeyedRng rng(seed, Purpose::kSimulator);
  std::vector<json> sources;
  for (const auto& entry : std::filesystem::directory_iterator(MODELHOP_SOURCE_DIR "/configs")) {
    sources.push_back(json::parse(read_file(entry.path())));
    sources.back()["dataset"]["name"] = "fashion-mnist";
  }
  std::sort(sources.begin(), sources.end());
  const std::vector<json> odd = {nullptr, true, -1, 0, 1e300, "x", "adam", json::array(), json::object(), {1, 2}};
  const auto pick = [&](json& root) {
    json* at = &root;
    while (at->is_structured() && !at->empty() && (at == &root || rng.below(4) != 0)) {
      auto child = at->begin();
      std::advance(child, static_cast<std::ptrdiff_t>(rng.below(at->size())));
      at = &*child;
    }
    return at;
  };
  for (int round = 0; round < 500; ++round) {
    json spec = sources[rng.below(sources.size())];
    for (std::uint64_t i = 0, n = 1 + rng.below(4); i < n; ++i) {
      json* const at = pick(spec);
      const std::uint64_t how = rng.below(3);
      if (how == 0) {
        *at = odd[rng.below(odd.size())];
      } else if (how == 1) {
        *at = json(*pick(spec));
      } else if (at->is_structured() && !at->empty()) {
        auto child = at->begin();
        std::advance(child, static_cast<std::ptrdiff_t>(rng.below(at->size())));
        at->erase(child);
      }
    }
    INFO(spec.dump());
    const ParsedSpec parsed = parse_spec(spec.dump(), rng.below(4) == 0 ? nullptr : &kData);
    REQUIRE((parsed.spec != nullptr || !parsed.problems.empty()));
    if (parsed.spec) REQUIRE(restore_spec(parsed.spec->expanded).ok());
  }
}

TEST_CASE("every key of the schema is described in docs/spec.md", "[spec][docs]") {
  const std::string page = read_file(MODELHOP_SOURCE_DIR "/docs/spec.md");
  const json schema = json::parse(spec_schema());
  const std::function<void(const json&)> walk = [&](const json& node) {
    if (node.is_object() && node.contains("properties")) {
      for (const auto& [key, own] : node["properties"].items()) {
        INFO(key);
        CHECK(page.find("`" + key + "`") != std::string::npos);
        if (own.contains("const") && own["const"].is_string()) {
          INFO(own["const"].get<std::string>());
          CHECK(page.find("`" + own["const"].get<std::string>() + "`") != std::string::npos);
        }
      }
    }
    if (node.is_structured()) {
      for (const json& child : node) walk(child);
    }
  };
  walk(schema);
}

namespace {

// What docs/spec.md says of a value's bounds and kind, from the schema.
std::string documented_value(const json& own, const json& schema) {
  const json& resolved = own.contains("$ref") ? schema["$defs"][own["$ref"].get<std::string>().substr(8)] : own;
  std::string out;
  const std::string type = resolved.contains("type") && resolved["type"].is_string() ? resolved["type"] : "";
  if (type != "integer" && type != "number") return out;
  out = type == "integer" ? "whole number" : "number";
  const auto bound = [&](const char* key, const char* sign) {
    if (resolved.contains(key))
      out += (out.ends_with("number") ? " " : ", ") + std::string(sign) + " " + resolved[key].dump();
  };
  bound("exclusiveMinimum", ">");
  bound("minimum", "\u2265");
  bound("maximum", "\u2264");
  return out;
}

}  // namespace

TEST_CASE("docs/spec.md has the defaults and bounds of the schema", "[spec][docs]") {
  const std::string page = read_file(MODELHOP_SOURCE_DIR "/docs/spec.md");
  const json schema = json::parse(spec_schema());
  const auto default_of = [&](const json& own) {
    if (own.contains("default")) return own["default"];
    if (!own.contains("$ref")) return json();
    const json& target = schema["$defs"][own["$ref"].get<std::string>().substr(8)];
    return target.contains("default") ? target["default"] : json();
  };
  std::size_t rows = 0;
  // `| key | value | default | meaning |`, one table a section.
  const auto check_table = [&](const json& object, const std::string& title) {
    std::size_t from = page.find("\n## " + title + "\n");
    REQUIRE(from != std::string::npos);
    const std::string section = page.substr(from, page.find("\n## ", from + 4) - from);
    for (const auto& [key, own] : object["properties"].items()) {
      if (own.contains("not")) continue;
      INFO(title << " " << key);
      const std::size_t at = section.find("\n| `" + key + "` | ");
      REQUIRE(at != std::string::npos);
      const std::string row = section.substr(at + 1, section.find('\n', at + 1) - at - 1);
      INFO(row);
      const json& required = object["required"];
      const bool needed = std::find(required.begin(), required.end(), key) != required.end();
      const json fallback = default_of(own);
      const std::string expected = needed ? "| **required** |"
                                   : fallback.is_null()
                                       ? "|  |"
                                       : "| `" +
                                             [&] {
                                               std::string text = fallback.dump();
                                               for (std::size_t colon = text.find("\":"); colon != std::string::npos;
                                                    colon = text.find("\":", colon + 2)) {
                                                 text.insert(colon + 2, " ");
                                               }
                                               return text;
                                             }() +
                                             "` |";
      CHECK(row.find(expected) != std::string::npos);
      if (const std::string value = documented_value(own, schema); !value.empty()) {
        CHECK(row.find("| " + value + " |") != std::string::npos);
      }
      ++rows;
    }
  };
  check_table(schema, "Top level");
  for (const char* section : {"dataset", "model", "training", "metric", "execution", "checkpoint"}) {
    check_table(schema["$defs"][section], section);
  }
  // `| name | its keys (default) | meaning |`: layers, losses, optimizers, schedules, ...
  for (const auto& [name, object] : schema["$defs"].items()) {
    if (!object.contains("properties") || !object.contains("title")) continue;
    std::string tag;
    for (const auto& [key, own] : object["properties"].items()) {
      if (own.contains("const")) tag = key;
    }
    if (tag.empty()) continue;
    const std::string title = object["title"];
    std::string keys;
    for (const auto& [key, own] : object["properties"].items()) {
      if (key == tag) continue;
      INFO(name << " " << key);
      const json& required = object["required"];
      const bool needed = std::find(required.begin(), required.end(), key) != required.end();
      json fallback = default_of(own);
      std::string shown_default;
      if (needed) shown_default = " (required)";
      if (!fallback.is_null()) {
        std::string text = fallback.dump();
        if (fallback.is_number_float() && std::abs(fallback.get<double>() - 1.0 / 3) < 1e-9) text = "0.333333";
        for (std::size_t comma = text.find(','); comma != std::string::npos; comma = text.find(',', comma + 1)) {
          if (comma + 1 < text.size() && text[comma + 1] != ' ') text.insert(comma + 1, " ");
        }
        shown_default = " (" + text + ")";
      }
      const std::string wanted = "`" + key + "`" + shown_default;
      bool found = false;
      for (std::size_t at = page.find("\n| `" + title + "` | "); at != std::string::npos && !found;
           at = page.find("\n| `" + title + "` | ", at + 1)) {
        const std::string row = page.substr(at + 1, page.find('\n', at + 1) - at - 1);
        const std::size_t place = row.find(wanted);
        found =
            place != std::string::npos && (!shown_default.empty() || row.compare(place + wanted.size(), 2, " (") != 0);
      }
      INFO(wanted);
      CHECK(found);
      ++rows;
    }
  }
  CHECK(rows > 100);
}
