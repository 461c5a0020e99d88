// Every answer, kept: written behind the answer's back so that it never waits for a disk.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "heed/engine.h"

#include "store/documents.h"

namespace heed::engine {

// The decision as it is stored and served by GET /v1/decisions/{id}: one JSON object.
std::string DecisionJson(std::string_view kind, const RecommendRequest& request,
                         const RecommendResponse& response);

// Thread-safe. Readable at once; durable with the next synced write of the store, at the latest a
// few milliseconds later under traffic (an answer is worth less than its latency: a crash can lose
// the last decisions, never an event).
class DecisionLog {
 public:
  explicit DecisionLog(store::Database& database);
  // Writes what is queued.
  ~DecisionLog();

  // Unique over restarts: clock, a counter, and a number drawn at start.
  std::string NewId(int64_t now_ts);
  // Returns at once. When writing falls behind by more than kMaxQueued, the newest is dropped and
  // counted: memory stays bounded.
  void Add(std::string_view tenant, std::string_view id, std::string json);
  Result<std::string> Get(std::string_view tenant, std::string_view id) const;
  uint64_t dropped() const;

 private:
  static constexpr size_t kMaxQueued = 20'000;
  struct Entry {
    std::string tenant, id, json;
  };
  void WriteLoop();
  size_t Write();  // writing_, which only the writer changes; how many were lost

  store::Documents documents_;
  const uint64_t boot_;  // tells this run's ids from an earlier run's
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Entry> queue_;    // waits for the writer
  std::vector<Entry> writing_;  // kept until it is written, so that Get always finds an entry
  uint64_t counter_ = 0, dropped_ = 0;
  bool stopping_ = false;
  std::thread writer_;
};

}  // namespace heed::engine
