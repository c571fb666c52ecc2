#include "common/spec/json_reader.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/rng.h"
#include "common/spec/json_text.h"
#include "common/spec/spec.h"

using namespace modelhop;
using nlohmann::json;

namespace {
std::string fault_of(std::string_view text, const JsonLimits& limits = {}) {
  const auto result = read_json(text, limits);
  return result.ok() ? "accepted" : result.status().message();
}
}  // namespace

TEST_CASE("JSON is read into the same values that nlohmann reads", "[spec][json]") {
  const std::string text = R"({"a":[1,-2,3.5,"x\u00e9",true,null,{"b":[[]]}],"c":{},"d":18446744073709551615})";
  CHECK(*read_json(text) == json::parse(text));
  CHECK(*read_json("3") == 3);
}

TEST_CASE("every duplicate key is refused with its pointer", "[spec][json]") {
  const JsonDocument document =
      read_json_document(R"({"a":{"x/y":1,"x/y":{"p":1,"p":2}},"l":[0,{"b":1,"b":1}],"a":1})");
  REQUIRE(document.faults.size() == 4);
  CHECK(document.faults[0].pointer == "/a/x~1y");
  CHECK(document.faults[1].pointer == "/a/x~1y/p");
  CHECK(document.faults[2].pointer == "/l/1/b");
  CHECK(document.faults[3].pointer == "/a");
}

TEST_CASE("equal keys inside a value that does not count are told too, and the rest is read", "[spec][json]") {
  const JsonDocument document = read_json_document(
      R"({"a":1,"a":{"l":[{"b":[1]},{"b":1,"b":{"c":[1,2]},"d":{"e":1}}],"l":[{"f":1}],"g":2},"h":3})");
  REQUIRE(document.faults.size() == 3);
  CHECK(document.faults[0].pointer == "/a");
  CHECK(document.faults[1].pointer == "/a/l/1/b");
  CHECK(document.faults[2].pointer == "/a/l");
  CHECK(document.whole);
  CHECK(document.value == nlohmann::json{{"a", 1}, {"h", 3}});
}

TEST_CASE("a syntax error has its line and column", "[spec][json]") {
  CHECK(fault_of("{\n  \"a\": 1,\n  \"b\" 2\n}").starts_with("line 3, column 7: "));
  CHECK(fault_of("").starts_with("line 1, column 1: "));
  CHECK(fault_of("{} x").starts_with("line 1, column 4: "));
  CHECK(fault_of("{\"a\":1,}").find("line 1, column 8: ") != std::string::npos);
}

TEST_CASE("bytes that are no JSON are refused", "[spec][json]") {
  for (const std::string& text :
       {std::string("\"\xff\""), std::string("\"\xc0\xaf\""), std::string("\"\xed\xa0\x80\""), std::string("[1e999]"),
        std::string("[-1e999]"), std::string("[NaN]"), std::string("[Infinity]"), std::string("{}\0x", 4),
        std::string("{}\0", 3), std::string("\"\\ud800\""), std::string("[01]"), std::string("// x\n1"),
        std::string("['a']"), std::string("\"a\nb\""), std::string("[1")}) {
    INFO(text);
    CHECK(fault_of(text) != "accepted");
  }
  CHECK(fault_of("[1e999]").find("number overflow") != std::string::npos);
}

TEST_CASE("bytes, depth and count are capped at their limits and not before", "[spec][json]") {
  CHECK(fault_of("[1,2]", {.bytes_max = 5}) == "accepted");
  CHECK(fault_of("[1,2]", {.bytes_max = 4}) == "has 5 bytes; at most 4 are read");
  const auto nested = [](unsigned depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(fault_of(nested(kJsonDepthMax)) == "accepted");
  CHECK(fault_of(nested(kJsonDepthMax + 1)).find("more than 32 objects and lists deep") != std::string::npos);
  CHECK(fault_of(std::string(1'000'000, '[')).find("deep") != std::string::npos);
  CHECK(fault_of("[1,2,3]", {.values_max = 4}) == "accepted");
  CHECK(fault_of("[1,2,3]", {.values_max = 3}).find("more than 3 values") != std::string::npos);
}

TEST_CASE("reading order follows the text, not the alphabet", "[spec][json]") {
  const std::string text = R"({"z":[1,{"y":2}],"a":3})";
  const auto order = reading_order(text, {"/a", "/z/1/y", "", "/z/1/missing/deeper", "/z/0"});
  CHECK(order == std::vector<std::size_t>{5, 4, 0, 3, 2});
}

TEST_CASE("a double's text reads back to the same bits and stays a double", "[spec][json]") {
  CHECK(to_json_text(Value(1.0)) == "1.0");
  CHECK(to_json_text(Value(0.1)) == "0.1");
  CHECK(to_json_text(Value(-0.0)) == "-0.0");
  CHECK(to_json_text(Value(1e300)) == "1e+300");
  CHECK(to_json_text(Value(std::int64_t{64})) == "64");
  KeyedRng rng(11, Purpose::kSimulator);
  for (int i = 0; i < 20'000; ++i) {
    double value = 0;
    const std::uint64_t bits = rng.next_u64();
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    const auto back = read_json(double_text(value));
    REQUIRE(back.ok());
    REQUIRE(back->is_number_float());
    const double read = back->get<double>();
    REQUIRE(std::memcmp(&read, &value, sizeof value) == 0);
  }
}

TEST_CASE("parameters' text is sorted, exact and escaped", "[spec][json]") {
  const Params params = {{"b", 0.003}, {"a", std::int64_t{-5}}, {"c", true}, {"d", std::string("x\"\n\x01")}};
  CHECK(to_json_text(params) == R"({"a":-5,"b":0.003,"c":true,"d":"x\"\n\u0001"})");
  CHECK(canonical_text(json::parse(R"({"b":[1,2.0],"a":null})")) == R"({"a":null,"b":[1,2.0]})");
}
