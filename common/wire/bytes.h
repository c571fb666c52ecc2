#pragma once
// The binary archives of the wire: little-endian, fixed width, lengths as u32. One value has one encoding, so a
// decoder can refuse every other. Format: docs/formats.md, "Wire" and "Snapshot".
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/wire/fields.h"
#include "common/wire/text.h"

namespace modelhop {

template <class T>
inline constexpr bool kIsId = false;
template <class Tag, class Rep>
inline constexpr bool kIsId<Id<Tag, Rep>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsDigest = std::is_same_v<T, Incarnation> || std::is_same_v<T, ContentHash>;

template <class T>
inline constexpr bool kIsArray = false;
template <class T, std::size_t N>
inline constexpr bool kIsArray<std::array<T, N>> = true;
template <class T>
inline constexpr bool kIsMap = false;
template <class K, class V>
inline constexpr bool kIsMap<std::map<K, V>> = true;
template <class T>
inline constexpr bool kIsVariant = false;
template <class... T>
inline constexpr bool kIsVariant<std::variant<T...>> = true;

inline constexpr std::size_t kNoLimit = kFrameBytesMax;

class ByteWriter {
 public:
  std::vector<std::uint8_t> bytes;

  template <class T>
  void operator()(const char*, const T& value, std::size_t = kNoLimit) {
    put(value);
  }
  void cut(const char*, const std::string& text, std::size_t most) { put(cut_text(text, most)); }
  template <class T>
  void since(std::uint32_t, const char*, const T& value, std::size_t = kNoLimit) {
    put(value);
  }

  template <class T>
  void put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      put_integer<std::uint8_t>(value ? 1 : 0);
    } else if constexpr (std::is_enum_v<T>) {
      put_integer(static_cast<std::uint8_t>(value));
    } else if constexpr (std::is_same_v<T, double>) {
      put_integer(std::bit_cast<std::uint64_t>(value));
    } else if constexpr (std::is_unsigned_v<T>) {
      put_integer(value);
    } else if constexpr (kIsId<T> || std::is_same_v<T, PartitionIndex>) {
      put_integer(value.value);
    } else if constexpr (std::is_same_v<T, Token>) {
      put_integer(value.boot);
      put_integer(value.counter);
    } else if constexpr (kIsDigest<T>) {
      bytes.insert(bytes.end(), value.bytes.begin(), value.bytes.end());
    } else if constexpr (std::is_same_v<T, std::string>) {
      put_integer(static_cast<std::uint32_t>(value.size()));
      bytes.insert(bytes.end(), value.begin(), value.end());
    } else if constexpr (kIsVector<T>) {
      put_integer(static_cast<std::uint32_t>(value.size()));
      for (const auto& element : value) put(element);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      put_integer(static_cast<std::uint64_t>(value));
    } else if constexpr (std::is_same_v<T, WallMs>) {
      put(value.value);
    } else if constexpr (kIsArray<T>) {
      put_integer(static_cast<std::uint8_t>(value.size()));
      for (const auto& element : value) put(element);
    } else if constexpr (kIsMap<T>) {
      put_integer(static_cast<std::uint32_t>(value.size()));
      for (const auto& [key, element] : value) {
        put(key);
        put(element);
      }
    } else if constexpr (kIsVariant<T>) {
      put_integer(static_cast<std::uint8_t>(value.index()));
      std::visit([this](const auto& held) { this->put(held); }, value);
    } else if constexpr (requires { text_of(value); }) {
      put(text_of(value));
    } else {
      fields(*this, value);
    }
  }

 private:
  template <class T>
  void put_integer(T value) {
    std::uint8_t little[sizeof(T)];
    for (std::size_t i = 0; i < sizeof(T); ++i) little[i] = static_cast<std::uint8_t>(std::uint64_t{value} >> (8 * i));
    bytes.insert(bytes.end(), little, little + sizeof(T));
  }
};

