#include <catch2/catch_test_macros.hpp>
#include <set>

#include "common/base/rng.h"
#include "search/registry.h"
#include "search/space/space.h"

using namespace modelhop;

namespace {

Value text(const char* value) { return std::string(value); }

Parameter choice(std::string path, std::vector<Value> values) {
  Parameter out;
  out.path = std::move(path);
  out.values = std::move(values);
  return out;
}

Parameter range(std::string path, Distribution distribution, double low, double high, double step = 0) {
  Parameter out;
  out.path = std::move(path);
  out.distribution = distribution;
  out.low = low;
  out.high = high;
  out.step = step;
  return out;
}

std::shared_ptr<Spec> spec_of(std::string algorithm, Space space) {
  auto spec = std::make_shared<Spec>();
  spec->algorithm = std::move(algorithm);
  spec->epochs = 5;
  spec->seed = 7;
  spec->space = std::move(space);
  return spec;
}

// name in {sgd, adam}; momentum (2 values) only for sgd; nesterov (2) only where momentum is 0.9; width always (3).
Space conditional_space() {
  Parameter momentum = choice("momentum", {0.0, 0.9});
  momentum.when = {{"name", {text("sgd")}}};
  Parameter nesterov = choice("nesterov", {false, true});
  nesterov.when = {{"momentum", {0.9}}};
  return {choice("name", {text("sgd"), text("adam")}), momentum, nesterov,
          choice("width", {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}})};
}

std::vector<Params> run(Search& search, std::uint64_t room) {
  std::vector<Params> out;
  for (int round = 0; round < 10'000; ++round) {
    const auto decisions = search.decide({.trials = out.size(), .room = room, .partitions = 4});
    REQUIRE(decisions.size() <= room + 1);
    for (const Decision& decision : decisions) {
      if (std::holds_alternative<SearchDone>(decision)) return out;
      const auto& create = std::get<CreateTrial>(decision);
      out.push_back(create.params);
      search.apply(SearchTrialCreated{{out.size()}, create.params, create.target_visits, create.origin});
    }
  }
  FAIL("the search does not end");
  return out;
}

}  // namespace

TEST_CASE("an inactive parameter does not multiply the grid", "[search][grid]") {
  const auto grid = Grid::of(conditional_space());
  REQUIRE(grid.ok());
  CHECK(grid->size() == 3 * (1 + 2 + 1));  // sgd 0.0; sgd 0.9 with and without nesterov; adam
  std::set<std::string> seen;
  Grid::Point point = grid->first();
  do {
    const Params params = grid->params(point);
    CHECK(params.contains("momentum") == (params.at("name") == text("sgd")));
    CHECK(params.contains("nesterov") == (params.contains("momentum") && params.at("momentum") == Value(0.9)));
    CHECK(seen.insert(to_json_text(params)).second);
  } while (grid->next(point));
  CHECK(seen.size() == 12);
  CHECK(point == grid->first());
}

TEST_CASE("the last parameter of a grid turns fastest", "[search][grid]") {
  const auto grid = Grid::of({choice("a", {text("x"), text("y")}), choice("b", {std::int64_t{1}, std::int64_t{2}})});
  REQUIRE(grid.ok());
  std::string order;
  Grid::Point point = grid->first();
  do {
    order += to_json_text(grid->params(point));
  } while (grid->next(point));
  CHECK(order == R"({"a":"x","b":1}{"a":"x","b":2}{"a":"y","b":1}{"a":"y","b":2})");
}

TEST_CASE("a grid too large to count is told from one that just fits", "[search][grid]") {
  Space space;
  for (char c = 'a'; c < 'g'; ++c) space.push_back(choice(std::string(1, c), std::vector<Value>(10, true)));
  CHECK(Grid::of(space)->size() == 1'000'000);
  space.push_back(choice("g", {true, false}));
  CHECK(Grid::of(space)->size() == std::nullopt);
  // 40 parameters of two values, each of which another depends on: 2^40 combinations, given up after a million.
  Space chain;
  for (int i = 0; i < 40; ++i) {
    chain.push_back(choice("p" + std::to_string(100 + i), {true, false}));
    if (i > 0) chain.back().when = {{chain[static_cast<std::size_t>(i) - 1].path, {true, false}}};
  }
  CHECK(Grid::of(chain)->size() == std::nullopt);
  CHECK(Grid::of({})->size() == 1);
}

