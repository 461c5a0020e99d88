// One client connection, from accept to close. Used by http_server.cc only.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <memory>
#include <unordered_set>

#include "base/metrics.h"
#include "server/dispatcher.h"

namespace heed::server {

class Connection;

// What the connections of one server share.
struct ServerState {
  explicit ServerState(Dispatcher& dispatcher_in) : dispatcher(dispatcher_in) {}
  Dispatcher& dispatcher;
  std::unique_ptr<boost::asio::ssl::context> tls;  // null: plain
  std::atomic<int64_t> open{0};
  std::atomic<int64_t> bytes_in_flight{0};  // of bodies being received
  std::atomic<bool> draining{false};
  Gauge connections;
};

// One event loop and the connections that live on it; `connections` belongs to its thread.
struct IoThread {
  boost::asio::io_context context{1};  // 1: a single thread runs it
  std::unordered_set<Connection*> connections;
};

// Every member is used on the IoThread's thread only.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ServerState& server, std::shared_ptr<IoThread> thread);
  virtual ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Called now and then: acts when the phase's deadline is over.
  void Tick(int64_t now_us);
  // No further requests: closes at once when none is under way.
  void Drain();
  // Closes the socket; whatever waits on it, or for a handler, ends.
  virtual void Abort() = 0;

 protected:
  enum class Phase : uint8_t { kIdle, kReading, kHandling, kWriting, kClosing };
  void Enter(Phase phase, int64_t timeout_ms);  // 0: no deadline
  virtual void CancelRead() = 0;

  ServerState& server_;
  const std::shared_ptr<IoThread> thread_;
  Phase phase_ = Phase::kIdle;
  int64_t deadline_us_ = 0;
  bool timed_out_ = false;  // the read under way was cancelled because of its deadline
  bool aborted_ = false;
};

// Takes the socket, which lives on `thread`. `refuse`: there are too many; say so and close. Counts
// itself in server.open until it is gone. Call on the thread.
void StartConnection(ServerState& server, std::shared_ptr<IoThread> thread,
                     boost::asio::ip::tcp::socket socket, bool refuse);

}  // namespace heed::server
