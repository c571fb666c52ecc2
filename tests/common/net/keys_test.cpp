// Keys as texts, files and a folder.
#include "common/net/keys.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/base/limits.h"
#include "common/net/key_folder.h"
#include "tests/common/documented.h"
#include "tests/common/store/scratch.h"

using namespace modelhop;
namespace fs = std::filesystem;

namespace {

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
unsigned mode_of(const std::string& path) {
  struct stat entry {};
  REQUIRE(::stat(path.c_str(), &entry) == 0);
  return entry.st_mode & 0777;
}

}  // namespace

TEST_CASE("a key's text reads back, and no other text is a key", "[keys]") {
  const KeyPair pair = make_key_pair(), scheduler = make_key_pair();
  CHECK(is_key(pair.public_key));
  CHECK(pair.public_key != scheduler.public_key);
  const KeyFile bundle{"w1", pair.public_key, pair.secret_key, scheduler.public_key};
  const std::string text = to_text(bundle);
  const auto back = parse_key_file(text, "w1.key");
  REQUIRE(back.ok());
  CHECK(*back == bundle);
  CHECK(*parse_key_file(to_text({"w1", pair.public_key, "", ""}), "w1.pub") == KeyFile{"w1", pair.public_key, "", ""});

  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool whole =
        i == text.find("secret") || i == text.find("scheduler");  // a public key; one without a scheduler
    CHECK(parse_key_file(text.substr(0, i), "cut").ok() == whole);
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const auto parsed = parse_key_file(flipped, "flipped");
      if (parsed.ok()) CHECK(*parsed != bundle);  // another name or scheduler: as good as any
    }
  }
  CHECK_FALSE(parse_key_file(text + "\n", "more").ok());
  CHECK_FALSE(parse_key_file(text + text, "twice").ok());
  CHECK_FALSE(parse_key_file(std::string(kKeyFileBytesMax + 1, 'x'), "large").ok());
  const auto swapped = parse_key_file(to_text({"w1", scheduler.public_key, pair.secret_key, ""}), "w1.key");
  CHECK(swapped.status().message().find("is not the public key's") != std::string::npos);
}

TEST_CASE("the documented key is what is written", "[keys]") {
  const KeyFile key{"w1", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
                    "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"};
  CHECK(is_documented("formats.md", "key", to_text(key)));
  CHECK(*parse_key_file(to_text(key), "w1.key") == key);
}

TEST_CASE("a key has one spelling", "[keys]") {
  CHECK_FALSE(is_key(""));
  CHECK_FALSE(is_key(std::string(40, ' ')));
  CHECK_FALSE(is_key(std::string(40, '#')));  // five of them are more than 32 bits
  CHECK_FALSE(is_key(std::string(41, '0')));
  CHECK(is_key(std::string(40, '0')));
  CHECK(is_key_name("w-1.a_B"));
  CHECK_FALSE(is_key_name(""));
  CHECK_FALSE(is_key_name(".hidden"));
  CHECK_FALSE(is_key_name("../up"));
  CHECK_FALSE(is_key_name(std::string(kNameBytesMax + 1, 'a')));
}

TEST_CASE("an incarnation belongs to its key and to no other", "[keys]") {
  const KeyPair one = make_key_pair(), other = make_key_pair();
  const Incarnation a = make_incarnation(one.public_key), b = make_incarnation(one.public_key);
  CHECK(a != b);
  CHECK(same_key(a, b));
  CHECK(belongs_to(a, one.public_key));
  CHECK_FALSE(belongs_to(a, other.public_key));
  CHECK_FALSE(belongs_to(a, ""));
  CHECK_FALSE(same_key(a, make_incarnation(other.public_key)));
  CHECK_FALSE(same_key(make_incarnation(), make_incarnation()));
}