TEST_CASE("count points of a range lie on it, ends included, equal ones once", "[search][grid]") {
  Parameter lr = range("lr", Distribution::kLogUniform, 1e-4, 1e-1);
  lr.count = 4;
  CHECK(*grid_values(lr) == std::vector<Value>{1e-4, 1e-3, 1e-2, 1e-1});
  Parameter drop = range("p", Distribution::kUniform, 0.1, 0.5);
  drop.count = 5;
  CHECK(*grid_values(drop) == std::vector<Value>{0.1, 0.2, 0.3, 0.4, 0.5});
  Parameter width = range("w", Distribution::kRandInt, 1, 3);
  width.count = 10;
  width.integer = true;
  CHECK(*grid_values(width) == std::vector<Value>{std::int64_t{1}, std::int64_t{2}, std::int64_t{3}});
  Parameter batch = range("b", Distribution::kQLogUniform, 32, 512, 32);
  batch.count = 5;
  batch.integer = true;
  CHECK(*grid_values(batch) == std::vector<Value>{std::int64_t{32}, std::int64_t{64}, std::int64_t{128},
                                                  std::int64_t{256}, std::int64_t{512}});
  width.count = 0;
  CHECK_FALSE(grid_values(width).ok());
  CHECK_FALSE(grid_values(range("n", Distribution::kNormal, 0, 1)).ok());
}

