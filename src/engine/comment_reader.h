// Reads the comments of all live rooms: takes from the log's committer what bears on them and works it off
// on a thread of its own, so that no acknowledgement waits. What it knows is built from events alone; at
// start those of the last half hour are read again.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "heed/engine.h"

#include "decide/catalog.h"
#include "engine/text_tools.h"
#include "state/state.h"
#include "store/event_log.h"
#include "text/room_comments.h"

namespace heed::engine {

// What a viewer's event says of wanting to buy, if anything.
std::optional<text::Interest> InterestOf(const event::Event& event);

// What the packs, or the ear beside them, found in a room.
struct RoomLint {
  int64_t ts = 0;
  uint64_t sequence = 0;  // of the event
  std::string source;     // "host", "operator", "viewer"
  std::string text;
  text::LintHit hit;
};

// One room as it is known. `mutex` guards the rest.
struct CommentRoom {
  CommentRoom(const TextTools& tools, const TextOptions& options);

  std::mutex mutex;
  std::string tenant, room, session;
  text::RoomComments comments;
  std::deque<RoomLint> hits;  // the newest last, kMaxHits at most
  bool shelf_changed = true;  // since NameProducts
  int64_t named_ms = 0;
  int64_t newest_ms = 0, behind_ms = 0;  // event time, and by how much it was behind the clock

  static constexpr size_t kMaxHits = 100;
  // Event time now: it goes on while nothing comes.
  int64_t NowMs(int64_t clock_ms) const { return std::max(newest_ms, clock_ms - behind_ms); }
};

struct CommentStats {
  // Seconds from an acknowledged comment to the statistics that count it; the last bucket has no bound.
  static constexpr std::array<double, 12> kLatencyBounds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5};
  uint64_t comments = 0, segments = 0;    // read
  uint64_t hits = 0;                      // of packs and model, in all of them
  uint64_t skipped = 0;                   // left: the reader was behind
  uint64_t queued = 0, rooms = 0;         // now
  std::array<uint64_t, 13> latency = {};  // comments by bucket, each counted once
  double latency_s = 0;                   // sum
};

// Thread-safe, but for what is said to be the committer's.
class CommentReader {
 public:
  // All of them outlive it.
  CommentReader(const TextOptions& options, TextTools* tools, const state::State& state,
                const decide::Catalog& catalog);
  // Reads what is queued.
  ~CommentReader();

  // Where reading the log again should begin.
  static Result<uint64_t> ReplayFrom(const store::EventLog& log);
  // Before Start, and then from the committer, in the log's order: never waits.
  void Heard(std::span<const store::LogRecord> records);
  // `log` takes the compliance hits that are found; Stop comes before it ends.
  void Start(store::EventLog* log);
  void Stop();

  // Until what the log holds up to there has been read; false after `timeout_ms`.
  bool WaitFor(uint64_t sequence, int64_t timeout_ms) const;
  // Null: nothing was heard of the room, or not for long.
  std::shared_ptr<CommentRoom> Find(std::string_view tenant, std::string_view room) const;
  CommentStats Stats() const;

 private:
  static constexpr size_t kMaxQueued = 200'000;
  static constexpr uint64_t kMaxReplayed = 200'000;  // records
  static constexpr int64_t kReplayedMs = 30 * 60'000;

  enum class Kind : uint8_t { kStart, kComment, kSpeech, kInterest, kShelf, kShown, kAnswered };
  // An event, as far as it bears on comments.
  struct Item {
    Kind kind = Kind::kComment;
    uint64_t sequence = 0;
    int64_t arrived_us = 0;  // steady clock; 0: read again at start
    int64_t ts = 0, clock_ms = 0;
    std::string tenant, room, session;
    std::string text;     // of a comment, a segment, an answered question; the product shown
    uint64_t viewer = 0;  // 0: not known
    const char* source = "viewer";
    text::Interest how{};
    int64_t dur_ms = 0;
    uint64_t question = 0;
  };
  static bool Read(const event::Event& event, Item* item);

  void Loop();
  void Handle(const Item& item);
  std::shared_ptr<CommentRoom> RoomOf(const Item& item);
  void ReadComment(const Item& item, CommentRoom* room);
  void Lint(const Item& item, CommentRoom* room);
  void NameProducts(CommentRoom* room);
  void DropIdle(int64_t clock_ms);

  const TextOptions options_;
  TextTools* const tools_;
  const state::State& state_;
  const decide::Catalog& catalog_;
  store::EventLog* log_ = nullptr;

  mutable std::mutex queue_mutex_;
  mutable std::condition_variable wake_, read_;
  std::vector<Item> queue_;
  uint64_t read_to_ = 0;  // the last item's sequence
  bool stopping_ = false;

  mutable std::mutex rooms_mutex_;
  struct Known {
    std::shared_ptr<CommentRoom> room;
    int64_t heard_ms = 0;  // clock
  };
  std::map<std::string, Known, std::less<>> rooms_;  // by tenant, zero byte, room

  std::atomic<uint64_t> comments_{0}, segments_{0}, hits_{0}, skipped_{0};
  std::array<std::atomic<uint64_t>, 13> latency_ = {};
  std::atomic<int64_t> latency_us_{0};
  std::thread thread_;
};

}  // namespace heed::engine
