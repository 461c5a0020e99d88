#include "server/connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "server/head.h"
#include "server/problem.h"

namespace heed::server {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 16 << 10;
constexpr size_t kBodyStep = 256 << 10;      // a body's memory grows as it comes, not as announced
constexpr uint64_t kDiscardable = 64 << 10;  // a refused body of this size is read and dropped
constexpr int64_t kLingerMs = 1'000;         // so long the client may take to read a last answer
constexpr size_t kLingerBytes = 1 << 20;

template <class Stream>
class StreamConnection final : public Connection {
  static constexpr bool kTls = !std::is_same_v<Stream, tcp::socket>;

 public:
  StreamConnection(ServerState& server, std::shared_ptr<IoThread> thread, Stream stream)
      : Connection(server, std::move(thread)),
        stream_(std::move(stream)),
        wake_(thread_->context),
        buffer_(static_cast<size_t>(config().max_header_bytes) * 2 + 4 * kReadBytes) {}

  void Start(bool refuse) {
    auto self = std::static_pointer_cast<StreamConnection>(shared_from_this());
    asio::co_spawn(
        thread_->context, [self, refuse]() -> asio::awaitable<void> { co_await self->Run(refuse); },
        asio::detached);
  }

  void Abort() override {
    aborted_ = true;
    error_code ignored;
    stream_.lowest_layer().close(ignored);
    wake_.cancel();
  }

 protected:
  void CancelRead() override {
    error_code ignored;
    stream_.lowest_layer().cancel(ignored);
  }

 private:
  // What came of reading a part of a request.
  enum class Got : uint8_t { kAll, kNothing, kRefused };

  const ServerConfig& config() const { return server_.dispatcher.config(); }

  asio::awaitable<void> Run(bool refuse) {
    try {
      if constexpr (kTls) {
        Enter(Phase::kReading, config().header_timeout_ms);
        auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kTuple);
        if (error) co_return Abort();
      }
      if (refuse) {
        unread_input_ = true;
        co_await Answer(server_.dispatcher.Broken(503, "too many connections"), false);
      } else {
        bool more = true;
        while (more) more = co_await ServeOne();
      }
      if (!aborted_) co_await Close();
    } catch (const std::exception& error) {  // out of memory: this connection's loss
      LogError("connection lost: {}", error.what());
    }
    Abort();
  }

  // One request and its answer. False: the connection is to be closed.
  asio::awaitable<bool> ServeOne() {
    HeadParser parser;
    parser.eager(false);
    parser.header_limit(static_cast<uint32_t>(config().max_header_bytes));
    parser.body_limit(boost::none);  // the dispatcher looks at the length, and can say more
    const Got head = co_await ReadHead(parser);
    if (head == Got::kNothing) co_return false;
    if (head == Got::kRefused) {
      unread_input_ = true;
      co_await Answer(std::move(admission_), false);
      co_return false;
    }
    admission_ = server_.dispatcher.Admit(HeadOf(parser));
    Request& request = *admission_.request;
    bool keep_alive = request.head.keep_alive;
    if (admission_.refusal) {
      // Without the body's end there is no next request.
      const bool waits = !request.head.expect.empty();
      if (request.head.chunked || request.head.content_length > kDiscardable || waits ||
          request.head.bad_transfer_encoding) {
        keep_alive = false;
        unread_input_ = true;
      } else if (request.head.content_length > 0) {
        const Got body = co_await ReadSized(request.head.content_length, request.body);
        if (body == Got::kNothing) co_return false;
        if (body == Got::kRefused) unread_input_ = true, keep_alive = false;
      }
    } else {
      const Got body = co_await ReadBody(parser, request);
      if (body == Got::kNothing) co_return false;
      if (body == Got::kRefused) unread_input_ = true, keep_alive = false;
    }
    if (server_.draining) keep_alive = false;
    const bool written = co_await Answer(std::move(admission_), keep_alive);
    co_return written&& keep_alive;
  }

  asio::awaitable<error_code> ReadSome() {
    const size_t room = std::min(kReadBytes, buffer_.max_size() - buffer_.size());
    if (room == 0) co_return http::error::buffer_overflow;
    auto [error, count] = co_await stream_.async_read_some(buffer_.prepare(room), kTuple);
    buffer_.commit(count);
    if (aborted_) co_return asio::error::operation_aborted;
    co_return error;
  }

  Got RefuseRead(int status, std::string detail) {
    if (admission_.request == nullptr) {
      admission_ = server_.dispatcher.Broken(status, std::move(detail));
    } else {
      admission_.refusal = RefuseHttp(*admission_.request, status, std::move(detail));
    }
    return Got::kRefused;
  }