TEST_CASE("a scheduler's keys are made once, private, and refused where others can read them", "[keys]") {
  const Scratch scratch;
  KeyFolder folder(scratch / "state/keys");
  CHECK(folder.scheduler().status().code() == Code::kNotFound);
  const auto made = folder.make_scheduler();
  INFO(made.status().message());
  REQUIRE(made.ok());
  CHECK(folder.make_scheduler()->secret_key == made->secret_key);
  CHECK(mode_of(folder.path()) == 0700);
  CHECK(mode_of(folder.path() + "/scheduler.key") == 0600);
  CHECK(parse_key_file(read(folder.path() + "/scheduler.pub"), "")->public_key == made->public_key);
  CHECK(read(folder.path() + "/scheduler.pub").find(made->secret_key) == std::string::npos);

  fs::permissions(folder.path() + "/scheduler.key", fs::perms{0640});
  const Status readable = folder.scheduler().status();
  CHECK(readable.code() == Code::kConflict);
  CHECK(readable.message().find("chmod 600") != std::string::npos);
  fs::permissions(folder.path() + "/scheduler.key", fs::perms{0600});
  fs::permissions(folder.path() + "/allowed", fs::perms{0777});
  CHECK(folder.scheduler().status().message().find("allow themselves") != std::string::npos);
  fs::permissions(folder.path() + "/allowed", fs::perms{0700});
  CHECK(folder.scheduler().ok());
  fs::remove(folder.path() + "/scheduler.pub");  // as after a crash between the two
  CHECK(folder.make_scheduler().ok());
  CHECK(fs::exists(folder.path() + "/scheduler.pub"));
  write(folder.path() + "/scheduler.key", "junk\n");
  CHECK(folder.scheduler().status().code() == Code::kCorrupt);
}

TEST_CASE("a worker's key is made, allowed, revoked and allowed again", "[keys]") {
  const Scratch scratch;
  KeyFolder folder(scratch / "keys");
  REQUIRE(folder.make_scheduler().ok());
  const auto made = folder.make_worker("w1");
  INFO(made.status().message());
  REQUIRE(made.ok());
  CHECK(made->allowed);
  CHECK(mode_of(made->file) == 0600);
  const auto worker = read_worker_keys(made->file);
  REQUIRE(worker.ok());
  CHECK(worker->scheduler == folder.scheduler()->public_key);
  CHECK(folder.make_worker("w1").status().code() == Code::kConflict);
  CHECK(folder.make_worker("scheduler").status().code() == Code::kInvalid);
  CHECK(folder.make_worker("../w1").status().code() == Code::kInvalid);

  const AllowList list = folder.watch();
  CHECK(list()->names == std::map<std::string, std::string>{{worker->own.public_key, "w1"}});
  CHECK_FALSE(list());
  REQUIRE(folder.revoke("w1").ok());
  CHECK(list()->names.empty());
  CHECK(folder.revoke("w1").ok());
  CHECK(folder.revoke("w9").code() == Code::kNotFound);
  auto listed = folder.list();
  REQUIRE(listed->size() == 1);
  CHECK_FALSE(listed->at(0).allowed);
  CHECK(*folder.allow("w1") == "w1");
  CHECK(*folder.allow("w1") == "w1");
  CHECK(list()->names.size() == 1);
  CHECK(folder.list()->at(0).allowed);

  REQUIRE(folder.revoke("w1").ok());
  REQUIRE(folder.make_worker("w1").ok());
  CHECK(folder.list()->size() == 1);
  CHECK(read_worker_keys(made->file)->own.public_key != worker->own.public_key);
}

