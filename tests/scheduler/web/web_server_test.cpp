#include <catch2/catch_test_macros.hpp>

#include "client.h"
#include "tests/scheduler/api/exposition_check.h"

namespace modelhop {
namespace {

using test::Client;
using test::FakeService;
using test::get;
using test::status_of;

WebConfig quick() {
  WebConfig config;
  config.port = 0;
  config.limits.request_ms = 300;
  config.limits.idle_ms = 500;
  config.limits.write_ms = 500;
  config.limits.heartbeat_ms = 100;
  config.limits.answer_ms = 300;
  return config;
}

struct Running {
  explicit Running(const WebConfig& config = quick()) {
    auto started = WebServer::start(config, service);
    REQUIRE(started.ok());
    web = std::move(*started);
  }
  // One request on a connection of its own.
  std::string ask(const std::string& bytes) const {
    Client client(web->port());
    client.send(bytes);
    return client.read_all();
  }
  FakeService service;
  std::unique_ptr<WebServer> web;
};

std::string post(const std::string& target, const std::string& type, const std::string& body,
                 const std::string& headers = "") {
  return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: " + type + "\r\n" +
         headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST_CASE("requests reach the service with query, body and Idempotency-Key, and its answer comes back", "[web]") {
  Running running;
  const std::string response = running.ask(
      post("/api/v1/echo?a=1%20%2B&b", "application/json; charset=utf-8", R"({"x":1})", "Idempotency-Key: k1\r\n"));
  CHECK(status_of(response) == 200);
  CHECK(response.ends_with(R"({"x":1})"));
  const ApiRequest seen = running.service.last();
  CHECK(seen.method == "POST");
  CHECK(seen.path == "/api/v1/echo");
  CHECK(seen.query == std::map<std::string, std::string>{{"a", "1 +"}, {"b", ""}});
  CHECK(seen.idempotency_key == "k1");
  CHECK(status_of(running.ask(get("/api/v1/none"))) == 404);
  CHECK(running.ask(get("/")).find("/api/v1/experiments") != std::string::npos);
}

TEST_CASE("responses are counted by status in the metrics, below the service's own", "[web][metrics]") {
  Running running;
  for (const char* target : {"/api/v1/status", "/api/v1/status", "/api/v1/none"}) running.ask(get(target));
  const std::string response = running.ask(get("/metrics"));
  const test::Exposed got = test::read_exposition(response.substr(response.find("\r\n\r\n") + 4));
  for (const std::string& problem : got.problems) FAIL_CHECK(problem);
  CHECK(got["a"] == 1);
  CHECK(got["modelhop_http_requests_total{code=\"200\"}"] == 2);
  CHECK(got["modelhop_http_requests_total{code=\"404\"}"] == 1);
}

TEST_CASE("several requests go over one connection, and HEAD has no body", "[web]") {
  Running running;
  Client client(running.web->port());
  client.send("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.read("}").find("200 OK") != std::string::npos);
  client.send("HEAD /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string all = client.read_all();
  CHECK(all.substr(all.rfind("HTTP/1.1")).find("Content-Length: 9") != std::string::npos);
  CHECK(all.ends_with("\r\n\r\n"));
}

TEST_CASE("what is not meant for this API is refused by its own status", "[web]") {
  Running running;
  CHECK(status_of(running.ask("nonsense\r\n\r\n")) == 400);
  CHECK(status_of(running.ask("TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")) == 405);
  CHECK(status_of(running.ask(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")) == 405);
  CHECK(status_of(running.ask(post("/api/v1/echo", "text/plain", "x"))) == 415);
  CHECK(status_of(running.ask(get("/api/v1/status?a=1&a=2"))) == 400);
  CHECK(status_of(running.ask(get("/api/v1/status?%zz"))) == 400);
  CHECK(status_of(running.ask(post("/api/v1/echo", "application/json", "{}",
                                   "Idempotency-Key: " + std::string(200, 'k') + "\r\n"))) == 400);
}

TEST_CASE("a page of another site cannot use a browser on this machine", "[web]") {
  Running running;
  CHECK(status_of(running.ask("GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")) ==
        403);
  CHECK(status_of(running.ask(get("/api/v1/status", "Origin: http://evil.example\r\n"))) == 403);
  CHECK(status_of(running.ask(get("/api/v1/status", "Origin: http://localhost\r\n"))) == 200);
}

TEST_CASE("a header and a body over their limits are refused without being read", "[web][limits]") {
  Running running;
  CHECK(status_of(running.ask(get("/", "X: " + std::string(20 << 10, 'x') + "\r\n"))) == 431);
  const std::string head =
      "POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ";
  CHECK(status_of(running.ask(head + "99999999999\r\n\r\n")) == 413);
  const std::size_t limit = quick().limits.body_bytes;
  CHECK(status_of(running.ask(head + std::to_string(limit + 1) + "\r\n\r\n")) == 413);
  Client chunked(running.web->port());
  chunked.send(
      "POST /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", limit + 1);
  chunked.send(size);
  chunked.send(std::string(limit + 1, 'x'));
  CHECK(status_of(chunked.read_all()) == 413);
}

TEST_CASE("a client that sends a byte at a time is cut off, and others are served meanwhile", "[web][limits]") {
  Running running;
  Client slow(running.web->port());
  const auto start = std::chrono::steady_clock::now();
  bool open = true;
  while (open && std::chrono::steady_clock::now() - start < std::chrono::seconds(3)) {
    open = slow.send("G");
    slow.read("never", 50);
    open = open && !slow.closed();
    CHECK(status_of(running.ask(get("/api/v1/status"))) == 200);
  }
  CHECK(!open);
}

TEST_CASE("a connection too many is told so, and a place is free again later", "[web][limits]") {
  WebConfig config = quick();
  config.limits.connections = 2;
  Running running(config);
  {
    Client one(running.web->port()), two(running.web->port());
    one.send("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    two.send("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    one.read("}");
    two.read("}");
    CHECK(status_of(running.ask(get("/api/v1/status"))) == 503);
  }
  for (int i = 0; i < 50 && status_of(running.ask(get("/api/v1/status"))) != 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(status_of(running.ask(get("/api/v1/status"))) == 200);
}

TEST_CASE("a service that does not answer is a 504, and may answer after the server is gone", "[web][limits]") {
  Running running;
  CHECK(status_of(running.ask(get("/api/v1/slow"))) == 504);
}

TEST_CASE("an event stream resumes after Last-Event-ID and tells only its experiment", "[web][events]") {
  Running running;
  running.service.publish(1, R"({"n":1})");
  running.service.publish(2, R"({"n":2})");
  running.service.publish(1, R"({"n":3})");
  Client client(running.web->port());
  client.send("GET /api/v1/experiments/e1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 1\r\n\r\n");
  std::string text = client.read("{\"n\":3}\n\n");
  CHECK(text.find("Content-Type: text/event-stream") != std::string::npos);
  CHECK(text.find("id: 3\nevent: trial_evaluated\ndata: {\"n\":3}\n\n") != std::string::npos);
  CHECK(text.find("{\"n\":1}") == std::string::npos);
  CHECK(text.find("{\"n\":2}") == std::string::npos);
  running.service.publish(1, R"({"n":4})");
  text = client.read("{\"n\":4}\n\n");
  CHECK(text.find("id: 4\n") != std::string::npos);
  CHECK(client.read("\n:\n\n").find("\n:\n\n") != std::string::npos);  // the heartbeat
}

TEST_CASE("an event stream whose next records are gone says so, and goes on from what is kept", "[web][events]") {
  Running running;
  for (int n = 1; n <= 5; ++n) running.service.publish(1, "{\"n\":" + std::to_string(n) + "}");
  running.service.forget_before(4);
  Client client(running.web->port());
  client.send("GET /api/v1/experiments/e1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 1\r\n\r\n");
  const std::string text = client.read("{\"n\":5}\n\n");
  CHECK(text.find("id: 3\nevent: reset\ndata: {\"first\":4}\n\nid: 4\n") != std::string::npos);
  Client within(running.web->port());
  within.send("GET /api/v1/experiments/e1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 3\r\n\r\n");
  CHECK(within.read("{\"n\":5}\n\n").find("reset") == std::string::npos);
}

TEST_CASE("an event stream starts with what comes next unless told otherwise", "[web][events]") {
  Running running;
  running.service.publish(1, R"({"n":1})");
  Client fresh(running.web->port()), all(running.web->port());
  fresh.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  all.send("GET /api/v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(all.read("{\"n\":1}").find("{\"n\":1}") != std::string::npos);
  fresh.read("retry");
  running.service.publish(1, R"({"n":2})");
  const std::string text = fresh.read("{\"n\":2}");
  CHECK(text.find("{\"n\":2}") != std::string::npos);
  CHECK(text.find("{\"n\":1}") == std::string::npos);
  CHECK(status_of(running.ask(get("/api/v1/events", "Last-Event-ID: x\r\n"))) == 400);
  CHECK(status_of(running.ask(get("/api/v1/experiments/e9/events"))) == 404);
}

TEST_CASE("an event stream's client that takes nothing is dropped", "[web][events][limits]") {
  WebConfig config = quick();
  config.limits.streams = 1;
  Running running(config);
  Client slow(running.web->port());
  slow.send("GET /api/v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  slow.read("retry");
  CHECK(status_of(running.ask(get("/api/v1/events"))) == 503);
  const std::string big(512 << 10, 'y');
  for (int i = 0; i < 40; ++i) running.service.publish(1, big);
  int status = 503;
  Client next(running.web->port());
  for (int i = 0; i < 100 && status == 503; ++i) {
    Client again(running.web->port());
    again.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    status = status_of(again.read("\r\n"));
    if (status == 503) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  CHECK(status == 200);
}

TEST_CASE("the server stops at once with clients connected, and can be started again on its port", "[web]") {
  FakeService service;
  auto first = WebServer::start(quick(), service);
  REQUIRE(first.ok());
  const std::uint16_t port = (*first)->port();
  Client idle(port), stream(port), waiting(port);
  idle.send("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
  idle.read("}");
  stream.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  stream.read("retry");
  waiting.send(get("/api/v1/slow"));
  const auto start = std::chrono::steady_clock::now();
  (*first)->stop();
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(3));
  service.publish(1);
  WebConfig config = quick();
  config.port = port;
  CHECK(WebServer::start(config, service).ok());
}

TEST_CASE("a taken port is a conflict, and an address beyond loopback needs --insecure", "[web]") {
  Running running;
  FakeService service;
  WebConfig config = quick();
  config.port = running.web->port();
  CHECK(WebServer::start(config, service).status().code() == Code::kConflict);
  config.port = 0;
  config.address = "0.0.0.0";
  const Status refused = WebServer::start(config, service).status();
  CHECK(refused.code() == Code::kInvalid);
  CHECK(refused.message().find("--insecure") != std::string::npos);
  config.insecure = true;
  CHECK(WebServer::start(config, service).ok());
  config.address = "example";
  CHECK(WebServer::start(config, service).status().code() == Code::kInvalid);
}

}  // namespace
}  // namespace modelhop
