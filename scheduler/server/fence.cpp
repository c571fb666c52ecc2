#include "scheduler/server/fence.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <fstream>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "common/store/files.h"

namespace modelhop {
namespace {

constexpr std::string_view kFenceFolder = "fence/";
constexpr int kFenceTriesMax = 100;  // others that start at this very moment

std::string fence_name(std::uint64_t boot) { return std::string(kFenceFolder) + std::to_string(boot); }

// What is shown in a terminal and compared as text.
std::string plain(std::string text) {
  for (char& c : text) c = c >= ' ' && c <= '~' ? c : '?';
  return text;
}

std::string host_name_here() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? plain(name) : "unknown";
}

std::string machine_here() {
  std::ifstream file("/etc/machine-id");
  std::string id;
  std::getline(file, id);
  return id.empty() || id.size() > 64 ? host_name_here() : plain(id);
}

Fence fence_of(const FenceIdentity& owner, std::uint64_t boot, const std::string& address, std::uint64_t seq) {
  return {boot, owner, host_name_here(), address, ::getpid(), seq, false, to_iso8601(wall_now())};
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Status replace_text(BlobStore& store, const std::string& name, const std::string& text) {
  const std::span<const std::uint8_t> piece = bytes_of(text);
  return store.replace(name, {&piece, 1});
}

// The numbers that are taken, the newest first.
Result<std::vector<std::uint64_t>> fence_numbers(BlobStore& store) {
  ASSIGN_OR_RETURN(const std::vector<BlobEntry> entries, store.list(std::string(kFenceFolder)));
  std::vector<std::uint64_t> numbers;
  for (const BlobEntry& entry : entries) {
    std::uint64_t number = 0;
    const char* end = entry.name.data() + entry.name.size();
    const auto parsed = std::from_chars(entry.name.data() + kFenceFolder.size(), end, number);
    if (parsed.ec == std::errc{} && parsed.ptr == end && number > 0) numbers.push_back(number);
  }
  std::sort(numbers.rbegin(), numbers.rend());
  return numbers;
}

Result<Fence> read_fence(BlobStore& store, std::uint64_t boot) {
  ASSIGN_OR_RETURN(const std::vector<std::uint8_t> bytes, store.read(fence_name(boot), kFenceBytesMax));
  Result<Fence> fence = parse_fence({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (fence.ok() && fence->boot != boot) fence = corrupt("\"boot\" is " + std::to_string(fence->boot));
  if (!fence.ok()) {
    return corrupt("store: " + fence_name(boot) + ": is no fence that this program reads: " + fence.status().message() +
                   "; make sure that no scheduler works on this store, then `modelhop scheduler restore --take-over`");
  }
  return fence;
}

// By the store's own clock, so that machines whose clocks differ agree.
Result<std::int64_t> fence_age_ms(BlobStore& store, std::uint64_t boot) {
  static std::atomic<unsigned> probes{0};
  const std::string probe = std::string(kFenceFolder) + "probe-" + host_name_here() + "-" + std::to_string(::getpid()) +
                            "-" + std::to_string(++probes);
  RETURN_IF_ERROR(replace_text(store, probe, "the time\n"));
  const Result<BlobEntry> now = store.stat(probe), then = store.stat(fence_name(boot));
  RETURN_IF_ERROR(store.remove(probe));
  RETURN_IF_ERROR(now.status());
  RETURN_IF_ERROR(then.status());
  return std::max<std::int64_t>(0, now->modified.value - then->modified.value);
}

std::string described(const Fence& fence, std::int64_t age_ms) {
  return "boot " + std::to_string(fence.boot) + (fence.address.empty() ? "" : " at " + fence.address) + " (host " +
         fence.host + ", pid " + std::to_string(fence.pid) + "), record " + std::to_string(fence.seq) + ", " +
         (fence.released ? "stopped " : "last seen ") + std::to_string(age_ms / 1000) + " s ago";
}

// What the store's fences say about a claim. `own`: the newest of the claim's cluster.
struct Sight {
  std::uint64_t newest_boot{};  // 0: there is no fence
  std::optional<Fence> newest, own;
  std::int64_t age_ms{}, own_age_ms{};
};

Result<Sight> look_once(BlobStore& store, const ClusterId& cluster) {
  Sight sight;
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, fence_numbers(store));
  if (numbers.empty()) return sight;
  sight.newest_boot = numbers[0];
  for (const std::uint64_t number : numbers) {
    Result<Fence> fence = read_fence(store, number);
    if (!fence.ok() && number != sight.newest_boot) continue;  // removed meanwhile, or damaged: no one's newest word
    RETURN_IF_ERROR(fence.status());
    if (!sight.newest) sight.newest = *fence;
    if (fence->owner.cluster != cluster) continue;
    sight.own = *fence;
    break;
  }
  ASSIGN_OR_RETURN(sight.age_ms, fence_age_ms(store, sight.newest_boot));
  if (sight.own) {
    ASSIGN_OR_RETURN(sight.own_age_ms, fence_age_ms(store, sight.own->boot));
  }
  return sight;
}

// What was listed may be gone when it is read: withdrawn, or old.
Result<Sight> look(BlobStore& store, const ClusterId& cluster) {
  for (int i = 1;; ++i) {
    Result<Sight> sight = look_once(store, cluster);
    if (sight.status().code() != Code::kNotFound || i == kFenceTriesMax) return sight;
  }
}

// Why the claim may not follow what is there.
Status judge(const Sight& sight, const FenceClaim& claim) {
  if (!sight.newest) return {};
  const Fence& newest = *sight.newest;
  const bool same_journal = newest.owner.cluster == claim.owner.cluster;
  if (newest.owner != claim.owner && !newest.released) {
    const std::string other = described(newest, sight.age_ms);
    const std::string whose = same_journal ? "another copy of this journal works" : "another scheduler works";
    if (sight.age_ms < kFenceYoungMs) {
      return conflict("store: " + whose + " on it: " + other + "; stop that one, or give this one a store of its own");
    }
    if (!same_journal) {
      return conflict("store: it is another scheduler's, which did not stop cleanly: " + other +
                      "; start and stop that one, give this one a store of its own, or, where that one is gone for "
                      "good, `modelhop scheduler restore --take-over`");
    }
  }
  if (sight.own && claim.seq < sight.own->seq && !claim.accept_lost_tail) {
    return conflict("store: this journal ends at record " + std::to_string(claim.seq) + ", but " +
                    described(*sight.own, sight.own_age_ms) +
                    " had more of it: this is an older copy, or its end was lost. Start that one, or restore a newer "
                    "backup; to go on without what is missing: --accept-lost-tail where it was lost here, `modelhop "
                    "scheduler restore --take-over` where that one is gone for good");
  }
  return {};
}

// Keeps the newest few, and the newest of each journal: an old copy of it is known by that one.
void remove_old_fences(BlobStore& store) {
  const Result<std::vector<std::uint64_t>> numbers = fence_numbers(store);
  if (!numbers.ok()) return;  // they do no harm
  std::set<ClusterId> clusters;
  for (std::size_t i = 0; i < numbers->size(); ++i) {
    const Result<Fence> fence = read_fence(store, (*numbers)[i]);
    const bool newest_of_its_own =
        fence.ok() && clusters.size() < kFenceClustersMax && clusters.insert(fence->owner.cluster).second;
    if (i >= kFencesKeptMin && !newest_of_its_own) (void)store.remove(fence_name((*numbers)[i]));
  }
}

Status put_fence(BlobStore& store, Fence& own, std::uint64_t seq, bool released) {
  RETURN_IF_ERROR(check_fence(store, own.boot));
  Fence renewed = own;
  renewed.seq = std::max(own.seq, seq);
  renewed.released = released;
  renewed.renewed = to_iso8601(wall_now());
  RETURN_IF_ERROR(replace_text(store, fence_name(own.boot), to_json(renewed)));
  own = renewed;
  return {};
}

}  // namespace

Result<FenceIdentity> fence_identity(const std::string& state_dir, ClusterId cluster) {
  const std::string path = state_dir + "/journal.db";
  struct ::stat info {};
  if (::stat(path.c_str(), &info) != 0) return file_error(path, "cannot be found");
  return FenceIdentity{cluster, machine_here(), info.st_dev, info.st_ino};
}

Status may_claim_fence(BlobStore& store, const FenceClaim& claim) {
  ASSIGN_OR_RETURN(const Sight sight, look(store, claim.owner.cluster));
  return judge(sight, claim);
}

Result<Fence> claim_fence(BlobStore& store, const FenceClaim& claim) {
  for (int i = 0; i < kFenceTriesMax; ++i) {
    ASSIGN_OR_RETURN(const Sight sight, look(store, claim.owner.cluster));
    RETURN_IF_ERROR(judge(sight, claim));
    const Fence fence =
        fence_of(claim.owner, std::max(sight.newest_boot, claim.boot_above) + 1, plain(claim.address), claim.seq);
    const std::string text = to_json(fence);
    const std::span<const std::uint8_t> piece = bytes_of(text);
    ASSIGN_OR_RETURN(const Put put, store.create(fence_name(fence.boot), {&piece, 1}));
    if (put == Put::kExists) continue;  // somebody was faster: look whose it is
    // Two journals with different boots may have claimed different numbers at once: then neither goes on before it has
    // looked at the other's.
    ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, fence_numbers(store));
    const bool alone = std::none_of(numbers.begin(), numbers.end(), [&](std::uint64_t number) {
      return number > sight.newest_boot && number != fence.boot;
    });
    if (alone) {
      remove_old_fences(store);
      return fence;
    }
    RETURN_IF_ERROR(store.remove(fence_name(fence.boot)));  // it gave out nothing under this number
  }
  return conflict("store: many schedulers started on it at once; stop all but one");
}

Status check_fence(BlobStore& store, std::uint64_t own_boot) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, fence_numbers(store));
  if (numbers.empty() || numbers[0] <= own_boot) return {};
  const Result<Fence> newer = read_fence(store, numbers[0]);
  return conflict(
      "store: another scheduler has taken it over: " + (newer.ok() ? described(*newer, 0) : fence_name(numbers[0])) +
      "; boot " + std::to_string(own_boot) + " ends now, and workers obey it no more");
}

Status renew_fence(BlobStore& store, Fence& own, std::uint64_t seq) { return put_fence(store, own, seq, false); }

Status release_fence(BlobStore& store, Fence& own, std::uint64_t seq) { return put_fence(store, own, seq, true); }

Status take_over(BlobStore& store, const FenceIdentity& owner, std::uint64_t seq) {
  for (int i = 0; i < kFenceTriesMax; ++i) {
    ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, fence_numbers(store));
    const std::uint64_t boot = (numbers.empty() ? 0 : numbers[0]) + 1;
    const std::string text = to_json(fence_of(owner, boot, "", seq));
    const std::span<const std::uint8_t> piece = bytes_of(text);
    ASSIGN_OR_RETURN(const Put put, store.create(fence_name(boot), {&piece, 1}));
    if (put == Put::kCreated) return {};
  }
  return conflict("store: many schedulers started on it at once; stop all but one");
}

}  // namespace modelhop
