#include "scheduler/server/fence.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>

#include "common/store/journal.h"
#include "scheduler/server/fence_keeper.h"
#include "tests/common/documented.h"
#include "tests/scheduler/server/fixture.h"

using namespace modelhop;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

FenceIdentity identity_number(std::uint8_t cluster, std::uint64_t inode = 1) {
  FenceIdentity out;
  out.cluster.bytes.fill(cluster);
  out.machine = "m";
  out.device = 1;
  out.inode = inode;
  return out;
}

FenceClaim claim_number(std::uint8_t cluster, std::uint64_t seq, std::uint64_t inode = 1) {
  return {identity_number(cluster, inode), "tcp://127.0.0.1:7", 0, seq, false};
}

struct StoreFixture {
  Scratch scratch;
  std::unique_ptr<BlobStore> store = std::move(open_store(scratch / "store")).value();

  // As if its owner had said nothing for so long.
  void age(std::uint64_t boot, int seconds) const { age_file("fence/" + std::to_string(boot), seconds); }
  void age_file(const std::string& name, int seconds) const {
    const std::string path = scratch / ("store/" + name);
    struct ::stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    const timespec times[2] = {{info.st_mtim.tv_sec - seconds, 0}, {info.st_mtim.tv_sec - seconds, 0}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  }
  std::string text(std::uint64_t boot) const { return text_of(scratch / ("store/fence/" + std::to_string(boot))); }
};

bool says(const Status& status, const std::string& words) {
  INFO(status.message());
  return status.message().find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("the fence in docs/formats.md is what a claim writes", "[fence][docs]") {
  Fence fence{4, {}, "node7", "tcp://10.0.0.7:7077", 4242, 1834, false, "2026-11-21T09:34:20.123Z"};
  REQUIRE(parse(std::string("5b1e0c7f9a3d48e2b6f04c1d7e8a9b30"), fence.owner.cluster));
  fence.owner.machine = "0e9c3b5d7f1a4c6e8b0d2f4a6c8e0b1d";
  fence.owner.device = 2049;
  fence.owner.inode = 131077;
  CHECK(is_documented("formats.md", "fence", to_json(fence)));
  const Fence read = parse_fence(to_json(fence)).value();
  CHECK(to_json(read) == to_json(fence));
}

TEST_CASE("a fence cut or flipped anywhere is read as what it was or not at all", "[fence]") {
  Fence fence{4, identity_number(7), "h", "tcp://10.0.0.7:7077", 42, 1834, false, "t"};
  const std::string text = to_json(fence);
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    CHECK_FALSE(parse_fence(text.substr(0, length)).ok());
  }
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {  // must not crash; what still parses is still a fence
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const Result<Fence> read = parse_fence(flipped);
    if (read.ok()) CHECK(to_json(*read).size() <= kFenceBytesMax);
  }
  CHECK_FALSE(parse_fence(std::string(kFenceBytesMax + 1, ' ')).ok());
  CHECK_FALSE(parse_fence(std::string(1000, '[')).ok());
}

TEST_CASE("a store's boots grow, and its owner comes back at once", "[fence]") {
  const StoreFixture f;
  Fence first = claim_fence(*f.store, claim_number(1, 10)).value();
  CHECK(first.boot == 1);
  CHECK(claim_fence(*f.store, claim_number(1, 10)).value().boot == 2);  // it was killed
  FenceClaim above = claim_number(1, 12);
  above.boot_above = 40;  // its journal has been elsewhere
  CHECK(claim_fence(*f.store, above).value().boot == 41);
}

TEST_CASE("another scheduler is refused while the owner lives, by boot, address, seq and age", "[fence]") {
  const StoreFixture f;
  Fence own = claim_fence(*f.store, claim_number(1, 10)).value();
  REQUIRE(renew_fence(*f.store, own, 25).ok());
  for (const FenceClaim& other : {claim_number(2, 0), claim_number(1, 25, 2)}) {
    const Status refused = claim_fence(*f.store, other).status();
    CHECK(refused.code() == Code::kConflict);
    CHECK(says(refused, "boot 1 at tcp://127.0.0.1:7 ("));
    CHECK(says(refused, ", record 25, last seen "));
    CHECK(says(refused, " s ago"));
    CHECK(may_claim_fence(*f.store, other).message() == refused.message());
  }
  f.age(1, 25);  // 5 s short of what counts: a machine may well stand still for one
  CHECK_FALSE(claim_fence(*f.store, claim_number(1, 25, 2)).ok());
  f.age(1, 6);
  CHECK(says(claim_fence(*f.store, claim_number(2, 0)).status(), "did not stop cleanly"));
  CHECK(claim_fence(*f.store, claim_number(1, 25, 2)).value().boot == 2);  // the same journal, moved
  CHECK(says(renew_fence(*f.store, own, 26), "taken it over: boot 2 at tcp://127.0.0.1:7"));
  CHECK(release_fence(*f.store, own, 26).code() == Code::kConflict);
}

TEST_CASE("a journal that ends before its fence is refused, however old and released that is", "[fence]") {
  const StoreFixture f;
  Fence own = claim_fence(*f.store, claim_number(1, 100)).value();
  REQUIRE(release_fence(*f.store, own, 120).ok());
  for (std::uint64_t inode : {1u, 2u}) {
    FenceClaim older = claim_number(1, 119, inode);
    CHECK(says(claim_fence(*f.store, older).status(), "this journal ends at record 119, but boot 1 at "));
    CHECK(says(claim_fence(*f.store, older).status(), "--accept-lost-tail"));
  }
  // Others in between do not make it forgotten.
  Fence other = claim_fence(*f.store, claim_number(2, 0)).value();
  REQUIRE(release_fence(*f.store, other, 1).ok());
  CHECK_FALSE(claim_fence(*f.store, claim_number(1, 119)).ok());
  FenceClaim accepted = claim_number(1, 119);
  accepted.accept_lost_tail = true;
  CHECK(claim_fence(*f.store, accepted).value().boot == 3);
  FenceClaim foreign = claim_number(2, 5);
  foreign.accept_lost_tail = true;  // accepts the loss of its own tail, not of another's work
  CHECK_FALSE(claim_fence(*f.store, foreign).ok());
}

TEST_CASE("a released store is anybody's at once", "[fence]") {
  const StoreFixture f;
  Fence own = claim_fence(*f.store, claim_number(1, 10)).value();
  REQUIRE(release_fence(*f.store, own, 11).ok());
  CHECK(claim_fence(*f.store, claim_number(2, 0)).value().boot == 2);
}

TEST_CASE("a store taken over is the new owner's, and the old one's next renewal says so", "[fence]") {
  const StoreFixture f;
  Fence own = claim_fence(*f.store, claim_number(1, 100)).value();
  REQUIRE(take_over(*f.store, identity_number(1, 9), 40).ok());  // an old backup
  CHECK(renew_fence(*f.store, own, 101).code() == Code::kConflict);
  CHECK_FALSE(claim_fence(*f.store, claim_number(1, 101)).ok());
  CHECK(claim_fence(*f.store, claim_number(1, 40, 9)).value().boot == 3);
  REQUIRE(take_over(*f.store, identity_number(3), 0).ok());  // another journal
  CHECK(claim_fence(*f.store, claim_number(3, 0)).value().boot == 5);
}

TEST_CASE("a damaged newest fence is refused with the fix, and a take-over goes past it", "[fence]") {
  const StoreFixture f;
  REQUIRE(claim_fence(*f.store, claim_number(1, 10)).ok());
  std::ofstream(f.scratch / "store/fence/1") << "{\"format\":";
  const Status refused = claim_fence(*f.store, claim_number(1, 10)).status();
  CHECK(refused.code() == Code::kCorrupt);
  CHECK(says(refused, "fence/1"));
  CHECK(says(refused, "restore --take-over"));
  REQUIRE(take_over(*f.store, identity_number(1), 10).ok());
  CHECK(claim_fence(*f.store, claim_number(1, 10)).value().boot == 3);
}

TEST_CASE("old fences go, the newest of each journal stays, and no number comes twice", "[fence][limits]") {
  const StoreFixture f;
  Fence first = claim_fence(*f.store, claim_number(9, 77)).value();
  REQUIRE(release_fence(*f.store, first, 77).ok());
  std::set<std::uint64_t> boots;
  for (int i = 0; i < 20; ++i) {
    Fence own = claim_fence(*f.store, claim_number(1, 5)).value();
    CHECK(boots.insert(own.boot).second);
    REQUIRE(release_fence(*f.store, own, 5).ok());
  }
  CHECK(f.store->list("fence/").value().size() == kFencesKeptMin + 1);
  CHECK_FALSE(claim_fence(*f.store, claim_number(9, 76)).ok());
  CHECK(claim_fence(*f.store, claim_number(9, 77)).value().boot == 22);
}

TEST_CASE("of many that claim at once one gets the store, and every boot is one's", "[fence]") {
  for (int round = 0; round < 10; ++round) {
    const StoreFixture f;
    std::atomic<int> granted{0}, refused{0};
    std::vector<std::thread> threads;
    for (std::uint8_t t = 1; t <= 4; ++t) {
      threads.emplace_back([&, t] {
        FenceClaim claim = claim_number(t, 0);
        claim.boot_above = t % 2 == 0 ? 0 : 7;
        const auto fence = claim_fence(*f.store, claim);
        if (fence.ok()) ++granted;
        if (fence.status().code() == Code::kConflict) ++refused;
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(granted <= 1);
    CHECK(granted + refused == 4);
  }
}

TEST_CASE("the keeper renews, says what fails and goes on, and tells of a newer fence once", "[fence]") {
  const StoreFixture f;
  std::atomic<std::uint64_t> seq{10};
  std::atomic<int> lost{0}, warned{0};
  const auto callbacks = [&] {
    return FenceKeeper::Callbacks{[&] { return seq.load(); }, [&](const Status&) { ++lost; },
                                  [&](const std::string&) { ++warned; }};
  };
  {
    FenceKeeper keeper(*f.store, claim_fence(*f.store, claim_number(1, 10)).value(), 10 * kMillisecond, callbacks());
    seq = 30;
    CHECK(eventually([&] { return f.text(1).find("\"seq\":30,\"released\":false") != std::string::npos; }));
    fs::rename(f.scratch / "store", f.scratch / "away");  // the store is not there for a while
    std::ofstream(f.scratch / "store") << "";
    CHECK(eventually([&] { return warned >= 2; }));
    fs::remove(f.scratch / "store");
    fs::rename(f.scratch / "away", f.scratch / "store");
    seq = 31;
    CHECK(eventually([&] { return f.text(1).find("\"seq\":31") != std::string::npos; }));
    seq = 32;
  }
  CHECK(f.text(1).find("\"seq\":32,\"released\":true") != std::string::npos);
  CHECK(lost == 0);
  {
    FenceKeeper keeper(*f.store, claim_fence(*f.store, claim_number(1, 40)).value(), 10 * kMillisecond, callbacks());
    REQUIRE(take_over(*f.store, identity_number(2), 0).ok());
    CHECK(eventually([&] { return lost == 1; }));
  }
  CHECK(lost == 1);
  CHECK(f.text(3).find("\"released\":false") != std::string::npos);
}
