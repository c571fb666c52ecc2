// A whole run, with a worker that trains without LibTorch, and every command over what it leaves.
#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "common/store/journal.h"
#include "tests/cli/shell.h"

namespace modelhop::cli {
namespace {

const std::string kWorker = "MODELHOP_WORKER='" MODELHOP_BINARY_DIR "/tests/modelhop-fake-worker' MODELHOP_STORE=store";

void write_npy(const std::string& path, const std::string& kind, const std::string& shape, const std::string& bytes) {
  std::string header = "{'descr': '" + kind + "', 'fortran_order': False, 'shape': (" + shape + ",), }";
  header += std::string(63 - (10 + header.size()) % 64, ' ') + "\n";
  std::ofstream(path, std::ios::binary) << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(header.size() & 255)
                                        << static_cast<char>(header.size() >> 8) << header << bytes;
}

// A data set of 400 rows in 2 partitions and a spec of 2 trials.
class Project {
 public:
  Project() {
    std::filesystem::create_directories(shell.folder + "/raw");
    std::string labels;
    for (int i = 0; i < 400; ++i) labels += static_cast<char>(i % 2);
    write_npy(shell.folder + "/raw/x.npy", "|u1", "400, 4", std::string(1600, '\7'));
    write_npy(shell.folder + "/raw/y.npy", "|u1", "400", labels);
    REQUIRE(run("data import d --from npy raw --partitions 2 --validation-rows 40").exit == 0);
    std::ofstream(shell.folder + "/spec.json") << R"({"version": 1, "name": "small", "labels": ["red", "blue"],
      "notes": "why, and how", "project": "tests", "dataset": {"name": "d"},
      "model": {"layers": [{"type": "linear", "out_features": 2}]},
      "training": {"epochs": 2, "batch_size": 4, "loss": "cross_entropy", "metrics": ["accuracy"],
        "optimizer": {"name": "sgd", "lr": 0.1}},
      "algorithm": {"name": "grid"}, "metric": {"name": "val_loss"},
      "parameters": {"training.optimizer.lr": {"values": [0.1, 0.2]}}})";
  }
  Ran run(const std::string& words, const std::string& environment = "") const {
    return shell.run(words, kWorker + " " + environment);
  }
  Shell shell;
};

// Rows of a CSV text, by their number of fields.
std::vector<std::size_t> csv_widths(const std::string& text) {
  std::vector<std::size_t> out;
  bool quoted = false;
  std::size_t fields = 1;
  for (char c : text) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) ++fields;
    if (c != '\n' || quoted) continue;
    out.push_back(fields);
    fields = 1;
  }
  CHECK(fields == 1);  // the last line is ended
  CHECK_FALSE(quoted);
  return out;
}

TEST_CASE("a run that cannot be is refused before anything is started or made", "[cli][run]") {
  const Project project;
  const Ran bad =
      project.run("run spec.json --state-dir state --set seed=-1 --set training.epochz=1 --set metric.name=val_mae");
  CHECK(bad.exit == 2);
  CHECK(bad.err.find("/seed") != std::string::npos);
  CHECK(bad.err.find("/training/epochz") != std::string::npos);
  CHECK(bad.err.find("/metric/name") != std::string::npos);
  const Ran unknown = project.run("run spec.json --state-dir state --set dataset.name=other");
  CHECK(unknown.exit == 3);
  CHECK(unknown.err.find("no data set \"other\" in store store; it holds d") != std::string::npos);
  CHECK(project.run("run spec.json --state-dir state --workers 0").exit == 2);
  CHECK(project.run("run spec.json --state-dir state --workers 9999").exit == 2);
  CHECK_FALSE(std::filesystem::exists(project.shell.folder + "/state"));
}

TEST_CASE("who waits for a run's end over HTTP sees it; a port that is taken is refused", "[cli][run]") {
  const Project project;
  const std::string run = kWorker + " MODELHOP_FAKE_BATCH_US=5000 '" + kProgram + "' run spec.json --state-dir state";
  // The port is any free one, which the run tells.
  std::ofstream(project.shell.folder + "/both.sh")
      << "set -u\n"
      << run << " --port 0 >run.out 2>run.err &\n"
      << R"(run=$!
for i in $(seq 200); do grep -q http run.err && break; sleep 0.05; done
url=$(sed -n 's/.*\(http:[^,]*\),.*/\1/p' run.err | head -1)
port=${url##*:}
for i in $(seq 200); do ')"
      << kProgram << R"(' exp show e1 --server "$url" -q >shown 2>/dev/null && break; sleep 0.05; done
)" << kWorker
      << " '" << kProgram << R"(' run spec.json --state-dir other --port "$port" 2>taken; echo "taken $?"
')" << kProgram
      << R"(' exp wait e1 --server "$url" 2>wait.err & wait=$!
')" << kProgram
      << R"(' exp watch e1 --server "$url" >watch.out 2>watch.err & watch=$!
wait $wait; echo "wait $?"
wait $watch; echo "watch $?"
wait $run; echo "run $?"
)";
  const Ran both = project.shell.sh("bash both.sh");
  INFO(slurp(project.shell.folder + "/run.err")
       << slurp(project.shell.folder + "/wait.err") << slurp(project.shell.folder + "/watch.err"));
  CHECK(both.out == "taken 5\nwait 0\nwatch 0\nrun 0\n");
  CHECK(slurp(project.shell.folder + "/taken").find("is taken; give another --port") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(project.shell.folder + "/other"));
}