TEST_CASE("every draw lies in its bounds, on its grid, and both ends are reached", "[search][sample]") {
  Parameter integer = range("e", Distribution::kRandInt, -2, 3);
  integer.integer = true;
  Parameter qint = range("f", Distribution::kQRandInt, 10, 50, 20);
  qint.integer = true;
  Parameter logint = range("g", Distribution::kLogRandInt, 1, 64);
  logint.integer = true;
  Parameter normal = range("h", Distribution::kNormal, 0, 1);
  normal.mu = 0.5;
  normal.sigma = 10;
  Parameter lognormal = range("i", Distribution::kLogNormal, 0.01, 100);
  lognormal.sigma = 1;
  const Space space = {range("a", Distribution::kUniform, -1, 2),
                       range("b", Distribution::kLogUniform, 1e-5, 0.3),
                       range("c", Distribution::kQUniform, 0.1, 0.7, 0.2),
                       range("d", Distribution::kQLogUniform, 32, 512, 32),
                       integer,
                       qint,
                       logint,
                       normal,
                       lognormal};
  std::map<std::string, std::set<std::string>> seen;
  std::map<std::string, double> sums;
  for (std::uint64_t trial = 1; trial <= 20'000; ++trial) {
    for (const auto& [path, value] : sample(space, 3, {trial})) {
      const Parameter& parameter = space[static_cast<std::size_t>(path[0] - 'a')];
      REQUIRE(std::holds_alternative<std::int64_t>(value) == parameter.integer);
      const double number =
          parameter.integer ? static_cast<double>(std::get<std::int64_t>(value)) : std::get<double>(value);
      REQUIRE(number >= parameter.low);
      REQUIRE(number <= parameter.high);
      sums[path] += number;
      if (seen[path].size() < 100) seen[path].insert(to_json_text(value));
    }
  }
  CHECK(seen["c"] == std::set<std::string>{"0.1", "0.3", "0.5", "0.7"});
  CHECK(seen["d"].size() == 16);
  CHECK(seen["e"] == std::set<std::string>{"-2", "-1", "0", "1", "2", "3"});
  CHECK(seen["f"] == std::set<std::string>{"10", "30", "50"});
  CHECK(seen["g"].size() == 64);
  CHECK(std::abs(sums["a"] / 20'000 - 0.5) < 0.03);
  CHECK(std::abs(sums["e"] / 20'000 - 0.5) < 0.05);
}

TEST_CASE("a draw depends on seed, trial and place alone", "[search][sample]") {
  const Space space = {range("a", Distribution::kUniform, 0, 1), range("b", Distribution::kUniform, 0, 1)};
  CHECK(sample(space, 1, {5}) == sample(space, 1, {5}));
  CHECK(sample(space, 1, {5}) != sample(space, 1, {6}));
  CHECK(sample(space, 1, {5}) != sample(space, 2, {5}));
  CHECK(sample(space, 1, {5}).at("a") != sample(space, 1, {5}).at("b"));
}

TEST_CASE("a conditional parameter is drawn only where its condition holds", "[search][sample]") {
  int with = 0;
  for (std::uint64_t trial = 1; trial <= 400; ++trial) {
    const Params params = sample(conditional_space(), 9, {trial});
    CHECK(params.contains("momentum") == (params.at("name") == text("sgd")));
    with += params.contains("momentum") ? 1 : 0;
  }
  CHECK(with > 150);
  CHECK(with < 250);
}

TEST_CASE("grid search trains each point once, whatever the room", "[search][grid]") {
  const auto spec = spec_of("grid", conditional_space());
  const SearchFactory* factory = find_search("grid");
  REQUIRE(factory != nullptr);
  const auto plan = factory->preview(*spec, 4);
  REQUIRE(plan.ok());
  CHECK(plan->trials_max == 12);
  CHECK(plan->visits_max == 12 * 5 * 4);
  std::vector<Params> all;
  for (const std::uint64_t room : {1, 5, 100}) {
    auto search = factory->create(spec, 4);
    REQUIRE(search.ok());
    const auto trials = run(**search, room);
    CHECK(trials.size() == 12);
    if (!all.empty()) CHECK(trials == all);
    all = trials;
  }
  auto search = factory->create(spec, 4);
  CHECK((*search)->decide({.room = 0}).empty());
  const auto once = (*search)->decide({.room = 1});
  REQUIRE(once.size() == 1);
  CHECK(std::get<CreateTrial>(once[0]).origin == "grid 1/12");
  CHECK(std::get<CreateTrial>(once[0]).target_visits == 20);
  CHECK(std::get<CreateTrial>((*search)->decide({.room = 1})[0]).params == std::get<CreateTrial>(once[0]).params);
}

TEST_CASE("max_trials cuts a grid short, and is needed where it is too large", "[search][grid]") {
  auto spec = spec_of("grid", conditional_space());
  spec->max_trials = 5;
  auto search = find_search("grid")->create(spec, 4);
  CHECK(run(**search, 2).size() == 5);
  Space wide;
  for (char c = 'a'; c < 'k'; ++c) wide.push_back(choice(std::string(1, c), std::vector<Value>(10, true)));
  auto large = spec_of("grid", wide);
  CHECK_FALSE(find_search("grid")->preview(*large, 4).ok());
  large->max_trials = 3;
  CHECK(find_search("grid")->preview(*large, 4)->trials_max == 3);
}

TEST_CASE("random search takes the given points first, then draws by trial number", "[search][random]") {
  auto spec = spec_of("random", {range("a", Distribution::kUniform, 0, 1)});
  CHECK_FALSE(find_search("random")->create(spec, 4).ok());
  spec->max_trials = 6;
  spec->points_to_evaluate = {{{"a", 0.25}}, {{"a", 0.75}}};
  auto search = find_search("random")->create(spec, 4);
  REQUIRE(search.ok());
  const auto trials = run(**search, 4);
  REQUIRE(trials.size() == 6);
  CHECK(trials[0] == spec->points_to_evaluate[0]);
  CHECK(trials[1] == spec->points_to_evaluate[1]);
  for (std::uint64_t i = 3; i <= 6; ++i) CHECK(trials[i - 1] == sample(spec->space, 7, {i}));
  CHECK(find_search("random")->preview(*spec, 4)->visits_max == 6 * 5 * 4);
  CHECK_FALSE(find_search("random")->preview(*spec, 4)->open_ended);
  spec->max_trials.reset();
  spec->time_budget_ms = 1000;
  CHECK(find_search("random")->preview(*spec, 4)->open_ended);
}

TEST_CASE("an algorithm that is not there is not found", "[search][registry]") {
  CHECK(find_search("asha") == nullptr);
  for (const SearchFactory* factory : all_searches()) CHECK(find_search(factory->name()) == factory);
}