  // Why a read failed in the middle of a request.
  Got ReadFailed(const error_code& error, const char* what) {
    if (std::exchange(timed_out_, false))
      return RefuseRead(408, std::string("the ") + what + " did not arrive in time");
    if (error == asio::error::eof)  // half-closed: the client still reads
      return RefuseRead(400, std::string("the ") + what + " ends too early");
    if (error == http::error::buffer_overflow)
      return RefuseRead(400, std::string("the ") + what + " has a line that is too long");
    return Got::kNothing;
  }

  asio::awaitable<Got> ReadHead(HeadParser& parser) {
    admission_ = {};
    timed_out_ = false;
    if (buffer_.size() == 0) {
      if (server_.draining) co_return Got::kNothing;
      Enter(Phase::kIdle, config().idle_timeout_ms);
      const error_code error = co_await ReadSome();
      if (error) co_return Got::kNothing;
    }
    Enter(Phase::kReading, config().header_timeout_ms);
    for (;;) {
      error_code error;
      buffer_.consume(parser.put(buffer_.data(), error));
      if (parser.is_header_done()) co_return Got::kAll;
      if (error == http::error::need_more) {
        error = co_await ReadSome();
        if (error) co_return ReadFailed(error, "request head");
      } else if (error) {
        const auto [status, detail] = ExplainBadHead(parser, error);
        co_return RefuseRead(status, detail);
      }
    }
  }

  asio::awaitable<Got> ReadBody(HeadParser& parser, Request& request) {
    const RequestHead& head = request.head;
    if (!head.chunked && head.content_length == 0) co_return Got::kAll;
    Enter(Phase::kReading, config().body_timeout_ms);
    const int64_t announced =
        head.chunked ? config().max_body_bytes : static_cast<int64_t>(head.content_length);
    if (server_.bytes_in_flight.fetch_add(announced) + announced > config().max_bytes_in_flight) {
      server_.bytes_in_flight.fetch_sub(announced);
      co_return RefuseRead(503, "too many bodies are being received at once");
    }
    Got got = Got::kAll;
    if (!head.expect.empty() && head.version == 11 && buffer_.size() == 0) {
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      auto [error, count] = co_await asio::async_write(
          stream_, asio::buffer(kContinue.data(), kContinue.size()), kTuple);
      if (error) got = Got::kNothing;
    }
    if (got == Got::kAll && head.chunked) {
      got = co_await ReadChunks(parser, request.body);
    } else if (got == Got::kAll) {
      got = co_await ReadSized(head.content_length, request.body);
    }
    server_.bytes_in_flight.fetch_sub(announced);
    co_return got;
  }

  asio::awaitable<Got> ReadSized(uint64_t size, std::string& body) {
    body.resize(std::min<uint64_t>(size, std::max<uint64_t>(kBodyStep, buffer_.size())));
    size_t have = std::min(body.size(), buffer_.size());
    if (have > 0) std::memcpy(body.data(), buffer_.data().data(), have);
    buffer_.consume(have);
    while (have < size) {
      if (have == body.size())
        body.resize(std::min<uint64_t>(size, have + std::max(have, kBodyStep)));
      auto [error, count] = co_await stream_.async_read_some(
          asio::buffer(body.data() + have, body.size() - have), kTuple);
      have += count;
      if (aborted_) co_return Got::kNothing;
      if (error) co_return ReadFailed(error, "body");
    }
    co_return Got::kAll;
  }

  asio::awaitable<Got> ReadChunks(HeadParser& parser, std::string& body) {
    parser.body_limit(static_cast<uint64_t>(config().max_body_bytes));
    while (!parser.is_done()) {
      error_code error;
      buffer_.consume(parser.put(buffer_.data(), error));
      if (error == http::error::need_more || (!error && !parser.is_done() && buffer_.size() == 0)) {
        error = co_await ReadSome();
        if (error) co_return ReadFailed(error, "body");
      } else if (error == http::error::body_limit) {
        co_return RefuseRead(
            413, "a body may have " + std::to_string(config().max_body_bytes) + " bytes");
      } else if (error) {
        co_return RefuseRead(400, "the chunked body is malformed: " + error.message());
      }
    }
    body = std::move(parser.get().body());
    co_return Got::kAll;
  }

