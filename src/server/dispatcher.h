// From a request head to an admitted request, from a body to a handler, from a response to bytes.
// Everything HTTP means for us and nothing about sockets, so that it can be tested and fuzzed alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "server/config.h"
#include "server/http.h"
#include "server/keys.h"
#include "server/router.h"

namespace heed::server {

// Thread-safe.
class Dispatcher {
 public:
  // `keys` and `metrics` must outlive it. `access_every`: LogConfig.
  Dispatcher(Router router, const ServerConfig& config, int64_t access_every, const KeyStore& keys,
             Metrics& metrics);
  // Runs what waits for worker threads, and waits for it.
  ~Dispatcher();

  struct Admission {
    std::shared_ptr<Request> request;  // always there; without a route when none was found
    std::optional<Response> refusal;   // answer this instead of reading the body
  };
  // All that can be known before the body: version, host, path, method, key and scope, query,
  // lengths and types.
  Admission Admit(RequestHead head) const;
  // A request whose head could not even be read: `http_status` with `detail`.
  Admission Broken(int http_status, std::string detail) const;

  // Unpacks the body and hands the request to its handler, on the thread its route asks for; 503
  // when that has no place left. An exception in the handler is a 500.
  void Handle(const std::shared_ptr<Request>& request, const Reply& reply);

  struct Wire {
    std::string head, body;  // to be sent one after the other
  };
  // Compresses where asked and worth it, counts, and writes the access line.
  Wire Finish(const Request& request, Response response, bool keep_alive) const;
  // The last byte of an answer with this ready_us has been taken by the operating system.
  void Sent(int64_t ready_us) const;

  const ServerConfig& config() const { return config_; }

 private:
  struct Impl;
  void Run(const std::shared_ptr<Request>& request, const Reply& reply) const;
  void RunQueued(QueuedRequest first, const TakeRequest& more) const;
  // Replaces a compressed body by what it says.
  Status Unpack(Request& request) const;
  Response Shed(const Request& request) const;
  std::optional<Response> Check(Request& request) const;
  std::optional<Response> CheckCaller(Request& request) const;
  std::optional<Response> CheckQuery(Request& request, std::string_view query) const;
  std::optional<Response> CheckBody(const Request& request) const;

  const Router router_;
  const ServerConfig config_;
  const KeyStore& keys_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::server
