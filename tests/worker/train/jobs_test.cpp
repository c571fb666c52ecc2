#include "worker/train/jobs.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/base/visit_order.h"
#include "common/state/state_file.h"
#include "tests/worker/model_fixtures.h"
#include "worker/data/dataset.h"
#include "worker/train/job_main.h"

using namespace modelhop;
using namespace modelhop::testing;
using Json = nlohmann::json;

namespace {

void append(std::vector<std::uint8_t>& bytes, std::uint32_t big_endian) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(big_endian >> shift));
}

void write_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// An image and a label file of `rows` 4 x 4 images in three classes.
void write_idx(const std::filesystem::path& folder, const std::string& kind, std::uint32_t rows) {
  KeyedRng rng(rows, Purpose::kImport);
  std::vector<std::uint8_t> images, labels;
  append(images, 0x803);
  for (const std::uint32_t size : {rows, 4u, 4u}) append(images, size);
  append(labels, 0x801);
  append(labels, rows);
  for (std::uint32_t row = 0; row < rows; ++row) {
    const auto label = static_cast<std::uint8_t>(rng.below(3));
    labels.push_back(label);
    for (int i = 0; i < 16; ++i)
      images.push_back(static_cast<std::uint8_t>(rng.below(128) + (i % 3 == label ? 100 : 0)));
  }
  write_file(folder / (kind + "-images-idx3-ubyte"), images);
  write_file(folder / (kind + "-labels-idx1-ubyte"), labels);
}

const char kRecipe[] = R"({"dataset":{"name":"small","transform":[{"op":"scale","factor":0.00392156862745098}]},
  "model":{"type":"sequential","layers":[{"type":"flatten"},{"type":"linear","out_features":8},{"type":"batch_norm1d"},
    {"type":"relu"},{"type":"dropout","p":0.2},{"type":"linear","out_features":3}]},
  "training":{"epochs":2,"batch_size":8,"loss":"cross_entropy","metrics":["accuracy"],
    "optimizer":{"name":"adam","lr":0.01}},"seed":7})";

// A store with one imported data set; gone at the end.
struct Store {
  std::filesystem::path root;
  Store() {
    char name[] = "/tmp/modelhop-jobs-XXXXXX";
    root = ::mkdtemp(name);
    write_idx(root / "idx", "train", 130);
    write_idx(root / "idx", "t10k", 40);
    ImportRequest request;
    request.name = "small";
    request.from = ImportFrom::kIdx;
    request.paths = {(root / "idx").string()};
    request.partitions = 3;
    request.validation_rows = 20;
    const auto imported = import_dataset(path(), request);
    INFO(imported.status().message());
    REQUIRE(imported.ok());
  }
  ~Store() { std::filesystem::remove_all(root); }
  std::string path() const { return (root / "store").string(); }
};

std::vector<Json> run(const Json& job, int expected_code) {
  std::istringstream in(job.dump());
  std::ostringstream out;
  CHECK(run_job(in, out) == expected_code);
  std::vector<Json> lines;
  std::istringstream text(out.str());
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

Json verify_job(const Store& store, const Json& checks) {
  return {{"job", "verify"},
          {"store", store.path()},
          {"dataset", "small"},
          {"trials",
           {{{"trial", "e1.3"}, {"id", 3}, {"offset", 2}, {"recipe", Json::parse(kRecipe)}, {"checks", checks}}}}};
}

}  // namespace