TEST_CASE("a key made where the worker is comes in as a public file", "[keys]") {
  const Scratch scratch;
  KeyFolder scheduler(scratch / "scheduler"), remote(scratch / "remote");
  REQUIRE(scheduler.make_scheduler().ok());
  CHECK(remote.make_worker("far").status().code() == Code::kNotFound);
  fs::create_directories(remote.path());
  fs::copy(scheduler.path() + "/scheduler.pub", remote.path() + "/scheduler.pub");
  const auto made = remote.make_worker("far");
  INFO(made.status().message());
  REQUIRE(made.ok());
  CHECK_FALSE(made->allowed);
  CHECK(*scheduler.allow(made->public_file) == "far");
  CHECK(scheduler.watch()()->names.contains(read_worker_keys(made->file)->own.public_key));
  // One key, one name; one name, one key.
  const std::string key = read_worker_keys(made->file)->own.public_key;
  write(scratch / "other.pub", to_text({"other", key, "", ""}));
  CHECK(scheduler.allow(scratch / "other.pub").status().code() == Code::kConflict);
  write(scratch / "far.pub", to_text({"far", make_key_pair().public_key, "", ""}));
  CHECK(scheduler.allow(scratch / "far.pub").status().code() == Code::kConflict);
  CHECK(scheduler.allow(scratch / "missing.pub").status().code() == Code::kNotFound);
  write(scratch / "junk.pub", "junk");
  CHECK(scheduler.allow(scratch / "junk.pub").status().code() == Code::kCorrupt);
  CHECK(read_worker_keys(scheduler.path() + "/scheduler.key").status().code() == Code::kInvalid);
}

TEST_CASE("a watched folder sees every change, and what is no key allows nobody", "[keys]") {
  const Scratch scratch;
  KeyFolder folder(scratch / "keys");
  REQUIRE(folder.make_scheduler().ok());
  const std::string allowed = folder.path() + "/allowed/";
  const AllowList list = folder.watch();
  CHECK(list()->names.empty());
  const KeyPair one = make_key_pair(), two = make_key_pair();
  // Written in place, within one tick of the clock and with the same size.
  write(allowed + "w1.pub", to_text({"w1", one.public_key, "", ""}));
  CHECK(list()->names.contains(one.public_key));
  write(allowed + "w1.pub", to_text({"w1", two.public_key, "", ""}));
  const auto changed = list();
  REQUIRE(changed);
  CHECK(changed->names == std::map<std::string, std::string>{{two.public_key, "w1"}});

  write(allowed + "w1.pub", "junk");
  const auto junk = list();
  CHECK(junk->names.empty());
  REQUIRE(junk->problems.size() == 1);
  CHECK(junk->problems[0].find("w1.pub") != std::string::npos);
  write(allowed + "w1.pub", to_text({"w2", one.public_key, "", ""}));
  CHECK(list()->problems.at(0).find("is the key of \"w2\"") != std::string::npos);
  fs::remove(allowed + "w1.pub");
  fs::create_directory(allowed + "w1.pub");
  CHECK(list()->names.empty());
  fs::remove(allowed + "w1.pub");
  REQUIRE(::mkfifo((allowed + "w1.pub").c_str(), 0600) == 0);
  list();  // comes back
  fs::remove(allowed + "w1.pub");
  write(allowed + "a.pub", to_text({"a", one.public_key, "", ""}));
  write(allowed + "b.pub", to_text({"b", one.public_key, "", ""}));
  write(allowed + ".c.pub", to_text({"c", two.public_key, "", ""}));
  write(allowed + "notes.txt", "not a key");
  const auto twice = list();
  CHECK(twice->names == std::map<std::string, std::string>{{one.public_key, "a"}});
  CHECK(twice->problems.at(0).find("are one key") != std::string::npos);
  fs::remove_all(folder.path() + "/allowed");
  CHECK(list()->names.empty());
}

TEST_CASE("more keys than workers may be are not allowed", "[keys][limits]") {
  const Scratch scratch;
  fs::create_directories(scratch / "keys/allowed");
  for (std::size_t i = 0; i <= kAllowedKeysMax; ++i) {
    std::string key = make_key_pair().public_key;
    const std::string name = "k" + std::to_string(100'000 + i);
    write(scratch / ("keys/allowed/" + name + ".pub"), to_text({name, key, "", ""}));
  }
  const auto now = KeyFolder(scratch / "keys").watch()();
  REQUIRE(now);
  CHECK(now->names.size() == kAllowedKeysMax);
  CHECK(now->problems.size() == 1);
}
