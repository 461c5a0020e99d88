// A small blocking HTTP/1.1 client on one kept connection, for the demo, the load generator and
// tests against a server on this machine. Not a general client: no TLS, no redirects, no proxy.
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

  static Result<HttpClient> Connect(const std::string& host, uint16_t port);
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
