// An HttpServer over a few routes made for tests: the mechanics without an engine.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "server/http_server.h"
#include "server/raw_client.h"

namespace heed::server {

class TempDirectory {
 public:
  TempDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "heed_test_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Handlers wait here until the test opens it.
class Gate {
 public:
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  // Until `count` handlers have come to the gate.
  void Await(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int waiting_ = 0;
};

struct TestServer {
  static ServerConfig SmallLimits() {
    ServerConfig config;
    config.port = 0;
    config.threads = 2;
    config.max_connections = 200;
    config.max_target_bytes = 256;
    config.max_header_bytes = 2'048;
    config.max_body_bytes = 10'000;
    config.max_decompressed_bytes = 50'000;
    config.shutdown_timeout_ms = 3'000;
    return config;
  }

  explicit TestServer(ServerConfig config = SmallLimits())
      : keys(KeyStore::Open(directory.path() + "/keys.json").value()) {
    dispatcher = std::make_unique<Dispatcher>(Router(Routes()), config, 0, *keys, metrics);
    auto started = HttpServer::Start(*dispatcher, metrics);
    if (!started.ok()) throw std::runtime_error(started.status().ToString());
    server = std::move(started).value();
  }
  ~TestServer() {
    gate.Open();
    server->Stop();
    for (std::thread& thread : answering) thread.join();
  }

  std::vector<Route> Routes() {
    const auto text = [](std::string body) {
      Response response;
      response.body = std::move(body);
      return response;
    };
    std::vector<Route> routes;
    const auto add = [&](Method method, const char* pattern, Body body, Handler handler) -> Route& {
      Route route;
      route.method = method;
      route.pattern = pattern;
      route.scope = "recommend";
      route.body = body;
      route.handler = std::move(handler);
      routes.push_back(std::move(route));
      return routes.back();
    };
    using Shared = std::shared_ptr<const Request>;
    add(Method::kGet, "/healthz", Body::kNone, [text](const Shared&, const Reply& reply) {
      reply.Send(text("ok"));
    }).scope = "";
    add(Method::kGet, "/echo/{name}", Body::kNone, [text](const Shared& r, const Reply& reply) {
      const std::string* suffix = r->Query("suffix");
      reply.Send(text(r->params[0] + (suffix != nullptr ? *suffix : "")));
    }).query = {"suffix"};
    add(Method::kPost, "/echo", Body::kJsonOrLines,
        [text](const Shared& r, const Reply& reply) { reply.Send(text(r->body)); });
    add(Method::kPost, "/json", Body::kJson,
        [text](const Shared& r, const Reply& reply) { reply.Send(text(r->body)); });
    add(Method::kDelete, "/echo/{name}", Body::kNone, [](const Shared&, const Reply& reply) {
      Response response;
      response.status = 204;
      reply.Send(std::move(response));
    });
    // Answers from a thread of its own, twice: the second one must not count.
    add(Method::kGet, "/later", Body::kNone, [this, text](const Shared&, const Reply& reply) {
      const std::lock_guard lock(mutex);
      answering.emplace_back([this, reply, text] {
        gate.Pass();
        reply.Send(text("late"));
        reply.Send(text("too late"));
      });
    });
    add(Method::kGet, "/worker", Body::kNone, [this, text](const Shared&, const Reply& reply) {
      gate.Pass();
      reply.Send(text("worked"));
    }).lane = Lane::kDisk;
    Route& rank = add(Method::kPost, "/rank", Body::kJson, {});
    rank.lane = Lane::kRank;
    rank.queue_handler = [this, text](const TakeRequest& take) {
      gate.Pass();
      if (const auto queued = take()) queued->reply.Send(text(queued->request->body));
    };
    add(Method::kPost, "/train", Body::kNone, [this, text](const Shared&, const Reply& reply) {
      gate.Pass();
      reply.Send(text("trained"));
    }).lane = Lane::kTrain;
    add(Method::kGet, "/throw", Body::kNone,
        [](const Shared&, const Reply&) { throw std::runtime_error("secret detail"); });
    add(Method::kGet, "/drop", Body::kNone, [](const Shared&, const Reply&) {});
    add(Method::kGet, "/big", Body::kNone, [text](const Shared&, const Reply& reply) {
      reply.Send(text(std::string(20'000'000, 'x')));
    });
    return routes;
  }

  uint16_t port() const { return server->port(); }
  // One request on a connection of its own.
  RawResponse Do(const std::string& request) const {
    RawClient client(port());
    client.Send(request);
    return client.Read().value_or(RawResponse{});
  }
  bool Healthy() const {
    return Do("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200;
  }

  TempDirectory directory;
  Metrics metrics;
  std::unique_ptr<KeyStore> keys;
  Gate gate;
  std::mutex mutex;
  std::vector<std::thread> answering;  // guarded by mutex
  std::unique_ptr<Dispatcher> dispatcher;
  std::unique_ptr<HttpServer> server;
};

inline std::string Get(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
}
inline std::string Post(const std::string& target, const std::string& body,
                        const std::string& headers = "Content-Type: application/json\r\n") {
  return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace heed::server
