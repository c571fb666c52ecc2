#include "common/net/keys.h"

#include <sys/random.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/limits.h"

namespace modelhop {
namespace {

constexpr std::string_view kFirstLine = "modelhop-key 1";
constexpr std::size_t kKeyBytes = 32;

using KeyBytes = std::array<std::uint8_t, kKeyBytes>;

// None: not the one spelling of 32 bytes.
std::optional<KeyBytes> bytes_of(std::string_view text) {
  constexpr std::string_view kZ85 =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
  if (text.size() != kKeyChars || text.find_first_not_of(kZ85) != std::string_view::npos) return std::nullopt;
  KeyBytes bytes{};
  char again[kKeyChars + 1] = {};
  if (zmq_z85_decode(bytes.data(), std::string(text).c_str()) == nullptr) return std::nullopt;
  if (zmq_z85_encode(again, bytes.data(), bytes.size()) == nullptr || again != text) return std::nullopt;
  return bytes;
}

}  // namespace

KeyPair make_key_pair() {
  char public_key[kKeyChars + 1] = {}, secret_key[kKeyChars + 1] = {};
  MODELHOP_CHECK(zmq_curve_keypair(public_key, secret_key) == 0);  // fails only in a libzmq that has no CURVE
  return {public_key, secret_key};
}

bool is_key(std::string_view text) { return bytes_of(text).has_value(); }

bool is_key_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || name[0] == '.') return false;
  return name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
         std::string_view::npos;
}

std::string to_text(const KeyFile& file) {
  std::string out = std::string(kFirstLine) + "\nname " + file.name + "\npublic " + file.public_key + "\n";
  if (!file.secret_key.empty()) out += "secret " + file.secret_key + "\n";
  if (!file.scheduler.empty()) out += "scheduler " + file.scheduler + "\n";
  return out;
}

Result<KeyFile> parse_key_file(std::string_view text, const std::string& where) {
  const auto next = [&]() -> std::optional<std::string_view> {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return line;
  };
  // The rest of the next line, where it begins with `word`.
  const auto value = [&](std::string_view word) -> std::optional<std::string> {
    if (!text.starts_with(word) || !text.substr(word.size()).starts_with(' ')) return std::nullopt;
    const auto line = next();
    return line ? std::optional<std::string>(line->substr(word.size() + 1)) : std::nullopt;
  };
  const auto wrong = [&](const std::string& what) {
    return corrupt(where + ": " + what + "; make keys with `modelhop keys generate`");
  };
  if (text.size() > kKeyFileBytesMax) {
    return corrupt(where + ": is over " + std::to_string(kKeyFileBytesMax) + " bytes, so it is no key");
  }
  if (next() != kFirstLine) return wrong("does not begin with \"" + std::string(kFirstLine) + "\"");
  KeyFile file;
  file.name = value("name").value_or("");
  if (!is_key_name(file.name)) return wrong("the line \"name NAME\" is missing");
  file.public_key = value("public").value_or("");
  if (!is_key(file.public_key)) return wrong("the line \"public KEY\", 40 characters, is missing");
  if (const auto secret = value("secret")) {
    char derived[kKeyChars + 1] = {};
    if (!is_key(*secret) || zmq_curve_public(derived, secret->c_str()) != 0 || derived != file.public_key) {
      return wrong("the secret key is not the public key's");
    }
    file.secret_key = *secret;
    if (const auto scheduler = value("scheduler")) {
      if (!is_key(*scheduler)) return wrong("the scheduler's key is not one of 40 characters");
      file.scheduler = *scheduler;
    }
  }
  if (!text.empty()) return wrong("is followed by something that is no part of a key");
  return file;
}

Incarnation make_incarnation(const std::string& public_key) {
  Incarnation out;
  fill_random(out.bytes.data(), out.bytes.size());
  if (const auto key = bytes_of(public_key)) std::copy_n(key->begin(), kIncarnationKeyBytes, out.bytes.begin());
  return out;
}

Incarnation key_part(const Incarnation& incarnation) {
  Incarnation out;
  std::copy_n(incarnation.bytes.begin(), kIncarnationKeyBytes, out.bytes.begin());
  return out;
}

bool same_key(const Incarnation& a, const Incarnation& b) { return key_part(a) == key_part(b); }

bool belongs_to(const Incarnation& incarnation, const std::string& public_key) {
  const auto key = bytes_of(public_key);
  return key && std::equal(incarnation.bytes.begin(), incarnation.bytes.begin() + kIncarnationKeyBytes, key->begin());
}

void fill_random(void* bytes, std::size_t size) {
  auto* next = static_cast<std::uint8_t*>(bytes);
  while (size > 0) {
    const ssize_t got = ::getrandom(next, size, 0);
    MODELHOP_CHECK(got > 0 || errno == EINTR);
    if (got < 0) continue;
    next += got;
    size -= static_cast<std::size_t>(got);
  }
}

}  // namespace modelhop
