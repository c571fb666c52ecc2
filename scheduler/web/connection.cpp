#include "scheduler/web/connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "scheduler/api/exposition.h"
#include "scheduler/api/json_text.h"
#include "scheduler/web/target.h"

namespace modelhop::web {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Error = boost::system::error_code;
using std::chrono::milliseconds;

constexpr const char* kLinks =
    R"({"service":"modelhop","api":"/api/v1","links":{"status":"/api/v1/status","experiments":"/api/v1/experiments",)"
    R"("workers":"/api/v1/workers","datasets":"/api/v1/datasets","events":"/api/v1/events",)"
    R"("spec_schema":"/api/v1/schema/spec.json","metrics":"/metrics","health":"/healthz","ready":"/readyz"}})";

bool is_known_method(const std::string& method) {
  return method == "GET" || method == "HEAD" || method == "POST" || method == "PATCH" || method == "DELETE";
}

// The client sent something else than HTTP; not: it left, or was too slow.
bool is_not_http(const Error& error) {
  return error.category() == http::make_error_code(http::error::bad_method).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

class HttpConnection final : public Connection, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket)
      : shared_(std::move(shared)), stream_(std::move(socket)), answer_timer_(shared_->io) {}

  void start() override { wait_for_request(); }

  void refuse_busy() override {
    idle_ = false;
    refuse(503, "busy", "too many connections; try again");
  }

  void close() override {
    Error ignored;
    answer_timer_.cancel();
    stream_.socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
    stream_.socket().close(ignored);
    shared_->connections.erase(shared_from_this());
  }

  bool idle() const override { return idle_; }

