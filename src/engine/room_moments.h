// One room's broadcast as the engine knows it: its last minutes second by second, and embeddings of them that were
// computed elsewhere.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heed/engine.h"

#include "base/status.h"
#include "decide/catalog.h"
#include "media/moment.h"
#include "media/running_norm.h"
#include "model/moment_stream.h"
#include "train/moment_rows.h"

namespace heed::engine {

struct KeptMoment {
  int64_t ts = 0;  // when its second ended, by the clock; rises within the room, by at least 1
  media::Moment moment;
  std::optional<model::MomentReading> reading;  // with a model
};

// Some of a room's moments, in order; valid until it changes. (Clang 14 does not take std::ranges::subrange.)
struct MomentPage {
  using Iterator = std::deque<KeptMoment>::const_iterator;
  Iterator first, last;
  Iterator begin() const { return first; }
  Iterator end() const { return last; }
};

// What of the moments bears on viewers, by a model of moment attention; all rooms share it.
struct MomentReader {
  std::string name;
  std::shared_ptr<const model::MomentAttention> model;
  train::MomentRows rows;
};

struct Embedding {
  int64_t t_ms = 0, dur_ms = 0;  // of the clock: [t_ms, t_ms + dur_ms)
  std::vector<float> vector;     // finite
};

// What one encoder said of a room, in order of time.
struct EncoderTrack {
  media::Modality modality = media::Modality::kPicture;
  size_t dim = 0;
  std::deque<Embedding> items;
};

// What became of what was sent: late is what the look-back has passed, or, of moments, what is behind one that
// came before it.
struct TakenCounts {
  size_t taken = 0, duplicates = 0, late = 0;
};

void WithoutProxies(media::Moment* moment);

// Not thread-safe. Memory is bounded by the options: 0.8 kB a second kept, and the embeddings' bytes.
class RoomMoments {
 public:
  static constexpr int64_t kAliveMs = 5'000;        // a feed heard within it is alive
  static constexpr int64_t kAheadMs = 60'000;       // of our clock, that a time may be
  static constexpr int64_t kBehindMs = 86'400'000;  // a moment before that is no moment of now
  static constexpr size_t kMaxEncoders = 8;

  // `reader` may be null: no readings.
  explicit RoomMoments(const BroadcastOptions& options, const MomentReader* reader = nullptr)
      : options_(options), reader_(reader), comment_norm_(std::in_place) {}

  // A process that sends moments, by the id it gives itself. Another than the one before begins a broadcast
  // anew: its epochs and seconds count from their own zero. kConflict while the one before is alive.
  Status Begin(std::string_view feed, int64_t now_ms);

  // `audience`: what viewers did until the moment's second, for the reading's rates.
  void Add(media::Moment moment, int64_t now_ms, TakenCounts* counts,
           const std::optional<model::MomentAudience>& audience = std::nullopt);

  // All or nothing; a vector whose time is known is a duplicate. The first call with an encoder's id fixes its modality and dimension. kInvalidArgument with a JSON pointer: they
  // differ, a time is further than a minute outside the look-back, there is no place for another encoder.
  Result<TakenCounts> AddEmbeddings(const std::string& encoder, media::Modality modality,
                                    size_t dim, std::vector<Embedding> items, int64_t now_ms);

  // Takes out of what is held what is not allowed any more.
  void Restrict(decide::BroadcastUse use);
  // Forgets what was said, not who is saying it: a second that was here stays a duplicate.
  void Drop();
  // Lets go of what is older than the look-back.
  void Trim(int64_t now_ms);

  const std::deque<KeptMoment>& moments() const { return moments_; }
  // The oldest after `since`, without it the newest: `limit` at most, in order of time.
  MomentPage Page(std::optional<int64_t> since, size_t limit) const;
  const std::map<std::string, EncoderTrack, std::less<>>& encoders() const { return encoders_; }
  // Encoders with a vector of the second that ended at `ts`.
  std::vector<std::string_view> EncodersAt(int64_t ts) const;

 private:
  void Arrive(KeptMoment moment, const std::optional<model::MomentAudience>& audience);
  void Read(const std::optional<model::MomentAudience>& audience, KeptMoment* moment);
  void DropOldestVector();

  const BroadcastOptions& options_;
  const MomentReader* const reader_;
  std::string feed_;
  int64_t fed_ms_ = 0;                                // clock
  std::optional<std::pair<uint32_t, int64_t>> last_;  // epoch, second: of the feed
  int64_t last_ts_ = 0;
  std::deque<KeptMoment> moments_;
  std::map<std::string, EncoderTrack, std::less<>> encoders_;
  uint64_t vector_bytes_ = 0;
  // Of the comments' columns, which are measured here; all others come with theirs.
  std::optional<media::RunningNorm> comment_norm_;
  // Of one epoch of one feed.
  std::optional<model::MomentStream> stream_;
};

}  // namespace heed::engine
