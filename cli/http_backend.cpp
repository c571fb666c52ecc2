#include "cli/backend.h"
#include "common/client/http_client.h"

namespace modelhop::cli {
namespace {

class HttpBackend final : public Backend {
 public:
  HttpBackend(const ServerAddress& server, std::string url) : server_(server), url_(std::move(url)), client_(server) {}

  Result<ApiResponse> ask(const ApiRequest& request) override {
    HttpRequest out{request.method, request.path, request.body, {}};
    char between = '?';
    for (const auto& [key, value] : request.query) {
      out.target += between + percent_encode(key) + "=" + percent_encode(value);
      between = '&';
    }
    if (!request.idempotency_key.empty()) out.headers["Idempotency-Key"] = request.idempotency_key;
    auto response = client_.ask(out);
    if (!response.ok()) return hint(response.status());
    return ApiResponse{response->status, response->content_type, std::move(response->body)};
  }

  Result<std::vector<RecordLine>> follow(ExperimentId experiment, std::uint64_t after,
                                         std::uint32_t timeout_ms) override {
    if (!stream_ || experiment != streamed_ || after != last_) {
      auto opened =
          SseReader::open(server_, "/api/v1/experiments/" + to_string(experiment) + "/events", std::to_string(after));
      if (!opened.ok()) return hint(opened.status());
      stream_ = std::move(*opened);
      streamed_ = experiment;
      last_ = after;
    }
    std::vector<RecordLine> out;
    while (out.size() < kLinesAtOnce) {
      auto event = stream_->next(out.empty() ? timeout_ms : 0);
      if (!event.ok()) {
        stream_.reset();  // opened again at the next call, after the last record that was seen
        if (out.empty()) return event.status();
        break;
      }
      if (!event->has_value()) break;
      RecordLine line;
      line.seq = std::strtoull((*event)->id.c_str(), nullptr, 10);
      line.experiment = experiment;
      line.type = (*event)->type;
      line.json = std::move((*event)->data);
      last_ = line.seq;
      out.push_back(std::move(line));
    }
    return out;
  }

  bool live() const override { return true; }
  std::string describe() const override { return url_; }

 private:
  static constexpr std::size_t kLinesAtOnce = 256;

  static Status hint(const Status& status) {
    if (status.code() != Code::kUnreachable) return status;
    return {status.code(),
            status.message() +
                "; start one with `modelhop scheduler`, name another with --server, or read a stopped one's "
                "directory with --state-dir"};
  }

  const ServerAddress server_;
  const std::string url_;
  HttpClient client_;
  std::unique_ptr<SseReader> stream_;
  ExperimentId streamed_;
  std::uint64_t last_{};
};

}  // namespace

Result<std::unique_ptr<Backend>> open_http(const std::string& server) {
  ASSIGN_OR_RETURN(ServerAddress address, parse_server(server));
  return std::unique_ptr<Backend>(std::make_unique<HttpBackend>(std::move(address), server));
}

}  // namespace modelhop::cli
