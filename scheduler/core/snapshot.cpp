// The durable state as canonical JSON. A writer of its own: the simulator takes several at each crash.
#include <charconv>
#include <cstring>

#include "common/wire/bytes.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/state_fields.h"

namespace modelhop {
namespace {

class Text {
 public:
  std::string out;

  template <class T>
  void operator()(const char* name, const T& value, std::size_t = 0) {
    key(name);
    add(value);
  }
  template <class T>
  void since(std::uint32_t, const char* name, const T& value, std::size_t = 0) {
    (*this)(name, value);
  }

  template <class T>
  void add(const T& value) {
    comma();
    if constexpr (std::is_same_v<T, bool>) {
      out += value ? "true" : "false";
    } else if constexpr (std::is_enum_v<T>) {
      number(static_cast<std::uint64_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
      number(value);
    } else if constexpr (std::is_same_v<T, double>) {
      std::uint64_t bits = 0;  // equal bits are what replay promises; -0.0 and 0.0 differ
      std::memcpy(&bits, &value, sizeof bits);
      number(bits);
    } else if constexpr (std::is_same_v<T, std::string>) {
      quoted(value);
    } else if constexpr (std::is_same_v<T, Params>) {
      quoted(to_json_text(value));
    } else if constexpr (requires { text_of(value); }) {
      quoted(text_of(value));
    } else if constexpr (std::is_same_v<T, Token>) {
      out += '"';
      number(value.boot);
      out += '.';
      number(value.counter);
      out += '"';
    } else if constexpr (kIsDigest<T>) {
      hex(value.bytes);
    } else if constexpr (kIsId<T> || std::is_same_v<T, PartitionIndex> || std::is_same_v<T, WallMs>) {
      number(value.value);
    } else if constexpr (kIsMap<T>) {
      out += '{';
      first_ = true;
      for (const auto& [name, element] : value) (*this)(name.c_str(), element);
      out += '}';
    } else if constexpr (kIsVector<T>) {
      out += '[';
      first_ = true;
      for (const auto& element : value) add(element);
      out += ']';
    } else {
      out += '{';
      first_ = true;
      fields(*this, value);
      out += '}';
    }
    first_ = false;
  }

 private:
  void key(const char* name) {
    comma();
    quoted(name);
    out += ':';
    first_ = true;
  }
  void comma() {
    if (!first_) out += ',';
    first_ = true;
  }
  template <class N>
  void number(N value) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
  template <class Bytes>
  void hex(const Bytes& bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    char text[34];
    std::size_t n = 0;
    text[n++] = '"';
    for (const std::uint8_t byte : bytes) {
      text[n++] = kDigits[byte >> 4];
      text[n++] = kDigits[byte & 15];
    }
    text[n++] = '"';
    out.append(text, n);
  }
  void quoted(std::string_view text) {
    out += '"';
    for (const char c : text) {
      if (static_cast<unsigned char>(c) < 0x20) {
        out += "\\u00";
        out += "0123456789abcdef"[(c >> 4) & 15];
        out += "0123456789abcdef"[c & 15];
      } else {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
      }
    }
    out += '"';
  }
  bool first_ = true;
};

}  // namespace

std::string Core::Impl::snapshot() const {
  Text text;
  text.add(state);
  return std::move(text.out);
}

}  // namespace modelhop
