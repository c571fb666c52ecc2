#pragma once
// Ids are types: a swapped worker and trial must not compile. 0 = none.
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace modelhop {

template <class Tag, class Rep = std::uint64_t>
struct Id {
  Rep value{};
  auto operator<=>(const Id&) const = default;
  explicit operator bool() const { return value != 0; }
};

using ExperimentId = Id<struct ExperimentTag>;
using TrialId = Id<struct TrialTag>;  // 1, 2, ... within its experiment; keys the random streams, so never reused
using UnitId = Id<struct UnitTag>;    // 1, 2, ... within its experiment
using WorkerId = Id<struct WorkerTag, std::uint32_t>;  // stands for a worker's name; survives its restarts
using RequestId = Id<struct RequestTag>;               // one pending client request; never recorded

// A partition's place in its data set: 0 .. P-1. Not an Id, since 0 is a partition.
struct PartitionIndex {
  std::uint32_t value{};
  auto operator<=>(const PartitionIndex&) const = default;
};

// Random, one per process life of a worker.
struct Incarnation {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const Incarnation&) const = default;
};

// Random, one per journal, made with it: a copy of the journal has the same one.
struct ClusterId {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const ClusterId&) const = default;
};

// Fences off stale workers. Grows for ever: boot counts scheduler starts, counter the leases since.
struct Token {
  std::uint64_t boot{}, counter{};
  auto operator<=>(const Token&) const = default;
};

// XXH3-128 of some content, canonical (big-endian) byte order. All zero = none.
struct ContentHash {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const ContentHash&) const = default;
  explicit operator bool() const { return *this != ContentHash{}; }
};

// The strings people see and type: e7, e7.12, e7.u345, 3.17 (token), 32 hex digits.
std::string to_string(ExperimentId id);
std::string to_string(ExperimentId experiment, TrialId trial);
std::string to_string(ExperimentId experiment, UnitId unit);
std::string to_string(Token token);
std::string to_string(const Incarnation& incarnation);
std::string to_string(const ClusterId& cluster);
std::string to_string(const ContentHash& hash);
// False: `text` is no such string; `out` is then unchanged.
bool parse(const std::string& text, ExperimentId& out);
bool parse(const std::string& text, ExperimentId& experiment, TrialId& trial);
bool parse(const std::string& text, ExperimentId& experiment, UnitId& unit);
bool parse(const std::string& text, Token& out);
bool parse(const std::string& text, Incarnation& out);
bool parse(const std::string& text, ClusterId& out);
bool parse(const std::string& text, ContentHash& out);

}  // namespace modelhop

template <class Tag, class Rep>
struct std::hash<modelhop::Id<Tag, Rep>> {
  std::size_t operator()(const modelhop::Id<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value); }
};
