#include "common/client/http_client.h"

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <chrono>

namespace modelhop {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Error = boost::system::error_code;
using std::chrono::milliseconds;

std::string name(const ServerAddress& server) {
  const bool v6 = server.host.find(':') != std::string::npos;
  return "http://" + (v6 ? "[" + server.host + "]" : server.host) + ":" + server.port;
}

Status unreachable(const ServerAddress& server, const Error& error) {
  if (error == beast::error::timeout) return {Code::kTimeout, "no answer from " + name(server) + " in time"};
  return {Code::kUnreachable, "no scheduler at " + name(server) + ": " + error.message()};
}

// Runs one asynchronous step to its end; the stream's own timer bounds it.
struct Stepper {
  net::io_context io;
  beast::tcp_stream stream{io};
  Error error;

  bool run() {
    io.restart();
    io.run();
    return !error;
  }

  bool connect(const ServerAddress& server) {
    net::ip::tcp::resolver resolver(io);
    const auto found = resolver.resolve(server.host, server.port, error);
    if (error) return false;
    stream.expires_after(milliseconds(kConnectMs));
    stream.async_connect(found, [&](Error e, const net::ip::tcp::endpoint&) { error = e; });
    return run();
  }
  bool send(http::request<http::string_body>& request) {
    http::async_write(stream, request, [&](Error e, std::size_t) { error = e; });
    return run();
  }
};

http::request<http::string_body> build(const ServerAddress& server, const HttpRequest& from) {
  http::request<http::string_body> out;
  out.version(11);
  out.method_string(from.method);
  out.target(from.target);
  out.set(http::field::host, name(server).substr(7));
  out.set(http::field::user_agent, "modelhop");
  out.set(http::field::connection, "close");
  for (const auto& [key, value] : from.headers) out.set(key, value);
  if (!from.body.empty()) out.set(http::field::content_type, "application/json");
  out.body() = from.body;
  out.prepare_payload();
  return out;
}

class Reader final : public SseReader {
 public:
  explicit Reader(ServerAddress server) : server_(std::move(server)) {}

  Status start(const std::string& target, const std::string& last_id) {
    HttpRequest get{"GET", target, "", {{"Accept", "text/event-stream"}}};
    if (!last_id.empty()) get.headers["Last-Event-ID"] = last_id;
    auto request = build(server_, get);
    request.version(10);  // so that no proxy cuts the stream into chunks
    if (!step_.connect(server_)) return unreachable(server_, step_.error);
    step_.stream.expires_after(milliseconds(kAskMs));
    if (!step_.send(request)) return unreachable(server_, step_.error);
    parser_.body_limit(boost::none);
    http::async_read_header(step_.stream, buffer_, parser_, [this](Error e, std::size_t) { step_.error = e; });
    if (!step_.run()) return unreachable(server_, step_.error);
    if (parser_.get().result_int() == 404) return not_found("no event stream at " + target);
    if (parser_.get().result_int() != 200) {
      return {Code::kConflict, "no event stream: HTTP " + std::to_string(parser_.get().result_int())};
    }
    const auto early = buffer_.data();  // what came with the header
    if (!events_.add({static_cast<const char*>(early.data()), early.size()})) return too_long();
    step_.stream.expires_never();
    read();
    return {};
  }

  Result<std::optional<SseEvent>> next(std::uint32_t timeout_ms) override {
    const auto deadline = std::chrono::steady_clock::now() + milliseconds(timeout_ms);
    for (;;) {
      if (auto event = events_.next()) return std::optional<SseEvent>(std::move(event));
      if (failed_) return *failed_;
      step_.io.restart();
      if (step_.io.run_one_until(deadline) == 0) return std::optional<SseEvent>{};
    }
  }

 private:
  static Status too_long() { return corrupt("an event of the stream is longer than its limit"); }

  void read() {
    step_.stream.async_read_some(net::buffer(chunk_), [this](Error e, std::size_t size) {
      if (e) {
        failed_ = Status{Code::kUnreachable, "the event stream of " + name(server_) + " ended"};
      } else if (!events_.add({chunk_.data(), size})) {
        failed_ = too_long();
      } else {
        read();
      }
    });
  }

  ServerAddress server_;
  Stepper step_;
  beast::flat_buffer buffer_;
  http::response_parser<http::empty_body> parser_;
  SseParser events_;
  std::array<char, 16 << 10> chunk_{};
  std::optional<Status> failed_;
};

}  // namespace

Result<ServerAddress> parse_server(const std::string& url) {
  std::string_view text = url;
  const auto bad = [&](const std::string& why) {
    return invalid("server address \"" + url + "\": " + why + "; write it like http://127.0.0.1:8080");
  };
  if (text.starts_with("https://")) return bad("https is not spoken here");
  if (text.starts_with("http://")) text.remove_prefix(7);
  while (text.ends_with('/')) text.remove_suffix(1);
  ServerAddress out{"", "8080"};
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return bad("a [ without its ]");
    out.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
  } else {
    out.host = text.substr(0, text.find(':'));
    text.remove_prefix(out.host.size());
  }
  if (text.starts_with(':')) {
    out.port = text.substr(1);
    if (out.port.empty() || out.port.size() > 5 || out.port.find_first_not_of("0123456789") != std::string::npos ||
        std::stoi(out.port) < 1 || std::stoi(out.port) > 65535) {
      return bad("the port must be a number from 1 to 65535");
    }
  } else if (!text.empty()) {
    return bad("there is more after the host than a port");
  }
  const auto legal = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_' || c == ':';
  };
  if (out.host.empty() || !std::all_of(out.host.begin(), out.host.end(), legal)) return bad("no host in it");
  return out;
}

HttpClient::HttpClient(ServerAddress server) : server_(std::move(server)) {}
HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::ask(const HttpRequest& from, std::uint32_t timeout_ms) {
  Stepper step;
  auto request = build(server_, from);
  if (!step.connect(server_)) return unreachable(server_, step.error);
  step.stream.expires_after(milliseconds(timeout_ms));
  // A server that refuses a body answers before it has read it: the answer counts, not the broken pipe.
  const bool sent = step.send(request);
  const Error sending = step.error;
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kResponseBytesMax);
  step.error = {};
  http::async_read(step.stream, buffer, parser, [&](Error e, std::size_t) { step.error = e; });
  if (!step.run()) return unreachable(server_, sent ? step.error : sending);
  auto& response = parser.get();
  return HttpResponse{static_cast<int>(response.result_int()), std::string(response[http::field::content_type]),
                      std::move(response.body())};
}

Result<std::unique_ptr<SseReader>> SseReader::open(const ServerAddress& server, const std::string& target,
                                                   const std::string& last_id) {
  auto reader = std::make_unique<Reader>(server);
  RETURN_IF_ERROR(reader->start(target, last_id));
  return std::unique_ptr<SseReader>(std::move(reader));
}

std::string percent_encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace modelhop