  // Sends the refusal, or what the handler replies. False: the client is gone.
  asio::awaitable<bool> Answer(Dispatcher::Admission admission, bool keep_alive) {
    const std::shared_ptr<Request> request = std::move(admission.request);
    Response response;
    if (admission.refusal) {
      response = std::move(*admission.refusal);
    } else {
      Enter(Phase::kHandling, 0);
      answer_ = nullptr;
      server_.dispatcher.Handle(request, Reply(DeliverHere()));
      while (!answer_ && !aborted_) {
        wake_.expires_at(std::chrono::steady_clock::time_point::max());
        co_await wake_.async_wait(kTuple);
      }
      if (aborted_) co_return false;
      response = std::exchange(answer_, nullptr)();
    }
    if (server_.draining) keep_alive = false;
    const int64_t ready_us = response.ready_us;
    const Dispatcher::Wire wire =
        server_.dispatcher.Finish(*request, std::move(response), keep_alive);
    Enter(Phase::kWriting, config().write_timeout_ms);
    const std::array<asio::const_buffer, 2> parts = {asio::buffer(wire.head),
                                                     asio::buffer(wire.body)};
    auto [error, count] = co_await asio::async_write(stream_, parts, kTuple);
    if (!error) server_.dispatcher.Sent(ready_us);
    co_return !error && !aborted_;
  }

  // Carries an answer from any thread to this connection, if it still is.
  Reply::Deliver DeliverHere() {
    std::weak_ptr<StreamConnection> weak =
        std::static_pointer_cast<StreamConnection>(shared_from_this());
    return [weak, thread = thread_](std::function<Response()> make) {
      auto deliver = [weak, make = std::move(make)]() mutable {
        if (const auto self = weak.lock()) {
          self->answer_ = std::move(make);
          self->wake_.cancel();
        }
      };
      if (thread->context.get_executor().running_in_this_thread()) {
        deliver();
      } else {
        asio::post(thread->context, std::move(deliver));
      }
    };
  }

  // Closing with unread input would make the kernel send a reset, which can overtake the last
  // answer: so then the rest of the input is read and dropped until the client has closed.
  asio::awaitable<void> Close() {
    Enter(Phase::kClosing, kLingerMs);
    error_code ignored;
    if constexpr (kTls) co_await stream_.async_shutdown(kTuple);
    stream_.lowest_layer().shutdown(tcp::socket::shutdown_send, ignored);
    std::array<char, 4096> dropped;
    for (size_t total = 0; unread_input_ && total < kLingerBytes && !aborted_;) {
      auto [error, count] = co_await Socket().async_read_some(asio::buffer(dropped), kTuple);
      if (error) break;
      total += count;
    }
  }

  // The plain socket under TLS, or the stream itself.
  auto& Socket() {
    if constexpr (kTls) {
      return stream_.next_layer();
    } else {
      return stream_;
    }
  }

  Stream stream_;
  asio::steady_timer wake_;  // never expires; cancelled when answer_ is there
  boost::beast::flat_buffer buffer_;
  Dispatcher::Admission admission_;  // of the request being read
  std::function<Response()> answer_;
  bool unread_input_ = false;  // a part of what the client sends will not be looked at
};

}  // namespace

Connection::Connection(ServerState& server, std::shared_ptr<IoThread> thread)
    : server_(server), thread_(std::move(thread)) {
  thread_->connections.insert(this);
  server_.connections.Add(1);
}

Connection::~Connection() {
  thread_->connections.erase(this);
  server_.connections.Add(-1);
  server_.open.fetch_sub(1);
}

void Connection::Enter(Phase phase, int64_t timeout_ms) {
  phase_ = phase;
  deadline_us_ = timeout_ms == 0 ? 0 : Clock::System().steady_us() + timeout_ms * 1000;
}

void Connection::Tick(int64_t now_us) {
  if (deadline_us_ == 0 || now_us < deadline_us_) return;
  deadline_us_ = 0;
  if (phase_ != Phase::kReading) return Abort();
  timed_out_ = true;
  CancelRead();
}

void Connection::Drain() {
  if (phase_ == Phase::kIdle) Abort();
}

void StartConnection(ServerState& server, std::shared_ptr<IoThread> thread, tcp::socket socket,
                     bool refuse) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  if (server.tls != nullptr) {
    using Tls = asio::ssl::stream<tcp::socket>;
    std::make_shared<StreamConnection<Tls>>(server, std::move(thread),
                                            Tls(std::move(socket), *server.tls))
        ->Start(refuse);
  } else {
    std::make_shared<StreamConnection<tcp::socket>>(server, std::move(thread), std::move(socket))
        ->Start(refuse);
  }
}

}  // namespace heed::server
