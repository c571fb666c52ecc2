#include <catch2/catch_test_macros.hpp>

#include "common/client/http_client.h"

namespace modelhop {
namespace {

TEST_CASE("an event stream is parsed alike however its bytes are cut", "[client]") {
  const std::string text =
      "retry: 2000\n\nid: 7\nevent: unit_leased\ndata: {\"a\":1}\n\n:\n\ndata: x\r\ndata: y\r\n\r\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    SseParser parser;
    std::vector<SseEvent> events;
    for (std::size_t from = 0; from < text.size(); from += piece) {
      REQUIRE(parser.add(text.substr(from, piece)));
      while (auto event = parser.next()) events.push_back(*event);
    }
    REQUIRE(events.size() == 2);
    CHECK(events[0].id == "7");
    CHECK(events[0].type == "unit_leased");
    CHECK(events[0].data == "{\"a\":1}");
    CHECK(events[1].id == "7");
    CHECK(events[1].type == "message");
    CHECK(events[1].data == "x\ny");
  }
}

TEST_CASE("an event without an end is refused at its limit", "[client][limits]") {
  SseParser parser;
  CHECK(parser.add(std::string(kSseEventBytesMax, 'x')));
  CHECK(!parser.add("x"));
}

TEST_CASE("a server's address is read in every form people write", "[client]") {
  CHECK(parse_server("http://127.0.0.1:9000")->port == "9000");
  CHECK(parse_server("host")->port == "8080");
  CHECK(parse_server("host:80/")->host == "host");
  CHECK(parse_server("http://[::1]:81")->host == "::1");
  for (const char* bad : {"", "https://h", "http://", "h:0", "h:99999", "h:x", "[::1", "h/path", "a b"}) {
    INFO(bad);
    CHECK(parse_server(bad).status().code() == Code::kInvalid);
  }
}

TEST_CASE("nobody at the address is unreachable, by name", "[client]") {
  const auto answer = HttpClient({"127.0.0.1", "1"}).ask({"GET", "/", "", {}});
  CHECK(answer.status().code() == Code::kUnreachable);
  CHECK(answer.status().message().find("http://127.0.0.1:1") != std::string::npos);
}

TEST_CASE("every byte of a path part survives its encoding", "[client]") {
  CHECK(percent_encode("a b/\xc3\xa9%~") == "a%20b%2F%C3%A9%25~");
}

}  // namespace
}  // namespace modelhop
