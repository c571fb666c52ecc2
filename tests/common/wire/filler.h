#pragma once
// An archive that fills a struct with random values inside its limits, by the same list of fields that is tested.
#include <cmath>
#include <limits>
#include <random>

#include "common/wire/bytes.h"
#include "common/wire/record_fields.h"

namespace modelhop {

class Filler {
 public:
  explicit Filler(std::uint64_t seed) : random_(seed) {}

  template <class T>
  void operator()(const char*, T& value, std::size_t most = kNoLimit) {
    fill(value, most);
  }
  void cut(const char*, std::string& text, std::size_t most) { fill(text, most); }
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

 private:
  std::uint64_t word() {
    switch (below(4)) {
      case 0:
        return 0;
      case 1:
        return below(1000);
      case 2:
        return std::numeric_limits<std::uint64_t>::max();
      default:
        return random_();
    }
  }
  double number() {
    switch (below(8)) {
      case 0:
        return std::numeric_limits<double>::quiet_NaN();
      case 1:
        return std::numeric_limits<double>::infinity();
      case 2:
        return -std::numeric_limits<double>::infinity();
      case 3:
        return -0.0;
      case 4:
        return std::numeric_limits<double>::denorm_min();
      case 5:
        return std::numeric_limits<double>::max();
      case 6:
        return static_cast<double>(below(100));
      default:
        return std::ldexp(static_cast<double>(random_()), static_cast<int>(below(200)) - 164);
    }
  }
  void fill(Value& value, std::size_t) {
    switch (below(4)) {
      case 0:
        value = below(2) == 0;
        break;
      case 1:
        value = static_cast<std::int64_t>(word());
        break;
      case 2:
        value = number();
        break;
      default:
        fill(value.emplace<std::string>(), 20);
    }
  }
  template <class T>
  void fill(T& value, std::size_t most) {
    if constexpr (std::is_same_v<T, bool>) {
      value = below(2) == 0;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(below(kEnumCount<T>));
    } else if constexpr (std::is_same_v<T, double>) {
      value = number();
    } else if constexpr (std::is_unsigned_v<T>) {
      value = static_cast<T>(word());
    } else if constexpr (kIsId<T> || std::is_same_v<T, PartitionIndex>) {
      fill(value.value, 0);
    } else if constexpr (std::is_same_v<T, Token>) {
      value = below(4) == 0 ? Token{} : Token{1 + below(100), 1 + random_() / 2};
    } else if constexpr (kIsDigest<T>) {
      for (auto& byte : value.bytes) byte = static_cast<std::uint8_t>(random_());
    } else if constexpr (std::is_same_v<T, std::string>) {
      static constexpr const char* kPieces[] = {"a", "Z", "0", "\"", "\\", "\n", "/", "é", "漢", "🙂"};
      value.clear();
      for (std::uint64_t n = below(20); n > 0; --n) {
        const std::uint64_t piece = below(11);
        const std::string_view text = piece == 10 ? std::string_view("\0", 1) : std::string_view(kPieces[piece]);
        if (value.size() + text.size() <= most) value += text;
      }
    } else if constexpr (kIsVector<T>) {
      value.resize(below(std::min<std::size_t>(most, 4) + 1));
      for (auto& element : value) fill(element, kNoLimit);
    } else if constexpr (requires { value["key"]; }) {
      for (std::uint64_t n = below(4); n > 0; --n) {
        std::string key;
        fill(key, 40);
        fill(value[key], 0);
      }
    } else {
      fields(*this, value);
    }
  }

  std::mt19937_64 random_;
};

template <class Variant, std::size_t... kIndex>
std::vector<Variant> one_of_each(Filler& filler, std::index_sequence<kIndex...>) {
  std::vector<Variant> all;
  const auto add = [&](auto body) {
    fields(filler, body);
    all.emplace_back(std::move(body));
  };
  (add(std::variant_alternative_t<kIndex, Variant>{}), ...);
  return all;
}
// Every alternative of the variant once, with random fields.
template <class Variant>
std::vector<Variant> one_of_each(std::uint64_t seed) {
  Filler filler(seed);
  return one_of_each<Variant>(filler, std::make_index_sequence<std::variant_size_v<Variant>>());
}

}  // namespace modelhop
