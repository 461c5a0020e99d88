// A small blocking HTTP/1.1 client on one kept connection, for our own commands, the load generator and
// tests against a server of ours. Not a general client: no names, no TLS, no redirects, no proxy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace heed::server {

struct ClientResponse {
  int status = 0;
  std::string content_type;
  std::string body;
};

// Not thread-safe: one a thread.
class HttpClient {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Connecting, sending and receiving may each take `timeout_ms`, then the connection is broken; 0: for ever.
  static Result<HttpClient> Connect(const std::string& host, uint16_t port, int64_t timeout_ms = 0);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();

  // kIo when the connection breaks; an HTTP error is a response like any other.
  Result<ClientResponse> Request(std::string_view method, const std::string& target,
                                 const std::string& body, const Headers& headers = {});

 private:
  struct Impl;
  explicit HttpClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::server
