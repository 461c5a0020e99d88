// Which impression an event belongs to: the one rule by which batch examples (log_examples.h) and
// online learning (online_trainer.h) get their labels.
//
// A room's impression is the viewer's last one of that room; entering within a minute belongs to it,
// and so does what the visit brings: a stay (inside for a minute), engagement until the viewer leaves,
// an order within half an hour. A product's impression is the viewer's last one of it; a click within
// five minutes belongs to it, a cart or an order within half an hour, and what the order's lines of the
// product come to. Times are event times.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>

#include "model/batch.h"
#include "model/live_features.h"
#include "state/state.h"
#include "store/event_log.h"

namespace heed::train {

enum class LiveRanker : uint8_t { kHosts, kProducts };  // model::HostSchema, model::ProductSchema

// One thing learned about one example, in the order of the log.
struct Feedback {
  enum class Kind : uint8_t {
    kShown,     // a new example: all below but `tasks`
    kPositive,  // these tasks came true
    kClosed,    // these tasks can no longer come true: the viewer left
  };
  Kind kind = Kind::kShown;
  LiveRanker ranker = LiveRanker::kHosts;
  uint64_t example = 0;  // the impression's sequence in the log: the same in every replay
  int64_t ts = 0;        // ms
  uint64_t tasks = 0;    // bit t is the schema's task t
  float worth = 0;       // kPositive: the label of those tasks that are values
  uint64_t viewer = 0;   // hashes of the viewer, and of platform and adapter
  uint64_t source = 0;
  std::string request_id;                        // of the decision that showed it; or ""
  std::shared_ptr<const model::Batch> features;  // one request, one candidate, no labels
};

class FeedbackSink {
 public:
  virtual ~FeedbackSink() = default;
  // Asked before an impression costs anything. False (a full queue): it is not followed, and nothing
  // that comes of it is heard of.
  virtual bool Accepts(LiveRanker) { return true; }
  // The features the impression was decided by, when they are still known; null: they are read from
  // the state.
  virtual std::shared_ptr<const model::Batch> Served(LiveRanker, const event::Event& /*shown*/) {
    return nullptr;
  }
  virtual void Add(Feedback feedback) = 0;
};

// Not thread-safe. Memory: about 300 bytes an impression of the last 40 minutes. A replay that begins 40
// minutes before a sequence has, from there on, the same impressions open as one from the beginning.
class Attribution {
 public:
  static constexpr int64_t kEnterWindowMs = 60'000;
  static constexpr int64_t kStayWindowMs = kEnterWindowMs + model::kStayMs;
  static constexpr int64_t kClickWindowMs = 5 * 60'000;
  static constexpr int64_t kOrderWindowMs = 30 * 60'000;
  // An impression is forgotten when the newest event is so much younger: the longest window, and ten
  // minutes for events that come late.
  static constexpr int64_t kForgetMs = kOrderWindowMs + 10 * 60'000;
  enum HostTask : size_t { kEnter, kStay, kEngage, kHostOrder };
  enum ProductTask : size_t { kClick, kCart, kProductOrder, kProductValue };
  // In the order of the schema's tasks.
  static constexpr int64_t kHostWindowsMs[] = {kEnterWindowMs, kStayWindowMs, kOrderWindowMs,
                                               kOrderWindowMs};
  static constexpr int64_t kProductWindowsMs[] = {kClickWindowMs, kOrderWindowMs, kOrderWindowMs,
                                                  kOrderWindowMs};

  struct Counts {
    uint64_t shown = 0;
    uint64_t skipped = 0;  // not accepted by the sink
    uint64_t served = 0;   // with the features of the decision
  };

  // In the order of the log. `before` is the state without this event: features are what was known
  // when the impression happened.
  void Apply(const store::LogRecord& record, const state::State& before, FeedbackSink* sink);

  size_t open() const { return rooms_.size() + products_.size(); }
  const Counts& counts() const { return counts_; }

 private:
  using Who = std::string;  // tenant, user, room or product, NUL-separated
  struct Open {             // a viewer's last impression of a room or product
    uint64_t example = 0;
    int64_t ts = 0;
    int64_t enter_ts = 0;  // rooms: of the visit it led to; 0: none
    bool left = false;     // rooms: and that ended
  };
  using Opens = std::unordered_map<Who, Open>;
  enum class Due : uint8_t { kStay, kRoomExpiry, kProductExpiry };

  void Advance(int64_t ts, FeedbackSink* sink);
  void ShowRoom(const store::LogRecord& record, const event::RoomImpression& shown,
                const state::State& before, FeedbackSink* sink);
  void ShowProduct(const store::LogRecord& record, const event::ProductImpression& shown,
                   const state::State& before, FeedbackSink* sink);
  void Show(const store::LogRecord& record, LiveRanker ranker, std::string request_id,
            std::shared_ptr<const model::Batch> features, Who who, FeedbackSink* sink);
  void Enter(const event::Event& event, FeedbackSink* sink);
  void Leave(const event::Event& event, FeedbackSink* sink);
  void MarkVisit(const event::Event& event, HostTask task, FeedbackSink* sink);
  void MarkProduct(const event::Event& event, const std::string& product, ProductTask task,
                   FeedbackSink* sink);
  void MarkOrder(const event::Event& event, const event::OrderCreate& order, FeedbackSink* sink);

  Opens rooms_, products_;
  std::set<std::tuple<int64_t, uint64_t, Due, Who>> due_;  // ts, example
  int64_t now_ts_ = 0;                                     // newest event time seen
  Counts counts_;
};

}  // namespace heed::train
