#pragma once
// Keys: who may speak on a link. CURVE (Curve25519) pairs as Z85 text, and the files that carry them.
// Format: docs/formats.md, "Keys".
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"

namespace modelhop {

inline constexpr std::size_t kKeyChars = 40;              // of Z85: 32 bytes
inline constexpr std::size_t kKeyFileBytesMax = 4 << 10;  // one has 5 short lines
inline constexpr std::size_t kAllowedKeysMax = 4096;      // as many as there may be workers
inline constexpr const char* kSchedulerKeyName = "scheduler";

struct KeyPair {
  std::string public_key, secret_key;
};
// Of the operating system's randomness.
KeyPair make_key_pair();
bool is_key(std::string_view text);
// [A-Za-z0-9._-], 1 to kNameBytesMax, not beginning with '.': a key's name is a file's name, too.
bool is_key_name(std::string_view name);

// What a worker needs to know.
struct WorkerKeys {
  KeyPair own;
  std::string scheduler;  // the scheduler's public key: nobody else can pose as it
};

// Who is allowed now.
struct AllowedKeys {
  std::map<std::string, std::string> names;  // by public key
  std::vector<std::string> problems;         // what was found that allows nobody, for the log
  bool operator==(const AllowedKeys&) const = default;
};
// Asked again and again, on one thread. None: as it was when asked before.
using AllowList = std::function<std::optional<AllowedKeys>()>;

// What the scheduler needs to know.
struct ServerKeys {
  KeyPair own;
  AllowList allowed;
};

// One file: a public key (.pub), or a secret one with all that its owner needs (.key).
struct KeyFile {
  std::string name, public_key;
  std::string secret_key;  // empty in a .pub
  std::string scheduler;   // the scheduler's public key, in a worker's .key only
  bool operator==(const KeyFile&) const = default;
};
std::string to_text(const KeyFile& file);
// One text for one value; all else is refused, naming `where`. The pair must belong together.
Result<KeyFile> parse_key_file(std::string_view text, const std::string& where);

// 16 bytes that no other process life has. With a key, the first 8 are the key's: an incarnation can be spoken for
// under no other key.
Incarnation make_incarnation(const std::string& public_key = "");
inline constexpr std::size_t kIncarnationKeyBytes = 8;
Incarnation key_part(const Incarnation& incarnation);  // the rest is zero
bool same_key(const Incarnation& a, const Incarnation& b);
bool belongs_to(const Incarnation& incarnation, const std::string& public_key);

// Bytes nobody can guess.
void fill_random(void* bytes, std::size_t size);

}  // namespace modelhop
