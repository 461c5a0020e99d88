// What is known now: user histories, room windows, host and product counters, availability.
// Built only from events, in log order, so that replay gives the same bytes (Serialize).
//
// Event time, not arrival time, drives every window and decay; an event older than what it touches
// still counts, weighted by its age, and never turns time back. What each event does: docs/state.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "event/event.h"

namespace heed::state {

// Dense number of a host, room, product, user or category, given on first sight in log order; the same after
// replay. Its text is State::Name(...). kNone: not known.
using Index = uint32_t;
inline constexpr Index kNone = ~Index{0};

enum class Kind : uint8_t { kUser, kHost, kRoom, kProduct, kCategory };

struct Visit {  // a room entered; newest last
  Index host = kNone;
  Index room = kNone;
  Index category = kNone;  // the room's, when it was entered
  int64_t enter_ts = 0;
  int32_t watch_ms = -1;     // as last reported (grows by heartbeats); -1: inside, nothing reported
  uint8_t interactions = 0;  // comments, likes, shares, follows, gifts during it, at most 255
  uint8_t orders = 0;
  bool inside = false;  // neither a leave nor a later enter was seen
  bool operator==(const Visit&) const = default;
};

enum class Touch : uint8_t { kClick = 1, kCart = 2, kOrder = 3 };

struct ProductTouch {  // newest last
  Index product = kNone;
  Index host = kNone;      // in whose room
  Index category = kNone;  // the product's, else the room's
  int64_t ts = 0;
  Touch touch = Touch::kClick;
  bool operator==(const ProductTouch&) const = default;
};

enum class SkipReason : uint8_t { kNotEntered = 1, kLeftAtOnce = 2, kDislike = 3 };

struct Skip {  // shown and not wanted; newest last
  Index host = kNone;
  int64_t ts = 0;
  SkipReason reason = SkipReason::kNotEntered;
  bool operator==(const Skip&) const = default;
};

inline constexpr size_t kMaxVisits = 50;
inline constexpr size_t kMaxTouches = 50;
inline constexpr size_t kMaxSkips = 30;
inline constexpr size_t kMaxFollows = 128;
inline constexpr size_t kMaxBound = 500;          // products of one room
inline constexpr int64_t kImpressionMs = 30'000;  // not entered within: a skip
inline constexpr int64_t kShortWatchMs = 3'000;   // a shorter stay is a skip
inline constexpr int64_t kSeriesStepMs = 30'000;  // room windows
inline constexpr size_t kSeriesSteps = 40;        // 20 minutes

inline constexpr double kCounterHalfLifeMs = 6.0 * 3600 * 1000;

// Exponentially decayed sum: value as of `ts`, halved every half-life. In whatever order the same
// amounts are added, it comes to the same up to rounding.
struct Decayed {
  double value = 0;
  int64_t ts = 0;
  // Before `ts`: the value as of `ts` (time is not turned back).
  double At(int64_t now_ts, double half_life_ms = kCounterHalfLifeMs) const;
  void Add(double amount, int64_t at_ts, double half_life_ms = kCounterHalfLifeMs);
};

struct UserView {  // a copy: valid for ever, consistent as of one moment
  Index user = kNone;
  std::vector<Visit> visits;
  std::vector<ProductTouch> touches;
  std::vector<Skip> skips;
  std::vector<Index> followed_hosts;                            // sorted
  int64_t impressions = 0, enters = 0, clicks = 0, orders = 0;  // all time
  int64_t last_ts = 0;
  bool follower_flag = false;  // what an event last said, of the room it was in
  bool personalize = true;     // false: the viewer switched personalisation off
  std::string segment;
};

// What a host or a product has earned; decayed sums, read with At().
struct HostCounters {
  Decayed impressions, enters, short_watches, watch_minutes, interactions, product_clicks, orders,
      revenue_yuan, follows;
};
struct ProductCounters {
  Decayed impressions, clicks, carts, orders, revenue_yuan;
};

struct SeriesStep {  // one 30-second window of a room
  int64_t start_ts = 0;
  uint32_t impressions = 0, enters = 0, exits = 0, comments = 0, likes = 0, product_clicks = 0,
           carts = 0, orders = 0, gifts = 0;
  int64_t revenue_cents = 0;
  bool operator==(const SeriesStep&) const = default;
};

// What was last said of the attention of a room's viewers in this broadcast (attention.sample).
struct RoomAttention {
  int64_t ts = 0;        // 0: nothing was said
  double attention = 0;  // 0 to 1
  // Comments and clicks expected, in multiples of the room's usual; 0: not said.
  double comment_lift = 0, click_lift = 0;
  bool operator==(const RoomAttention&) const = default;
};

struct BoundProduct {
  Index product = kNone;
  int64_t price_cents = -1;      // -1: not said
  std::optional<int64_t> stock;  // absent: not said, taken as in stock
  bool on = true;
};

struct RoomView {
  Index room = kNone;
  Index host = kNone;
  bool live = false;
  int64_t start_ts = 0;  // of the broadcast; where its start was not seen, the first sign of life
  int64_t last_ts = 0;   // last sign of life (impressions, leaves and orders are none)
  int64_t online = 0;    // enters minus leaves, or room.stats where given more recently
  std::string session;
  Index category_index = kNone;  // Kind::kCategory
  std::string category;
  std::string title;
  std::vector<BoundProduct> products;
  Index explaining = kNone;
  Index pinned = kNone;
  RoomAttention attention;
  std::vector<SeriesStep> series;  // oldest first, at most kSeriesSteps, without gaps
};

struct HostView {
  Index host = kNone;
  Index live_room = kNone;  // however long silent: LiveRooms knows
  HostCounters counters;
};

struct ProductView {
  Index product = kNone;
  ProductCounters counters;
  int64_t price_cents = -1;
  std::optional<int64_t> stock;
  Index category_index = kNone;  // Kind::kCategory
  std::string category;
  std::string title;
};

struct RoomSummary {  // what ranking hundreds of rooms needs, without copying them; as in RoomView
  Index room = kNone;
  Index host = kNone;
  bool live = false;
  int64_t start_ts = 0;
  int64_t last_ts = 0;
  int64_t online = 0;
  Index category_index = kNone;
  Index explaining = kNone;
  uint32_t minute_enters = 0;   // in the last two steps of the series
  uint32_t earlier_enters = 0;  // in the six before them: three minutes
  RoomAttention attention;
};

// One writer (Apply, Restore), any number of readers at the same time. Reads copy, each as of one
// moment: an event is in a view wholly or not at all. Serialize may be called from any thread; the
// writer waits for it.
class State {
 public:
  State();
  ~State();

