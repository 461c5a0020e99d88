// The whole server over an engine: keys, routes, limits, connections.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "heed/engine.h"

#include "server/config.h"

namespace heed::server {

class Server {
 public:
  // Listens and serves. Keys are read from <engine.directory>/keys.json.
  // kInvalidArgument on an address other than loopback without a key: `heed keys create` makes one.
  static Result<std::unique_ptr<Server>> Start(Engine& engine, const Config& config);
  // Stops listening, finishes what is in flight within server.shutdown_timeout_ms.
  ~Server();

  uint16_t port() const;    // the one in use, also when 0 was asked for
  std::string url() const;  // "http://127.0.0.1:7600"

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::server
