// What a request and a response are to a handler: plain values, no sockets, no Beast.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace heed::server {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kOther };
Method ParseMethod(std::string_view name);
std::string_view MethodName(Method method);

// "Not Found" for 404; "Unknown" for a number we never send.
std::string_view ReasonPhrase(int status);

// The request line and those headers that mean something here, as they came.
struct RequestHead {
  std::string method = "GET";
  std::string target = "/";
  int version = 11;  // 10 or 11; anything else is refused
  bool keep_alive = true;
  size_t hosts = 1;  // number of Host headers
  std::string host, origin, authorization, content_type, content_encoding, accept_encoding, expect,
      request_id;
  bool bad_transfer_encoding = false;  // one that is not exactly "chunked"
  bool chunked = false;
  uint64_t content_length = 0;  // 0 when chunked
};

// Who asks: the API key, or nobody in particular on an open loopback server.
struct Principal {
  std::string key_id;
  std::string tenant;  // the only tenant the key may touch; empty for any
};

struct Route;  // router.h

// One admitted request. Handlers share it until they have replied.
struct Request {
  RequestHead head;
  Method method = Method::kGet;
  std::string path;                                        // percent-decoded
  std::vector<std::string> params;                         // the {parts} of the route, in order
  std::vector<std::pair<std::string, std::string>> query;  // decoded, each name known to the route
  const Route* route = nullptr;
  Principal principal;
  std::string id;    // X-Request-Id: the client's when well-formed, or a fresh one
  std::string body;  // unpacked
  int64_t started_us = 0;

  // Null when absent.
  const std::string* Query(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  int64_t ready_us = 0;  // steady clock, when the answer itself was known; 0: nobody asks
};

// The way back to the connection. Copies share one answer: the first one counts, later ones are
// dropped, and when the last copy goes without one the client gets a 500. Thread-safe.
class Reply {
 public:
  using Deliver = std::function<void(std::function<Response()>)>;
  explicit Reply(Deliver deliver);

  void Send(Response response) const;
  // `make` runs on the connection's thread, so that a commit thread need not write JSON.
  void SendFrom(std::function<Response()> make) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// A request in a queue, with the way back.
struct QueuedRequest {
  std::shared_ptr<Request> request;
  Reply reply;
  int64_t queued_us = 0;  // steady clock
};

// Called with the whole body; replies once, now or later, from any thread.
using Handler = std::function<void(const std::shared_ptr<const Request>&, const Reply&)>;

// The next request that waits for a queue's thread; none: nothing does.
using TakeRequest = std::function<std::optional<QueuedRequest>()>;
// For requests that may be worked on together: takes one and, while it has use for them, further
// ones, and replies to each.
using QueueHandler = std::function<void(const TakeRequest&)>;

// %41 → A; nullopt for a broken escape or an escaped NUL.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);

}  // namespace heed::server
