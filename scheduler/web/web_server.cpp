#include "scheduler/web/web_server.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>

#include "common/base/thread_name.h"
#include "scheduler/web/connection.h"

namespace modelhop {
namespace {

namespace net = boost::asio;
using Error = boost::system::error_code;
using net::ip::tcp;

// So many clients beyond the limit are told so; further ones are only cut off.
constexpr std::size_t kRefusedAtOnce = 32;

class BeastServer final : public WebServer {
 public:
  BeastServer(const WebConfig& config, Service& service)
      : shared_(std::make_shared<web::Shared>(config, service)), acceptor_(shared_->io), retry_(shared_->io) {}

  ~BeastServer() override { stop(); }

  Status listen() {
    const WebConfig& config = shared_->config;
    Error error;
    const auto address = net::ip::make_address(config.address, error);
    if (error) return invalid("HTTP address \"" + config.address + "\" is no IP address; write it like 127.0.0.1");
    shared_->loopback = address.is_loopback();
    if (!shared_->loopback && !config.insecure) {
      return invalid(
          "HTTP address " + config.address +
          " can be reached from other machines, and this version has no keys to tell clients apart: anyone who "
          "reaches it could start and cancel experiments. Listen on 127.0.0.1 (an SSH tunnel reaches it), or "
          "accept that with --insecure");
    }
    const tcp::endpoint endpoint(address, config.port);
    const auto failed = [&] {
      const std::string what = config.address + ":" + std::to_string(config.port) + ": " + error.message();
      return error == net::error::address_in_use ? conflict("HTTP port is taken: " + what)
                                                 : environment("HTTP: " + what);
    };
    acceptor_.open(endpoint.protocol(), error);
    if (error) return failed();
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor_.bind(endpoint, error);
    if (error) return failed();
    acceptor_.listen(net::socket_base::max_listen_connections, error);
    if (error) return failed();
    port_ = acceptor_.local_endpoint(error).port();
    if (error) return failed();
    accept();
    watch_ = shared_->service.watch([this](std::uint64_t) { on_durable(); });
    thread_ = std::thread([this] {
      name_thread("web");
      shared_->io.run();
    });
    return {};
  }

  std::uint16_t port() const override { return port_; }

  void stop() override {
    if (!thread_.joinable()) return;
    shared_->service.unwatch(watch_);
    net::post(shared_->io, [this] { close_all(); });
    thread_.join();
    // What did not end by itself is cut off; its handlers run once more and let go of `shared_`.
    const auto connections = shared_->connections;
    for (const auto& connection : connections) connection->close();
    shared_->io.restart();
    shared_->io.poll();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](Error error, tcp::socket socket) {
      if (!shared_->open) return;
      if (error) {  // out of descriptors, most likely: do not spin
        retry_.expires_after(std::chrono::milliseconds(100));
        retry_.async_wait([this](Error cancelled) {
          if (!cancelled) accept();
        });
        return;
      }
      const std::size_t open = shared_->connections.size() + shared_->streams.size();
      const std::size_t limit = shared_->config.limits.connections;
      if (open < limit + kRefusedAtOnce) {
        auto connection = web::make_connection(shared_, std::move(socket));
        shared_->connections.insert(connection);
        open < limit ? connection->start() : connection->refuse_busy();
      }
      accept();
    });
  }

  // From a thread of the service. However many commits come, at most one call waits.
  void on_durable() {
    if (posted_.exchange(true)) return;
    net::post(shared_->io, [this] {
      posted_ = false;
      const auto streams = shared_->streams;  // one that fails leaves the set
      for (const auto& stream : streams) stream->on_durable();
    });
  }

  void close_all() {
    shared_->open = false;
    Error ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    const auto streams = shared_->streams;
    for (const auto& stream : streams) stream->close();
    const auto connections = shared_->connections;
    for (const auto& connection : connections) {
      if (connection->idle()) connection->close();
    }
    retry_.expires_after(std::chrono::seconds(1));
    retry_.async_wait([this](Error) { shared_->io.stop(); });
    stop_when_done();
  }

  void stop_when_done() {
    if (shared_->connections.empty()) return shared_->io.stop();
    auto timer = std::make_shared<net::steady_timer>(shared_->io, std::chrono::milliseconds(10));
    timer->async_wait([this, timer](Error) { stop_when_done(); });
  }

  const std::shared_ptr<web::Shared> shared_;  // the service's late answers hold it, too
  tcp::acceptor acceptor_;
  net::steady_timer retry_;
  std::thread thread_;
  std::atomic<bool> posted_{false};
  std::uint64_t watch_{};
  std::uint16_t port_{};
};

}  // namespace

Result<std::unique_ptr<WebServer>> WebServer::start(const WebConfig& config, Service& service) {
  auto server = std::make_unique<BeastServer>(config, service);
  RETURN_IF_ERROR(server->listen());
  return std::unique_ptr<WebServer>(std::move(server));
}

}  // namespace modelhop