TEST_CASE("without a service gc says what it would delete and deletes nothing", "[cli][run][gc]") {
  const Project project;
  const Ran ran = project.run("run spec.json --state-dir state --port 0");
  INFO(ran.err);
  REQUIRE(ran.exit == 0);
  const Ran clean = project.run("checkpoint gc --dry-run --state-dir state");
  CHECK(clean.exit == 0);
  CHECK(clean.out.find("would delete 0 files, 0 B; ") == 0);
  const std::string blob = "states/c1/e1/1/0.1-" + std::string(31, '0') + "7.safetensors";
  std::ofstream(project.shell.folder + "/store/" + blob) << "1234567";
  const Ran table = project.run("checkpoint gc --dry-run --state-dir state");
  CHECK(table.exit == 0);
  CHECK(table.out.find("e1.1@0.1") != std::string::npos);
  CHECK(table.out.find("its trial has ended without it") != std::string::npos);
  CHECK(table.out.find("\nwould delete 1 files, 7 B; ") != std::string::npos);
  const Ran json = project.run("checkpoint gc --dry-run --state-dir state -o json");
  const auto answer = nlohmann::json::parse(json.out);
  CHECK(answer["items"][0]["blob"] == blob);
  CHECK(answer["count"] == 1);
  CHECK(answer["kept_reasons"].size() > 0);
  const Ran csv = project.run("checkpoint gc --dry-run --state-dir state -o csv");
  CHECK(csv_widths(csv.out).size() == 2);
  const Ran refused = project.run("checkpoint gc --state-dir state");
  CHECK(refused.exit == 5);
  CHECK(refused.err.find("start `modelhop scheduler` on it") != std::string::npos);
  CHECK(std::filesystem::exists(project.shell.folder + "/store/" + blob));
  const Ran elsewhere = project.run("checkpoint gc --dry-run --state-dir state --store nowhere");
  CHECK(elsewhere.exit == 3);
  CHECK(elsewhere.err.find("there is no such folder") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(project.shell.folder + "/nowhere"));
}

TEST_CASE("every command that prints data prints it as a table, as JSON and as CSV", "[cli][run]") {
  const Project project;
  const Ran ran = project.run("run spec.json --state-dir state --port 0 --workers 3");
  INFO(ran.err);
  REQUIRE(ran.exit == 0);
  CHECK(ran.err.find("1 of 3 workers will have no partition and idle") != std::string::npos);
  const Ran shown = project.run("exp show e1 --state-dir state");
  CHECK(shown.out.find("red, blue\n") != std::string::npos);
  CHECK(shown.out.find("why, and how\n") != std::string::npos);
  CHECK(shown.out.find("tests\n") != std::string::npos);
  for (const std::string words :
       {"exp list", "exp show e1", "exp why e1", "exp best e1", "exp replay", "exp replay e1", "trial list e1",
        "trial show e1.1", "checkpoint list e1", "checkpoint show e1.1", "worker list", "worker show w1", "data list",
        "data show d", "space preview spec.json", "space sample spec.json", "config show", "config show --origin",
        "version"}) {
    INFO(words);
    const std::string state = words.starts_with("space") ? " --state-dir state -q" : " --state-dir state";
    const Ran table = project.run(words + state);
    CHECK(table.exit == 0);
    CHECK_FALSE(table.out.empty());
    CHECK(table.err.empty());
    const Ran json = project.run(words + state + " -o json");
    CHECK(json.exit == 0);
    CHECK(nlohmann::json::accept(json.out));
    CHECK(json.err.empty());
    const Ran csv = project.run(words + state + " -o csv");
    CHECK(csv.exit == 0);
    const auto widths = csv_widths(csv.out);
    CHECK(widths.size() >= 2);
    for (std::size_t width : widths) CHECK(width == widths.front());
    CHECK(csv.out.find("null") == std::string::npos);
  }
}

// The records of one state directory in another, each as `change` leaves it, with checksums that are right.
void copy_journal(const std::string& from, const std::string& to, const std::function<void(Record&)>& change) {
  std::vector<Record> records;
  const Status read = read_journal(from, [&](const Record& record) -> Status {
    records.push_back(record);
    change(records.back());
    return {};
  });
  REQUIRE(read.ok());
  std::filesystem::create_directories(to);
  auto journal = std::move(open_journal(to)).value();
  journal->append(std::move(records));
  journal->flush();
}