TEST_CASE("a verify job retrains a trial to the hashes of its visits, and tells a wrong one", "[train][jobs]") {
  const Store store;
  JobData data = std::move(JobData::open(store.path(), "small")).value();
  const auto recipe = parse_recipe(kRecipe, data.manifest());
  INFO(recipe.status().message());
  REQUIRE(recipe.ok());
  const auto trainer = make_torch_trainer(1);
  StateArena state(trainer->layout(*recipe, data.manifest()).value());
  REQUIRE(trainer->initialize(*recipe, data.manifest(), {3}, state).ok());
  std::vector<std::string> hashes{to_string(state_hash(state))};
  for (std::uint64_t visit = 0; visit < 4; ++visit) {
    const PartitionIndex partition = partition_of_visit(2, visit, 3);
    const auto rows = data.partition(partition).value();
    REQUIRE(trainer->train({{3}, partition, 3, &*recipe, &data.manifest(), rows.get()}, state, {}).ok());
    hashes.push_back(to_string(state_hash(state)));
  }
  const auto lines = run(verify_job(store, {{{"visits", 4}, {"hash", hashes[4]}},
                                            {{"visits", 0}, {"hash", hashes[0]}},
                                            {{"visits", 3}, {"hash", hashes[1]}}}),
                         0);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == Json{{"trial", "e1.3"}, {"visits", 0}, {"hash", hashes[0]}, {"expected", hashes[0]}, {"ok", true}});
  CHECK(lines[1] ==
        Json{{"trial", "e1.3"}, {"visits", 3}, {"hash", hashes[3]}, {"expected", hashes[1]}, {"ok", false}});
  CHECK(lines[2]["ok"] == true);

  SECTION("and a fork's with its source's before it") {
    Json other = Json::parse(kRecipe);
    other["training"]["optimizer"]["lr"] = 0.003;
    other["training"]["batch_size"] = 16;
    const auto forked = parse_recipe(other.dump(), data.manifest());
    REQUIRE(forked.ok());
    const PartitionIndex partition = partition_of_visit(2, 4, 3);
    const auto rows = data.partition(partition).value();
    REQUIRE(trainer->train({{9}, partition, 3, &*forked, &data.manifest(), rows.get()}, state, {}).ok());
    const std::string hash = to_string(state_hash(state));
    Json job = verify_job(store, {{{"visits", 5}, {"hash", hash}}});
    Json& trial = job["trials"][0];
    trial["before"] = {{{"id", 3}, {"offset", 2}, {"recipe", Json::parse(kRecipe)}, {"until", 4}}};
    trial["id"] = 9;
    trial["recipe"] = other;
    const auto told = run(job, 0);
    REQUIRE(told.size() == 1);
    CHECK(told[0]["ok"] == true);
    trial["id"] = 3;  // its dropout is its own
    CHECK(run(job, 0)[0]["ok"] == false);
    trial["before"][0]["until"] = 3;
    CHECK(run(job, 0)[0]["ok"] == false);
    trial["before"] = 1;
    run(job, 1);
  }

  SECTION("and a score job evaluates its stored state on the test set") {
    StateRef ref;
    ref.experiment = {1};
    ref.trial = {3};
    ref.at = state.cursor;
    ref.hash = state_hash(state);
    ref.layout = state.layout().hash;
    std::vector<std::uint8_t> file = encode_state_header(state.layout(), ref);
    file.insert(file.end(), state.bytes().begin(), state.bytes().end());
    write_file(std::filesystem::path(store.path()) / "states/e1/3/made.safetensors", file);
    Json job{{"job", "score"},  {"store", store.path()},          {"dataset", "small"},
             {"split", "test"}, {"recipe", Json::parse(kRecipe)}, {"state", "states/e1/3/made.safetensors"}};
    const auto scored = run(job, 0);
    REQUIRE(scored.size() == 1);
    const auto rows = data.test().value();
    const auto sums = trainer->evaluate(*recipe, data.manifest(), *rows, state, {}).value();
    CHECK(scored[0]["rows"] == 40);
    CHECK(scored[0]["loss"] == sums[0].total / 40);
    CHECK(scored[0]["accuracy"] == sums[1].total / 40);

    file[file.size() / 2] ^= 1;
    write_file(std::filesystem::path(store.path()) / "states/e1/3/made.safetensors", file);
    const auto damaged = run(job, 1);
    CHECK(damaged.at(0)["error"].get<std::string>().find("made.safetensors") != std::string::npos);
    job["state"] = "../idx/train-labels-idx1-ubyte";
    CHECK(run(job, 1).at(0)["error"].get<std::string>().find("not a state's name") != std::string::npos);
  }
}

TEST_CASE("a job's request without an end is refused at its limit", "[train][jobs]") {
  struct Endless : std::streambuf {
    char chunk[1 << 16];
    Endless() { std::fill(std::begin(chunk), std::end(chunk), ' '); }
    int_type underflow() override {
      setg(chunk, chunk, chunk + sizeof chunk);
      return chunk[0];
    }
  } spaces;
  std::istream in(&spaces);
  std::ostringstream out;
  CHECK(run_job(in, out) == 1);
  CHECK(out.str().find("256 MiB") != std::string::npos);
}

TEST_CASE("a job that cannot be done says why in its last line", "[train][jobs]") {
  const Store store;
  const auto error_of = [](const std::string& text) {
    std::istringstream in(text);
    std::ostringstream out;
    CHECK(run_job(in, out) == 1);
    return Json::parse(out.str())["error"].get<std::string>();
  };
  CHECK(error_of("").size() > 0);
  CHECK(error_of("[]").find("object") != std::string::npos);
  CHECK(error_of(R"({"job":7})").find("\"job\" must be a string") != std::string::npos);
  CHECK(error_of(R"({"job":"x","store":"s","dataset":"d"})").find("no such job") != std::string::npos);
  Json job = verify_job(store, {{{"visits", 1}, {"hash", "xyz"}}});
  CHECK(error_of(job.dump()).find("32 hexadecimal") != std::string::npos);
  job["dataset"] = "absent";
  CHECK(error_of(job.dump()).find("absent") != std::string::npos);
  job["dataset"] = "small";
  job["trials"][0]["recipe"]["model"]["layers"][5]["out_features"] = 2;
  CHECK(error_of(job.dump()).size() > 0);
  job["threads"] = 0;
  CHECK(error_of(job.dump()).find("threads") != std::string::npos);
}
