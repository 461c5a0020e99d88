// The parts of `heed demo`: each does one thing with a running server and reports what it measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "heed/status.h"

#include "server/http_client.h"
#include "sim/world.h"

namespace heed::cli {

// Posts batches and counts what the server acknowledged. Not thread-safe.
class EventPoster {
 public:
  explicit EventPoster(server::HttpClient& client) : client_(client) {}

  // All of `events`, in requests of at most 500; kInternal when one is refused.
  Status Post(const std::vector<event::Event>& events);
  uint64_t acknowledged() const { return acknowledged_; }  // stored, duplicates not counted

 private:
  server::HttpClient& client_;
  uint64_t acknowledged_ = 0;
};

Status PostCatalog(server::HttpClient& client, const sim::World& world);

struct Latency {  // milliseconds
  double p50 = 0, p99 = 0;
  size_t count = 0;
};
Latency Percentiles(std::vector<double> milliseconds);

// `count` requests for hosts by random known viewers, one after the other on one connection.
Result<Latency> MeasureRecommend(server::HttpClient& client, const sim::World& world, size_t count,
                                 uint64_t seed);

// Acknowledged event → ranking that knows it: posts a viewer.enter, and from its acknowledgement
// times the next ranking of that viewer, whose state_sequence must cover the event and whose
// explanation must list the visit; kInternal when it does not.
Result<Latency> MeasureEventToRank(server::HttpClient& client, const sim::World& world,
                                   size_t count, uint64_t seed, uint64_t* acknowledged);

}  // namespace heed::cli
