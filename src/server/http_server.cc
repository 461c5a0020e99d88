#include "server/http_server.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "server/connection.h"

namespace heed::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kTick{50};         // how exact time-outs are
constexpr int64_t kRefusedAtOnce = 64;    // told "too many" politely; beyond, closed without a word
constexpr milliseconds kAbortWait{2000};  // for handlers of cut connections

// PEM files into a context that speaks TLS 1.2 and later.
Result<std::unique_ptr<asio::ssl::context>> MakeTls(const ServerConfig& config) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code error;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                           asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                           asio::ssl::context::no_tlsv1_1,
                       error);
  if (!error) context->use_certificate_chain_file(config.tls_certificate, error);
  if (error)
    return InvalidArgument("cannot use " + config.tls_certificate + ": " + error.message(),
                           "server.tls_certificate");
  context->use_private_key_file(config.tls_key, asio::ssl::context::pem, error);
  if (error)
    return InvalidArgument("cannot use " + config.tls_key + ": " + error.message(),
                           "server.tls_key");
  return context;
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(Dispatcher& dispatcher) : state(dispatcher) {}

  struct Loop {
    std::shared_ptr<IoThread> io = std::make_shared<IoThread>();
    asio::executor_work_guard<asio::io_context::executor_type> work{io->context.get_executor()};
    asio::steady_timer ticker{io->context};
    bool ended = false;  // used on the loop's thread
    std::thread thread;
  };

  asio::awaitable<void> Accept();
  asio::awaitable<void> KeepTime(Loop& loop);
  // Calls `visit` for every connection, each on its own thread.
  template <typename Visit>
  void ForEachConnection(Visit visit);
  bool WaitUntilClosed(milliseconds limit) const;

  ServerState state;
  std::vector<std::unique_ptr<Loop>> loops;
  std::unique_ptr<tcp::acceptor> acceptor;  // on the first loop
  uint16_t port = 0;
  bool stopped = false;
};

asio::awaitable<void> HttpServer::Impl::Accept() {
  const int64_t limit = state.dispatcher.config().max_connections;
  asio::steady_timer pause(loops.front()->io->context);
  for (size_t next = 0; !state.draining; next = (next + 1) % loops.size()) {
    const std::shared_ptr<IoThread> io = loops[next]->io;
    tcp::socket socket(io->context);
    auto [error] = co_await acceptor->async_accept(socket, kTuple);
    if (state.draining) break;
    if (error) {  // no file descriptors left, or the client went: neither ends the server
      LogWarn("accept: {}", error.message());
      pause.expires_after(kTick);
      co_await pause.async_wait(kTuple);
      continue;
    }
    const int64_t open = state.open.fetch_add(1) + 1;
    if (open > limit + kRefusedAtOnce) {
      state.open.fetch_sub(1);
      continue;  // closed by its destructor
    }
    asio::post(io->context, [this, io, refuse = open > limit,
                             taken = std::make_shared<tcp::socket>(std::move(socket))] {
      StartConnection(state, io, std::move(*taken), refuse);
    });
  }
}

asio::awaitable<void> HttpServer::Impl::KeepTime(Loop& loop) {
  while (!loop.ended) {
    loop.ticker.expires_after(kTick);
    co_await loop.ticker.async_wait(kTuple);
    const int64_t now_us = Clock::System().steady_us();
    for (Connection* connection : loop.io->connections) connection->Tick(now_us);
  }
}

template <typename Visit>
void HttpServer::Impl::ForEachConnection(Visit visit) {
  for (const auto& loop : loops) {
    asio::post(loop->io->context, [io = loop->io, visit] {
      for (Connection* connection : io->connections) visit(*connection);
    });
  }
}

bool HttpServer::Impl::WaitUntilClosed(milliseconds limit) const {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (state.open > 0) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { Stop(); }

uint16_t HttpServer::port() const { return impl_->port; }

Result<std::unique_ptr<HttpServer>> HttpServer::Start(Dispatcher& dispatcher, Metrics& metrics) {
  const ServerConfig& config = dispatcher.config();
  auto impl = std::make_unique<Impl>(dispatcher);
  if (!config.tls_certificate.empty()) {
    HEED_ASSIGN_OR_RETURN(impl->state.tls, MakeTls(config));
  }
  error_code error;
  const auto address = asio::ip::make_address(config.address, error);
  if (error)
    return InvalidArgument("'" + config.address + "' is not an IP address", "server.address");
  const size_t count = config.threads > 0 ? static_cast<size_t>(config.threads)
                                          : std::max(1u, std::thread::hardware_concurrency());
  for (size_t i = 0; i < count; ++i) impl->loops.push_back(std::make_unique<Impl::Loop>());

  const tcp::endpoint endpoint(address, static_cast<uint16_t>(config.port));
  impl->acceptor = std::make_unique<tcp::acceptor>(impl->loops.front()->io->context);
  tcp::acceptor& acceptor = *impl->acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) impl->port = acceptor.local_endpoint(error).port();
  if (error)
    return IoError("cannot listen on " + config.address + ":" + std::to_string(config.port) + ": " +
                   error.message());

  Impl& running = *impl;
  running.state.connections = metrics.AddGauge("heed_http_connections", "Open connections");
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(impl)));
  asio::co_spawn(running.loops.front()->io->context, running.Accept(), asio::detached);
  for (const auto& loop : running.loops) {
    asio::co_spawn(loop->io->context, running.KeepTime(*loop), asio::detached);
    loop->thread = std::thread([io = loop->io] { io->context.run(); });
  }
  return server;
}

void HttpServer::Stop() {
  if (std::exchange(impl_->stopped, true)) return;
  impl_->state.draining = true;
  asio::post(impl_->loops.front()->io->context, [this] {
    error_code ignored;
    impl_->acceptor->close(ignored);
  });
  impl_->ForEachConnection([](Connection& connection) { connection.Drain(); });
  const milliseconds limit(impl_->state.dispatcher.config().shutdown_timeout_ms);
  if (!impl_->WaitUntilClosed(limit)) {
    LogWarn("shutting down: {} connections are cut after {} ms", impl_->state.open.load(),
            limit.count());
    impl_->ForEachConnection([](Connection& connection) { connection.Abort(); });
    if (!impl_->WaitUntilClosed(kAbortWait)) LogError("connections outlive the server's stop");
  }
  for (const auto& loop : impl_->loops) {
    asio::post(loop->io->context, [&running = *loop] {
      running.ended = true;
      running.ticker.cancel();
    });
    loop->work.reset();
  }
  for (const auto& loop : impl_->loops) loop->thread.join();
}

}  // namespace heed::server
