#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>

#include "scheduler/web/connection.h"

namespace modelhop::web {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
using Error = boost::system::error_code;
using std::chrono::milliseconds;

constexpr std::size_t kRecordsAtOnce = 64;

constexpr const char* kHeader =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Content-Type-Options: "
    "nosniff\r\n"
    "X-Accel-Buffering: no\r\nConnection: close\r\n\r\nretry: 2000\n\n";

class Events final : public EventStream, public std::enable_shared_from_this<Events> {
 public:
  Events(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, ExperimentId experiment, std::uint64_t after)
      : shared_(std::move(shared)),
        stream_(std::move(socket)),
        heartbeat_(shared_->io),
        experiment_(experiment),
        last_(after) {}

  void start() override {
    watch_for_close();
    out_ = kHeader;
    write();
  }

  void on_durable() override {
    more_ = true;
    if (!writing_) pump();
  }

  void close() override {
    if (closed_) return;
    closed_ = true;
    Error ignored;
    heartbeat_.cancel();
    stream_.socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
    stream_.socket().close(ignored);
    shared_->streams.erase(shared_from_this());
  }

 private:
  // The client has nothing to say; a read only ends when it leaves.
  void watch_for_close() {
    stream_.expires_never();
    stream_.async_read_some(net::buffer(ignored_), [self = shared_from_this()](Error error, std::size_t) {
      error ? self->close() : self->watch_for_close();
    });
  }

  // Reads records only when the last ones have left, so a slow client costs one buffer.
  void pump() {
    if (closed_ || !shared_->open) return close();
    more_ = false;
    // What the client would have to read next is gone: it asks for the present state, and goes on from what is kept.
    if (const std::uint64_t first = shared_->service.gone_before(last_, experiment_); first != 0) {
      last_ = first - 1;
      out_ += "id: " + std::to_string(last_) + "\nevent: reset\ndata: {\"first\":" + std::to_string(first) + "}\n\n";
    }
    for (const RecordLine& line : shared_->service.records(last_, experiment_, kRecordsAtOnce)) {
      if (!out_.empty() && out_.size() + line.json.size() > shared_->config.limits.stream_buffer_bytes) break;
      out_ += "id: " + std::to_string(line.seq) + "\nevent: " + line.type + "\ndata: " + line.json + "\n\n";
      last_ = line.seq;
    }
    out_.empty() ? wait() : write();
  }

  void write() {
    writing_ = true;
    heartbeat_.cancel();
    stream_.expires_after(milliseconds(shared_->config.limits.write_ms));  // the write's; the read keeps its own
    net::async_write(stream_, net::buffer(out_), [self = shared_from_this()](Error error, std::size_t) {
      self->writing_ = false;
      self->out_.clear();
      if (error) return self->close();
      self->pump();
    });
  }

  void wait() {
    if (more_) return pump();
    heartbeat_.expires_after(milliseconds(shared_->config.limits.heartbeat_ms));
    heartbeat_.async_wait([self = shared_from_this()](Error error) {
      if (error || self->closed_ || self->writing_) return;
      self->out_ = ":\n\n";
      self->write();
    });
  }

  const std::shared_ptr<Shared> shared_;
  beast::tcp_stream stream_;
  net::steady_timer heartbeat_;
  const ExperimentId experiment_;
  std::uint64_t last_;
  std::string out_;
  char ignored_[256]{};
  bool writing_{}, more_{}, closed_{};
};

}  // namespace

std::shared_ptr<EventStream> make_event_stream(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket,
                                               ExperimentId experiment, std::uint64_t after) {
  return std::make_shared<Events>(std::move(shared), std::move(socket), experiment, after);
}

}  // namespace modelhop::web
