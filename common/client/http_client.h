#pragma once
// HttpClient: asks one scheduler, with time-outs. kUnreachable names the address and what to do.
// Threads: one call at a time. TLS is not spoken: only http:// addresses are taken.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace modelhop {

inline constexpr std::uint64_t kResponseBytesMax = 1ull << 30;  // an export of a million trials is about 300 MB
inline constexpr std::size_t kSseEventBytesMax = 8 << 20;       // a record holds a spec twice, escaped
inline constexpr std::uint32_t kAskMs = 30'000;
inline constexpr std::uint32_t kConnectMs = 5'000;

struct ServerAddress {
  std::string host;
  std::string port;
};
// "http://host:port", "http://[::1]:8080", "host:port", "host" (port 8080). kInvalid: nothing of that form.
Result<ServerAddress> parse_server(const std::string& url);

struct HttpRequest {
  std::string method{"GET"};
  std::string target;  // path and query, percent-encoded
  std::string body;    // JSON, where there is one
  std::map<std::string, std::string> headers;
};
struct HttpResponse {
  int status{};
  std::string content_type, body;
};

class HttpClient {
 public:
  explicit HttpClient(ServerAddress server);
  ~HttpClient();
  // One connection a call. kUnreachable: nobody listens; kTimeout: no answer in time.
  Result<HttpResponse> ask(const HttpRequest& request, std::uint32_t timeout_ms = kAskMs);

 private:
  ServerAddress server_;
};

struct SseEvent {
  std::string id, type, data;
};

// SseParser: bytes to events, by the HTML standard's rules. Pure. Comments (heartbeats) yield nothing.
class SseParser {
 public:
  // False: an event is longer than kSseEventBytesMax; the stream is then of no use.
  bool add(std::string_view bytes);
  std::optional<SseEvent> next();

 private:
  void take_line(std::string_view line);
  std::string rest_;
  SseEvent open_;
  bool any_{};
  std::string last_id_;
  std::vector<SseEvent> ready_;
  std::size_t given_{};
};

// SseReader: one open event stream.
class SseReader {
 public:
  // `target`: path and query. `last_id`: go on after this one; empty: as the query says.
  static Result<std::unique_ptr<SseReader>> open(const ServerAddress& server, const std::string& target,
                                                 const std::string& last_id);
  virtual ~SseReader() = default;
  // The next event; none within `timeout_ms`: an empty optional. kUnreachable: the stream ended; open it again.
  virtual Result<std::optional<SseEvent>> next(std::uint32_t timeout_ms) = 0;
};

// For path parts and query values: all but unreserved characters as %XX.
std::string percent_encode(std::string_view text);

}  // namespace modelhop
