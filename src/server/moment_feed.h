// Sends what heed watch measures to a running engine, and never gets in its way: measuring goes on while the engine
// is away, slow or restarted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "base/status.h"
#include "server/http_client.h"

namespace heed::server {

// Whose vectors are sent in place of moments.
struct FeedEncoder {
  std::string id, modality;
  size_t dim = 0;
};

struct MomentFeedOptions {
  std::string room;
  std::optional<FeedEncoder> encoder;
  std::string to = "http://127.0.0.1:7600";              // http, an address or localhost, a port
  std::string key;                                       // empty: none
  size_t max_waiting = 3'600;                            // records; then the oldest go
  int64_t timeout_ms = 3'000;                            // of connecting, sending, an answer; each
  int64_t first_wait_ms = 250, longest_wait_ms = 5'000;  // between tries
  // What a person should know, on the feed's thread: that the engine is away, back, or refuses.
  std::function<void(const std::string&)> tell;
};

struct MomentFeedCounts {
  uint64_t taken = 0;    // by the engine; also those it had already, or that came too late for it
  uint64_t refused = 0;  // by it
  uint64_t dropped = 0;  // here, as too many waited
  uint64_t waiting = 0;
  std::string trouble;  // why the last request was not taken; empty: it was
};

// A vector of the clock's [t_ms, t_ms + 1000), with its length, as POST …/embeddings takes it.
std::string EmbeddingItem(int64_t t_ms, std::span<const float> vector);

// Thread-safe.
class MomentFeed {
 public:
  // kInvalidArgument for what `to` may not be.
  static Result<std::unique_ptr<MomentFeed>> Start(const MomentFeedOptions& options);
  // Gives what waits no more time.
  ~MomentFeed();

  // A record as media::MomentToJson writes it; with an encoder, an item as EmbeddingItem does. Never waits.
  void Add(std::string record);
  MomentFeedCounts counts() const;
  // Waits until all is sent, for at most so long and one timeout; nothing is sent afterwards.
  MomentFeedCounts Finish(int64_t within_ms);

 private:
  // Refused: one of the records may be at fault, or all of them are.
  enum class Outcome : uint8_t { kTaken, kRefusedForOne, kRefused, kAgain };

  MomentFeed(const MomentFeedOptions& options, std::string host, uint16_t port);
  void Loop();
  Outcome Send(size_t records);
  void Tell(const std::string& what);

  static constexpr size_t kBatch = 60;  // records a request

  // What a request is made of, around and between its records.
  struct Form {
    std::string target, content_type, before, between, after;
  };
  static Form FormOf(const MomentFeedOptions& options);

  const MomentFeedOptions options_;
  const Form form_;
  const std::string host_;
  const uint16_t port_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::deque<std::string> waiting_;  // guarded by mutex_, like these
  size_t in_hand_ = 0;               // in batch_
  MomentFeedCounts counts_;          // all but `waiting`
  bool finishing_ = false, stopping_ = false, finished_ = false;

  // The thread's own.
  std::deque<std::string> batch_;
  std::optional<HttpClient> client_;
  std::string why_;   // the last request was not taken
  std::string told_;  // last
  std::thread thread_;
};

}  // namespace heed::server