// After the first refusal nothing more is read; status() says what and where.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::uint32_t format = UINT32_MAX;  // of the bytes: fields that a later one added are left as they are
  const Status& status() const { return status_; }
  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t offset() const { return at_; }

  template <class T>
  void operator()(const char* name, T& value, std::size_t most = kNoLimit) {
    if (status_.ok()) get(name, value, most);
  }
  void cut(const char* name, std::string& text, std::size_t most) { (*this)(name, text, most); }
  template <class T>
  void since(std::uint32_t first, const char* name, T& value, std::size_t most = kNoLimit) {
    if (format >= first) (*this)(name, value, most);
  }

 private:
  void refuse(const char* name, const std::string& what) {
    if (status_.ok()) status_ = corrupt(std::string(name) + " at byte " + std::to_string(at_) + ": " + what);
  }
  bool has(const char* name, std::size_t count) {
    if (bytes_.size() - at_ >= count) return true;
    refuse(name, "needs " + std::to_string(count) + " bytes, " + std::to_string(bytes_.size() - at_) + " are left");
    return false;
  }
  template <class T>
  void get_integer(const char* name, T& value) {
    if (!has(name, sizeof(T))) return;
    std::uint64_t read = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) read |= std::uint64_t{bytes_[at_ + i]} << (8 * i);
    at_ += sizeof(T);
    value = static_cast<T>(read);
  }
  bool get_count(const char* name, std::size_t most, std::uint32_t& count) {
    get_integer(name, count);
    if (!status_.ok()) return false;
    if (count > most) {
      refuse(name, "has length " + std::to_string(count) + ", the limit is " + std::to_string(most));
      return false;
    }
    return has(name, count);  // an element is at least a byte, so a length cannot make us allocate more than was sent
  }
  template <class T>
  void get(const char* name, T& value, std::size_t most) {
    if constexpr (std::is_same_v<T, bool> || std::is_enum_v<T>) {
      constexpr unsigned kCount = [] {
        if constexpr (std::is_enum_v<T>) {
          return kEnumCount<T>;
        } else {
          return 2u;
        }
      }();
      static_assert(kCount > 0);
      std::uint8_t read = 0;
      get_integer(name, read);
      if (read >= kCount) return refuse(name, "has no value " + std::to_string(read));
      value = static_cast<T>(read);
    } else if constexpr (std::is_same_v<T, double>) {
      std::uint64_t read = 0;
      get_integer(name, read);
      value = std::bit_cast<double>(read);
    } else if constexpr (std::is_unsigned_v<T>) {
      get_integer(name, value);
    } else if constexpr (kIsId<T> || std::is_same_v<T, PartitionIndex>) {
      get_integer(name, value.value);
    } else if constexpr (std::is_same_v<T, Token>) {
      get_integer(name, value.boot);
      get_integer(name, value.counter);
    } else if constexpr (kIsDigest<T>) {
      if (!has(name, value.bytes.size())) return;
      std::memcpy(value.bytes.data(), bytes_.data() + at_, value.bytes.size());
      at_ += value.bytes.size();
    } else if constexpr (std::is_same_v<T, std::string>) {
      std::uint32_t count = 0;
      if (!get_count(name, most, count)) return;
      value.assign(reinterpret_cast<const char*>(bytes_.data() + at_), count);
      if (!is_utf8(value)) return refuse(name, "is not UTF-8");
      at_ += count;
    } else if constexpr (kIsVector<T>) {
      std::uint32_t count = 0;
      if (!get_count(name, most, count)) return;
      value.clear();
      for (std::uint32_t i = 0; i < count && status_.ok(); ++i) get(name, value.emplace_back(), kNoLimit);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      std::uint64_t read = 0;
      get_integer(name, read);
      value = static_cast<std::int64_t>(read);
    } else if constexpr (std::is_same_v<T, WallMs>) {
      get(name, value.value, most);
    } else if constexpr (kIsArray<T>) {  // indexed by an enumeration: an older program knew fewer values
      std::uint8_t count = 0;
      get_integer(name, count);
      if (count == 0 || count > value.size()) return refuse(name, "has " + std::to_string(count) + " values");
      value = {};
      for (std::uint8_t i = 0; i < count && status_.ok(); ++i) get(name, value[i], kNoLimit);
    } else if constexpr (kIsMap<T>) {
      std::uint32_t count = 0;
      if (!get_count(name, most, count)) return;
      value.clear();
      for (std::uint32_t i = 0; i < count && status_.ok(); ++i) {
        typename T::key_type key{};
        get(name, key, kNoLimit);
        if (!value.empty() && !(value.rbegin()->first < key)) return refuse(name, "has keys out of order");
        get(name, value[std::move(key)], kNoLimit);
      }
    } else if constexpr (kIsVariant<T>) {
      std::uint8_t index = 0;
      get_integer(name, index);
      if (index >= std::variant_size_v<T>) return refuse(name, "has no kind " + std::to_string(index));
      get_variant(name, index, value, std::make_index_sequence<std::variant_size_v<T>>());
    } else if constexpr (requires(const std::string& text) { set_text(text, value); }) {
      std::string text;
      get(name, text, most);
      if (status_.ok() && !set_text(text, value)) refuse(name, "has a text that is none of its own");
    } else {
      fields(*this, value);
    }
  }

  template <class T, std::size_t... kIndex>
  void get_variant(const char* name, std::uint8_t index, T& value, std::index_sequence<kIndex...>) {
    (void)((index == kIndex && (get(name, value.template emplace<kIndex>(), kNoLimit), true)) || ...);
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  Status status_;
};

}  // namespace modelhop