  // Idempotent: a sequence at or below last_sequence() changes nothing. Never fails: an event that
  // says nothing about state (a domain pack's, say) only moves last_sequence. About 1 µs.
  void Apply(uint64_t sequence, const event::Event& event);
  uint64_t last_sequence() const;

  // All ids are per tenant. Unknown: kNone. Until a room's host is known, the room is its own host,
  // under the room's id; once known, Find and all views answer with the real host instead.
  Index Find(Kind kind, std::string_view tenant, std::string_view id) const;
  std::string Name(Kind kind, Index index) const;
  // 64-bit key of an id in embedding tables: HashBytes of tenant, a zero byte, id. Never 0.
  uint64_t Key(Kind kind, Index index) const;
  static uint64_t KeyOf(std::string_view tenant, std::string_view id);
  // Indices of a kind are 0 .. Count - 1, over all tenants; List gives those of one tenant,
  // ascending, and costs a pass over all.
  size_t Count(Kind kind) const;
  std::vector<Index> List(Kind kind, std::string_view tenant) const;

  // Unknown index: a default view with kNone.
  UserView ReadUser(Index user) const;
  HostView ReadHost(Index host) const;
  RoomView ReadRoom(Index room) const;
  ProductView ReadProduct(Index product) const;
  RoomSummary Summarize(Index room) const;
  // Over all tenants; for /metrics.
  size_t CountLiveRooms(int64_t now_ts, int64_t silent_ms) const;
  // Rooms live now, ascending by index. A room that has been silent for `silent_ms` before
  // `now_ts` is taken as over (a lost stream.end must not keep it live for ever).
  std::vector<Index> LiveRooms(std::string_view tenant, int64_t now_ts, int64_t silent_ms) const;

  // The same state always gives the same bytes. Format: docs/formats/state.md.
  // `sequence`, when not null, gets the last_sequence() that the bytes hold.
  std::string Serialize(uint64_t* sequence = nullptr) const;
  // Replaces all; on kCorruption the state is left empty. What it replaces is freed only with the
  // State, as readers may be in it: call it once, at start.
  Status Restore(std::string_view bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::state
