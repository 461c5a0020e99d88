// Which handler a method and a path belong to.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"

namespace heed::server {

enum class Body : uint8_t {
  kNone,         // one that comes all the same is refused
  kJson,         // application/json
  kJsonOrLines,  // the same, or NDJSON
};

// Whose thread runs a handler.
enum class Lane : uint8_t {
  kConnection,  // the connection's: for what never waits
  kDisk,        // waits for a disk: a few threads shared by all such
  kRank,        // costs a core milliseconds: a bounded queue per core, 503 when there is no place
  kTrain,       // minutes: threads of its own at a lower priority
};

struct Route {
  Method method = Method::kGet;
  std::string pattern;  // "/v1/catalog/hosts/{id}"
  std::string scope;    // what a key must allow; empty: open to everybody
  Body body = Body::kNone;
  Lane lane = Lane::kConnection;
  std::vector<std::string> query;  // parameters it knows; any other is refused
  Handler handler;
  QueueHandler queue_handler;  // in place of `handler` for Lane::kRank
};

// Built once, then only read: thread-safe.
class Router {
 public:
  explicit Router(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;     // null: nothing here under that method
    std::vector<std::string> params;  // not yet percent-decoded
    std::string allow;                // for 405: methods this path has; empty: the path is unknown
  };
  // HEAD finds the GET route. `path` is as sent, without its query.
  Match Find(Method method, std::string_view path) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> segments_;  // of each route's pattern
};

}  // namespace heed::server