TEST_CASE("a run is replayed and run again: equal, unless a record says what was not so", "[cli][run]") {
  const Project project;
  REQUIRE(project.run("run spec.json --state-dir state --port 0 --workers 1").exit == 0);
  const Ran replayed = project.run("exp replay --state-dir state -o json");
  REQUIRE(replayed.exit == 0);
  const auto json = nlohmann::json::parse(replayed.out);
  CHECK(json["equal"] == true);
  CHECK(json["experiments"][0]["units"] == 8);
  CHECK(json["experiments"][0]["trials"]["COMPLETED"] == 2);
  CHECK(project.run("exp replay --state-dir state").out.find("equal, byte for byte") != std::string::npos);
  CHECK(project.run("exp replay --server http://127.0.0.1:1").err.find("needs the --state-dir") != std::string::npos);
  CHECK(project.run("exp replay nobody --state-dir state").exit == 3);
  const std::string end = json["records"].dump();
  CHECK(project.run("exp replay --until " + end + " --state-dir state -q").out.find("COMPLETED") != std::string::npos);
  CHECK(project.run("exp replay --until 0 --state-dir state").exit == 2);
  CHECK(project.run("exp replay --until 100000 --state-dir state").err.find("ends at record " + end) !=
        std::string::npos);
  bool lied = false;
  copy_journal(project.shell.folder + "/state", project.shell.folder + "/lie", [&](Record& record) {
    auto* milestone = std::get_if<TrialEvaluated>(&record.body);
    if (milestone == nullptr || lied) return;
    lied = true;
    milestone->validation.at(0).total += 1;
  });
  const Ran again = project.run("exp rerun e1 --state-dir state --workers 2");
  INFO(again.out << again.err);
  CHECK(again.exit == 0);
  CHECK(again.out == "e1 and e2: 2 trials, 4 milestones, 6 state hashes compared: equal\n");
  CHECK(project.run("exp show e2 --state-dir state").out.find("small-rerun") != std::string::npos);
  const Ran lie = project.run("exp rerun small --name truth --state-dir lie --workers 2");
  INFO(lie.out << lie.err);
  CHECK(lie.exit == 1);
  CHECK(lie.out.find("val_loss") != std::string::npos);
  CHECK(lie.out.find("e1 and e2: 2 trials, 4 milestones, 6 state hashes compared: DIFFERENT in 1") !=
        std::string::npos);
  copy_journal(project.shell.folder + "/state", project.shell.folder + "/elsewhere", [&](Record& record) {
    if (auto* joined = std::get_if<WorkerJoined>(&record.body)) joined->profile.bytes[0] ^= 1;
  });
  const Ran elsewhere = project.run("exp rerun e1 --state-dir elsewhere");
  INFO(elsewhere.out << elsewhere.err);
  CHECK(elsewhere.exit == 0);  // the arithmetic of these workers is the same
  CHECK(elsewhere.err.find("the workers here are of another numeric profile") != std::string::npos);
  CHECK(project.run("exp replay --state-dir lie").exit == 0);  // a journal says nothing of what it was not told
}

TEST_CASE("what cannot be run again is refused before anything is started", "[cli][run]") {
  const Project project;
  REQUIRE(project.run("run spec.json --state-dir state --port 0 --set execution.reproducibility=verify").exit == 0);
  REQUIRE(project.run("run spec.json --state-dir state --port 0").exit == 0);
  const Ran level = project.run("exp rerun e1 --state-dir state");
  CHECK(level.exit == 5);
  CHECK(level.err.find("e1 promises `verify`") != std::string::npos);
  CHECK(project.run("exp rerun e9 --state-dir state").exit == 3);
  CHECK(project.run("exp rerun --state-dir state").exit == 2);
  copy_journal(project.shell.folder + "/state", project.shell.folder + "/stopped", [&](Record& record) {
    auto* change = std::get_if<ExperimentStateChanged>(&record.body);
    if (change != nullptr && change->state == ExperimentState::kCompleted) change->state = ExperimentState::kFailed;
  });
  const Ran failed = project.run("exp rerun e2 --state-dir stopped");
  CHECK(failed.exit == 5);
  CHECK(failed.err.find("e2 is FAILED: only one that ended COMPLETED") != std::string::npos);
  REQUIRE(project.run("data delete d").exit == 0);
  const Ran gone = project.run("exp rerun e2 --state-dir state");
  CHECK(gone.exit == 5);
  CHECK(gone.err.find("which is gone") != std::string::npos);
  REQUIRE(project.run("data import d --from npy raw --partitions 2 --validation-rows 40 --seed 5").exit == 0);
  const Ran other = project.run("exp rerun e2 --state-dir state");
  CHECK(other.exit == 5);
  CHECK(other.err.find("and the store has it as") != std::string::npos);
  CHECK(project.run("exp list --state-dir state -o csv").out.find("rerun") == std::string::npos);
}

}  // namespace
}  // namespace modelhop::cli
