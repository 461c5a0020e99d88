#include "server/server.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"
#include "server/api.h"
#include "server/dispatcher.h"
#include "server/http_server.h"
#include "server/keys.h"

namespace heed::server {
namespace {

constexpr std::chrono::seconds kKeyRefresh{1};

bool IsLoopback(const std::string& address) {
  return address == "::1" || address == "localhost" || address.starts_with("127.");
}

}  // namespace

// In the order of construction; destruction stops the listener first, then the key watch.
struct Server::Impl {
  Impl(Engine& engine, const Config& config_in, std::unique_ptr<KeyStore> keys_in)
      : config(config_in),
        keys(std::move(keys_in)),
        api(engine, config.server, metrics),
        dispatcher(Router(MakeRoutes(api)), config.server, config.log.access_every, *keys,
                   metrics) {}

  ~Impl() {
    api.draining = true;
    if (http) http->Stop();
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    if (watcher.joinable()) watcher.join();
  }

  // Keys made or revoked by `heed keys` while the server runs take effect within a second.
  void WatchKeys() {
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, kKeyRefresh, [this] { return stopping; })) {
      const Status refreshed = keys->Refresh();
      if (!refreshed.ok()) LogError("API keys: {}", refreshed.ToString());
    }
  }

  const Config config;
  Metrics metrics;
  const std::unique_ptr<KeyStore> keys;
  Api api;
  Dispatcher dispatcher;
  std::unique_ptr<HttpServer> http;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;  // guarded by mutex
  std::thread watcher;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::Start(Engine& engine, const Config& config) {
  HEED_ASSIGN_OR_RETURN(std::unique_ptr<KeyStore> keys,
                        KeyStore::Open(config.engine.directory + "/keys.json"));
  if (!IsLoopback(config.server.address) && keys->empty()) {
    return InvalidArgument("listening on " + config.server.address +
                               " needs at least one API key: heed keys create --data " +
                               config.engine.directory,
                           "server.address");
  }
  if (!IsLoopback(config.server.address) && config.server.tls_certificate.empty()) {
    LogWarn("listening on {} without TLS: API keys travel in the clear", config.server.address);
  }
  auto impl = std::make_unique<Impl>(engine, config, std::move(keys));
  HEED_ASSIGN_OR_RETURN(impl->http, HttpServer::Start(impl->dispatcher, impl->metrics));
  Impl* raw = impl.get();
  impl->watcher = std::thread([raw] { raw->WatchKeys(); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

uint16_t Server::port() const { return impl_->http->port(); }

std::string Server::url() const {
  const ServerConfig& config = impl_->config.server;
  const bool v6 = config.address.find(':') != std::string::npos;
  return std::string(config.tls_certificate.empty() ? "http://" : "https://") +
         (v6 ? "[" + config.address + "]" : config.address) + ":" + std::to_string(port());
}

}  // namespace heed::server
