#include "common/base/ids.h"

#include <charconv>
#include <span>
#include <string_view>

namespace modelhop {
namespace {

std::string hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (std::uint8_t byte : bytes) {
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool unhex(std::string_view text, std::span<std::uint8_t> out) {
  if (text.size() != out.size() * 2) return false;
  for (char c : text) {
    if (hex_digit(c) < 0) return false;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::uint8_t>(hex_digit(text[2 * i]) * 16 + hex_digit(text[2 * i + 1]));
  }
  return true;
}

// A positive decimal without sign or leading zero.
bool number(std::string_view text, std::uint64_t& out) {
  if (text.empty() || text[0] == '0') return false;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  out = value;
  return true;
}

bool prefixed(std::string_view text, char prefix, std::uint64_t& out) {
  return !text.empty() && text[0] == prefix && number(text.substr(1), out);
}

}  // namespace

std::string to_string(ExperimentId id) { return "e" + std::to_string(id.value); }

std::string to_string(ExperimentId experiment, TrialId trial) {
  return to_string(experiment) + "." + std::to_string(trial.value);
}

std::string to_string(ExperimentId experiment, UnitId unit) {
  return to_string(experiment) + ".u" + std::to_string(unit.value);
}

std::string to_string(Token token) { return std::to_string(token.boot) + "." + std::to_string(token.counter); }

std::string to_string(const Incarnation& incarnation) { return hex(incarnation.bytes); }

std::string to_string(const ClusterId& cluster) { return hex(cluster.bytes); }

std::string to_string(const ContentHash& hash) { return hex(hash.bytes); }

bool parse(const std::string& text, ExperimentId& out) { return prefixed(text, 'e', out.value); }

bool parse(const std::string& text, ExperimentId& experiment, TrialId& trial) {
  const std::size_t dot = text.find('.');
  if (dot == std::string::npos) return false;
  std::uint64_t e = 0, t = 0;
  if (!prefixed(std::string_view(text).substr(0, dot), 'e', e) || !number(std::string_view(text).substr(dot + 1), t)) {
    return false;
  }
  experiment.value = e;
  trial.value = t;
  return true;
}

bool parse(const std::string& text, ExperimentId& experiment, UnitId& unit) {
  const std::size_t dot = text.find('.');
  if (dot == std::string::npos) return false;
  std::uint64_t e = 0, u = 0;
  if (!prefixed(std::string_view(text).substr(0, dot), 'e', e) ||
      !prefixed(std::string_view(text).substr(dot + 1), 'u', u)) {
    return false;
  }
  experiment.value = e;
  unit.value = u;
  return true;
}

bool parse(const std::string& text, Token& out) {
  const std::size_t dot = text.find('.');
  if (dot == std::string::npos) return false;
  Token token;
  if (!number(std::string_view(text).substr(0, dot), token.boot) ||
      !number(std::string_view(text).substr(dot + 1), token.counter)) {
    return false;
  }
  out = token;
  return true;
}

bool parse(const std::string& text, Incarnation& out) { return unhex(text, out.bytes); }

bool parse(const std::string& text, ClusterId& out) { return unhex(text, out.bytes); }

bool parse(const std::string& text, ContentHash& out) { return unhex(text, out.bytes); }

}  // namespace modelhop
