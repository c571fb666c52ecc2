#include "scheduler/server/garbage.h"

#include <sys/stat.h>
#include <utime.h>

#include <deque>
#include <set>

#include "common/base/hash.h"
#include "common/state/state_file.h"
#include "tests/common/store/fault_files.h"
#include "tests/scheduler/server/fixture.h"

using namespace modelhop;
namespace fs = std::filesystem;

namespace {

void put_file(const std::string& path, const std::string& text = "a state, nearly") {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
}

std::string orphan(int experiment, int trial, int lineage, int visits, std::uint64_t cluster = 1) {
  return state_blob_name(StateName{{static_cast<std::uint64_t>(experiment)},
                                   {static_cast<std::uint64_t>(trial)},
                                   static_cast<std::uint32_t>(lineage),
                                   static_cast<std::uint64_t>(visits),
                                   hash_bytes("orphan")},
                         cluster);
}

std::set<std::string> files_in(const std::string& store) {
  std::set<std::string> found;
  for (const char* folder : {"/states", "/tmp"}) {
    if (!fs::exists(store + folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(store + folder)) {
      if (entry.is_regular_file()) found.insert(entry.path().lexically_relative(store).string());
    }
  }
  return found;
}

std::set<std::string> named(const Json& answer) {
  std::set<std::string> names;
  for (const Json& item : answer["items"]) names.insert(item["blob"].get<std::string>());
  CHECK(answer["count"] == names.size());
  return names;
}

std::set<std::string> taken_from(const std::set<std::string>& from, const std::set<std::string>& without) {
  std::set<std::string> out;
  for (const std::string& one : from) {
    if (!without.contains(one)) out.insert(one);
  }
  return out;
}

// A run that has ended, and its store.
struct Ended {
  Ended() {
    run_to_end(bench, "state", 1);
    kept = files_in(store);
    REQUIRE_FALSE(kept.empty());
  }
  Bench bench{2, 0};
  std::string store = bench.scratch / "store";
  std::set<std::string> kept;
};

const std::string kGc = "checkpoints:gc";
const std::string kDry = R"({"dry_run":true})";

}  // namespace

TEST_CASE("gc deletes what dry_run names, and nothing that the journal, another or nobody of ours has",
          "[server][gc]") {
  const Ended ended;
  const std::set<std::string> garbage = {orphan(1, 1, 0, 3), orphan(1, 2, 0, 77), orphan(1, 6, 0, 0), "tmp/1-dead-0"};
  const std::set<std::string> not_ours = {orphan(1, 1, 0, 3, 2),  orphan(1, 1, 0, 3, 11),
                                          orphan(2, 1, 0, 3),     orphan(1, 1, 1, 0),
                                          "states/c1/e1/1/notes", "states/c1/e1/1/0.3-xyz.safetensors",
                                          "tmp/1-being-written-0"};
  for (const auto& names : {garbage, not_ours}) {
    for (const std::string& name : names) put_file(ended.store + "/" + name);
  }
  const auto server = start_server(ended.bench);
  const ::utimbuf day_ago{::time(nullptr) - 86'500,
                          ::time(nullptr) - 86'500};  // opening a store removes older ones, too
  REQUIRE(::utime((ended.store + "/tmp/1-dead-0").c_str(), &day_ago) == 0);
  const std::set<std::string> before = files_in(ended.store);
  const Json dry = json_of_body(ask(*server, "POST", kGc, kDry));
  CHECK(dry["dry_run"] == true);
  CHECK(dry["next"] == nullptr);
  CHECK(named(dry) == garbage);
  CHECK(files_in(ended.store) == before);
  const Json done = json_of_body(ask(*server, "POST", kGc));
  CHECK(done["items"] == dry["items"]);
  CHECK(done["size_bytes"] == 4 * 15);
  CHECK(taken_from(before, files_in(ended.store)) == garbage);
  CHECK(named(json_of_body(ask(*server, "POST", kGc, kDry))).empty());
  const Json left = json_of_body(ask(*server, "GET", "experiments/e1/checkpoints"));
  for (const Json& state : left["items"]) {
    CHECK(ask(*server, "GET", "checkpoints/" + state["id"].get<std::string>() + "/content").status == 200);
  }
}

TEST_CASE("an experiment that is deleted leaves nothing that a later gc does not name", "[server][gc]") {
  const Ended ended;
  const std::set<std::string> late = {orphan(1, 1, 0, 3), orphan(1, 99, 5, 3)};  // saved after the end
  const auto server = start_server(ended.bench);
  for (const std::string& name : late) put_file(ended.store + "/" + name);
  REQUIRE(ask(*server, "DELETE", "experiments/e1").status == 200);
  REQUIRE(eventually([&] { return files_in(ended.store) == late; }));
  const Json done = json_of_body(ask(*server, "POST", kGc));
  CHECK(named(done) == late);
  for (const Json& item : done["items"]) CHECK(item["reason"] == "its experiment was deleted");
  CHECK(files_in(ended.store).empty());
  CHECK_FALSE(fs::exists(ended.store + "/states"));
}

TEST_CASE("a piece of gc looks at no more than its limit, and the next goes on after it", "[server][gc][limits]") {
  const Ended ended;
  for (std::size_t i = 0; i <= kGarbageLookedAtMax; ++i)
    put_file(ended.store + "/" + orphan(1, 1, 0, static_cast<int>(i)), "x");
  const auto server = start_server(ended.bench);
  std::size_t pieces = 0, count = 0, kept = 0;
  Json request = {{"dry_run", true}};
  for (;;) {
    const Json piece = json_of_body(ask(*server, "POST", kGc, request.dump()));
    ++pieces;
    count += piece["count"].get<std::size_t>();
    kept += piece["kept"].get<std::size_t>();
    CHECK(piece["count"].get<std::size_t>() + piece["kept"].get<std::size_t>() <= kGarbageLookedAtMax);
    if (piece["next"] == nullptr) break;
    request["after"] = piece["next"];
  }
  CHECK(pieces == 2);
  CHECK(count == kGarbageLookedAtMax + 1);
  CHECK(kept == ended.kept.size());
}

TEST_CASE("of two gc at once the second is refused, and a third after the first is not", "[server][gc]") {
  const Ended ended;
  for (int i = 0; i < 300; ++i) put_file(ended.store + "/" + orphan(1, 1, 0, i));
  const auto server = start_server(ended.bench);
  std::atomic<int> first{0};
  server->ask({"POST", "/api/v1/checkpoints:gc", {}, "", ""}, [&](ApiResponse response) { first = response.status; });
  const ApiResponse second = ask(*server, "POST", kGc);
  CHECK(second.status == 409);
  CHECK(second.body.find("another gc runs") != std::string::npos);
  CHECK(ask(*server, "POST", kGc, kDry).status == 200);
  REQUIRE(eventually([&] { return first != 0; }));
  CHECK(first == 200);
  CHECK(ask(*server, "POST", kGc).status == 200);
  CHECK(files_in(ended.store) == ended.kept);
}

TEST_CASE("a scheduler that was taken over deletes nothing", "[server][gc]") {
  const Ended ended;
  put_file(ended.store + "/" + orphan(1, 1, 0, 3));
  ServerConfig config = server_config(ended.bench);
  config.fence_renew_ns = 3'600 * kSecond;  // it has not noticed yet
  const auto server = start_server(config);
  const std::set<std::string> before = files_in(ended.store);
  put_file(ended.store + "/fence/1000", "{}");
  const ApiResponse refused = ask(*server, "POST", kGc);
  CHECK(refused.status == 409);
  CHECK(refused.body.find("another scheduler has taken it over") != std::string::npos);
  CHECK(refused.body.find("before that, 0 of 1 were deleted") != std::string::npos);
  CHECK(files_in(ended.store) == before);
  fs::remove(ended.store + "/fence/1000");
}

TEST_CASE("a broken store is an error that names what is broken and says what was deleted before", "[server][gc]") {
  const Ended ended;
  std::set<std::string> garbage;
  for (int i = 0; i < 3; ++i) garbage.insert(orphan(1, 1 + i, 0, 3));
  ServerConfig config = server_config(ended.bench);
  config.fence_renew_ns = 3'600 * kSecond;
  std::deque<FaultFiles> used;  // until the server has ended: its threads may still be inside of any
  const auto server = start_server(config);
  std::size_t failures = 0, partly = 0;
  for (std::uint64_t call = 1;; ++call) {
    for (const std::string& name : garbage) put_file(ended.store + "/" + name);
    const FaultFiles& files = used.emplace_back(ended.store, FaultFiles::Plan{call, EIO});
    const ApiResponse response = ask(*server, "POST", kGc);
    INFO("call " << call << ": " << response.status << " " << response.body);
    if (files.calls() < call) {
      CHECK(response.status == 200);
      break;
    }
    const std::set<std::string> left = files_in(ended.store);
    CHECK(taken_from(ended.kept, left).empty());
    if (response.status == 200) continue;  // what failed was not needed: an empty folder stays
    ++failures;
    CHECK(response.status == 500);
    CHECK(response.body.find(ended.store) != std::string::npos);
    CHECK(response.body.find("Input/output error") != std::string::npos);
    partly += response.body.find("before that, 1 of 3 were deleted") != std::string::npos;
    REQUIRE(call < 500);
  }
  CHECK(failures > 5);
  CHECK(partly > 0);
  std::set<std::string> left = files_in(ended.store);
  std::erase_if(left, [](const std::string& name) { return name.starts_with("tmp/"); });  // goes when it is a day old
  CHECK(left == ended.kept);
}

TEST_CASE("a body that gc does not know is refused", "[server][gc]") {
  const Bench bench(2, 0);
  const auto server = start_server(bench);
  for (const std::string& body :
       {std::string("[]"), std::string("{"), std::string(R"({"dry_run":1})"), std::string(R"({"dry":true})"),
        std::string(R"({"after":7})"), R"({"after":")" + std::string(kBlobNameBytesMax + 1, 'a') + R"("})",
        std::string(kGarbageBodyBytesMax + 1, ' ')}) {
    INFO(body.substr(0, 80));
    CHECK(ask(*server, "POST", kGc, body).status == 422);
  }
  CHECK(ask(*server, "POST", kGc, kDry).status == 200);  // of a store without any state
  CHECK(ask(*server, "GET", kGc).status == 404);
}
