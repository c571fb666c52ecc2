#include "common/net/allowed_folder.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

#include "common/base/time.h"
#include "common/net/key_bytes.h"
#include "common/store/files.h"

namespace modelhop {
namespace {

// Coarser than the clock of any file system we know; a network's server may also run ahead of us.
constexpr std::int64_t kSettledNs = 3 * kSecond;

std::int64_t ns_of(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

}  // namespace

void AllowedFolder::look_at(const std::string& name, Known& known) {
  const std::string file = path_ + "/" + name + ".pub";
  struct stat entry {};
  if (::stat(file.c_str(), &entry) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) known = {};
    known.problem = file_error(file, "cannot be read").message();
    known.settled = false;
    return;
  }
  const Look look{entry.st_dev, entry.st_ino, static_cast<std::uint64_t>(entry.st_size), ns_of(entry.st_mtim),
                  ns_of(entry.st_ctim)};
  if (known.settled && known.look == look) return;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  known.look = look;
  known.settled = std::max(look.modified_ns, look.changed_ns) < ns_of(now) - kSettledNs;
  known.problem.clear();
  const Result<KeyBytes> bytes = read_key_bytes(file);
  if (!bytes.ok()) {
    known.problem = bytes.status().message();
    known.settled = false;
    if (bytes.status().code() != Code::kEnvironment) known.public_key.clear();
    return;
  }
  known.public_key.clear();
  const Result<KeyFile> key = parse_key_file(bytes->text, file);
  if (!key.ok()) {
    known.problem = key.status().message();
  } else if (key->name != name) {
    known.problem = file + ": is the key of \"" + key->name + "\"; put it there with: modelhop keys allow FILE.pub";
  } else {
    known.public_key = key->public_key;
  }
}

std::optional<AllowedKeys> AllowedFolder::poll() {
  AllowedKeys now;
  Result<std::vector<std::string>> names = key_names(path_);
  if (!names.ok()) {
    if (last_) now.names = last_->names;
    now.problems.push_back(names.status().message() + "; who was allowed stays so");
  } else {
    if (names->size() > kAllowedKeysMax) {
      now.problems.push_back(path_ + ": has " + std::to_string(names->size()) + " keys; only the first " +
                             std::to_string(kAllowedKeysMax) + " by name are allowed");
      names->resize(kAllowedKeysMax);
    }
    std::erase_if(known_,
                  [&](const auto& one) { return !std::binary_search(names->begin(), names->end(), one.first); });
    for (const std::string& name : *names) {
      Known& known = known_[name];
      look_at(name, known);
      if (!known.problem.empty()) now.problems.push_back(known.problem);
      if (known.public_key.empty()) continue;
      const auto [first, is_new] = now.names.emplace(known.public_key, name);
      if (!is_new) now.problems.push_back(path_ + ": \"" + first->second + "\" and \"" + name + "\" are one key");
    }
  }
  if (last_ == now) return std::nullopt;
  last_ = now;
  return now;
}

}  // namespace modelhop