 private:
  // Waits without a buffer for the first byte, so that a quiet client costs little; then the header has request_ms.
  void wait_for_request() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_->config.limits.header_bytes));
    parser_->body_limit(shared_->config.limits.body_bytes);
    idle_ = true;
    if (!shared_->open) return close();
    if (buffer_.size() > 0) return read_header();
    stream_.expires_after(milliseconds(shared_->config.limits.idle_ms));
    stream_.async_read_some(buffer_.prepare(1024), [self = shared_from_this()](Error error, std::size_t size) {
      if (error) return self->close();
      self->buffer_.commit(size);
      self->read_header();
    });
  }

  void read_header() {
    idle_ = false;
    stream_.expires_after(milliseconds(shared_->config.limits.request_ms));
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](Error error, std::size_t) { self->on_header(error); });
  }

  void on_header(const Error& error) {
    if (error == http::error::header_limit)
      return refuse(431, "header too large", "the request's header is over its limit");
    if (error == http::error::body_limit) return refuse_body();
    if (error && is_not_http(error)) return refuse(400, "bad request", "not HTTP: " + error.message());
    if (error) return close();
    const auto& head = parser_->get();
    keep_alive_ = head.keep_alive();
    if (parser_->content_length() && *parser_->content_length() > shared_->config.limits.body_bytes)
      return refuse_body();
    if (shared_->loopback && is_foreign(as_string(head[http::field::host]), as_string(head[http::field::origin]))) {
      return refuse(403, "forbidden",
                    "this address is for programs on this machine; the Host or Origin header names another");
    }
    if (!is_known_method(std::string(head.method_string()))) {
      return refuse(405, "method not allowed", "GET, HEAD, POST, PATCH and DELETE are what this API knows");
    }
    if (beast::iequals(head[http::field::expect], "100-continue")) {
      auto go_on = std::make_shared<http::response<http::empty_body>>(http::status::continue_, 11);
      http::async_write(stream_, *go_on, [self = shared_from_this(), go_on](Error failed, std::size_t) {
        failed ? self->close() : self->read_body();
      });
      return;
    }
    read_body();
  }

  void read_body() {
    stream_.expires_after(milliseconds(shared_->config.limits.request_ms));
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](Error error, std::size_t) {
      if (error == http::error::body_limit) return self->refuse_body();
      if (error) return self->close();
      self->dispatch();
    });
  }

  void refuse_body() {
    refuse(413, "content too large",
           "the body is over " + std::to_string(shared_->config.limits.body_bytes) + " bytes; a spec has at most " +
               std::to_string(kSpecBytesMax));
  }

  // Answers a request that was not read to its end; the connection cannot go on after it.
  void refuse(int status, const char* title, const std::string& detail) {
    keep_alive_ = false;
    respond(problem(status, title, detail));
  }

  static std::string as_string(beast::string_view text) { return {text.data(), text.size()}; }

  void dispatch() {
    auto& message = parser_->get();
    auto target = parse_target(as_string(message.target()));
    if (!target)
      return respond(problem(400, "bad request", "the target is no path with a query, or a key stands in it twice"));
    ApiRequest request{as_string(message.method_string()), target->path, std::move(target->query),
                       std::move(message.body()), as_string(message["Idempotency-Key"])};
    head_ = request.method == "HEAD";
    if (head_) request.method = "GET";
    if (request.idempotency_key.size() > kIdempotencyKeyBytesMax) {
      return respond(problem(400, "bad request",
                             "Idempotency-Key: at most " + std::to_string(kIdempotencyKeyBytesMax) + " bytes"));
    }
    if (!request.body.empty() && !is_json(as_string(message[http::field::content_type]))) {
      return respond(problem(415, "unsupported media type", "send the body with Content-Type: application/json"));
    }
    if (request.path == "/") {
      if (request.method != "GET") return respond(problem(405, "method not allowed", "only GET /"));
      return respond({200, "application/json", kLinks});
    }
    if (const auto experiment = events_path(request.path)) return open_events(*experiment, request);
    ask(std::move(request), [](HttpConnection& self, ApiResponse response) { self.respond(std::move(response)); });
  }

  // `then` runs on the web thread, once: with the service's answer, or with 504.
  void ask(ApiRequest request, const std::function<void(HttpConnection&, ApiResponse)>& then) {
    if (!shared_->open) return close();
    const auto turn = ++turn_;
    answer_timer_.expires_after(milliseconds(shared_->config.limits.answer_ms));
    answer_timer_.async_wait([self = shared_from_this(), turn, then](Error error) {
      if (error || turn != self->turn_) return;
      ++self->turn_;
      then(*self, problem(504, "no answer in time", "the scheduler is too busy; ask again"));
    });
    const bool metrics = request.path == "/metrics" || request.path == "/api/v1/metrics";
    // The service may answer after this connection, and even the server, is gone.
    std::weak_ptr<HttpConnection> weak = weak_from_this();
    auto shared = shared_;
    shared_->service.ask(std::move(request), [weak, shared, turn, metrics, then](ApiResponse response) {
      net::post(shared->io, [weak, turn, metrics, then, answer = std::move(response)]() mutable {
        const auto self = weak.lock();
        if (!self || turn != self->turn_) return;
        ++self->turn_;
        self->answer_timer_.cancel();
        if (metrics && answer.status == 200) answer.body += self->own_metrics();
        then(*self, std::move(answer));
      });
    });
  }

  std::string own_metrics() const {
    Exposition out;
    out.counter("modelhop_http_requests_total", "Responses of the HTTP API, by status code, since this start.");
    for (const auto& [code, count] : shared_->answered) out.sample({{"code", std::to_string(code)}}, count);
    return out.take();
  }

  // Asks first which experiment it is, or what the newest record is, and then hands the socket to the stream.
  void open_events(const std::string& experiment, const ApiRequest& request) {
    if (request.method != "GET" || head_)
      return respond(problem(405, "method not allowed", "only GET on an event stream"));
    std::optional<std::uint64_t> after;
    const std::string last = as_string(parser_->get()["Last-Event-ID"]);
    const auto given = request.query.find("after");
    const std::string from = !last.empty() ? last : given == request.query.end() ? "" : given->second;
    if (!from.empty()) {
      after = parse_u64(from);
      if (!after) return respond(problem(400, "bad request", "Last-Event-ID and after are a record's seq, a number"));
    }
    if (shared_->streams.size() >= shared_->config.limits.streams) {
      return respond(problem(503, "too many event streams",
                             "at most " + std::to_string(shared_->config.limits.streams) + " are open at a time"));
    }
    ApiRequest which{"GET", experiment.empty() ? "/api/v1/status" : "/api/v1/experiments/" + experiment, {}, "", ""};
    ask(std::move(which), [after](HttpConnection& self, ApiResponse answer) {
      if (answer.status != 200) return self.respond(std::move(answer));
      const auto json = nlohmann::json::parse(answer.body, nullptr, false);
      ExperimentId id;
      if (!json.is_object()) return self.respond(problem(500, "internal error", "the status is no JSON object"));
      if (json.contains("id")) parse(json.value("id", ""), id);
      self.become_stream(id, after.value_or(json.value("seq", std::uint64_t{0})));
    });
  }

  void become_stream(ExperimentId experiment, std::uint64_t after) {
    ++shared_->answered[200];
    auto events = make_event_stream(shared_, stream_.release_socket(), experiment, after);
    shared_->streams.insert(events);
    shared_->connections.erase(shared_from_this());
    events->start();
  }

  void respond(ApiResponse answer) {
    ++shared_->answered[answer.status];
    auto response = std::make_shared<http::response<http::string_body>>(static_cast<http::status>(answer.status), 11);
    response->set(http::field::content_type, answer.content_type);
    response->set(http::field::cache_control, "no-store");
    response->set("X-Content-Type-Options", "nosniff");
    if (answer.status == 503) response->set(http::field::retry_after, "1");
    response->keep_alive(keep_alive_ && shared_->open);
    response->body() = std::move(answer.body);
    response->prepare_payload();
    if (head_) response->body().clear();  // content_length stays, as for GET
    head_ = false;
    stream_.expires_after(milliseconds(shared_->config.limits.write_ms));
    http::async_write(stream_, *response, [self = shared_from_this(), response](Error error, std::size_t) {
      if (error || !response->keep_alive()) return self->linger();
      self->wait_for_request();
    });
  }

  // Closing with unread bytes would reset the connection and take the answer with it: read them first, for a moment.
  void linger() {
    Error ignored;
    stream_.socket().shutdown(net::ip::tcp::socket::shutdown_send, ignored);
    stream_.expires_after(milliseconds(1'000));
    drain(4 << 20);
  }
  void drain(std::size_t budget) {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(16 << 10),
                            [self = shared_from_this(), budget](Error error, std::size_t size) {
                              if (error || size >= budget) return self->close();
                              self->drain(budget - size);
                            });
  }

  const std::shared_ptr<Shared> shared_;
  beast::tcp_stream stream_;
  net::steady_timer answer_timer_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::uint64_t turn_{};
  bool keep_alive_{};
  bool head_{};
  bool idle_{true};
};

}  // namespace

std::shared_ptr<Connection> make_connection(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket) {
  return std::make_shared<HttpConnection>(std::move(shared), std::move(socket));
}

}  // namespace modelhop::web
