// Listens, keeps connections, and takes requests through a Dispatcher.
//
// Each io thread has its own event loop, and a connection lives on one of them for good: nothing of
// it is locked. Handlers may reply from any thread; the answer is carried back to the connection's.
// Requests of one connection are answered one after the other, so pipelining keeps its order and a
// client that does not read its answers stops being read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/status.h"
#include "server/dispatcher.h"

namespace heed::server {

class HttpServer {
 public:
  // Listens and starts its threads. `dispatcher` must outlive the server; its config says where and
  // within which limits. kIo: the address is taken or not ours; kInvalidArgument: a bad address or
  // certificate.
  static Result<std::unique_ptr<HttpServer>> Start(Dispatcher& dispatcher, Metrics& metrics);
  // Stop().
  ~HttpServer();

  // The port in use, also when 0 was asked for.
  uint16_t port() const;
  // Accepts no more, lets requests in flight finish within shutdown_timeout_ms, closes the rest,
  // joins the threads. Call from any thread but the server's own; again: nothing.
  void Stop();

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::server
