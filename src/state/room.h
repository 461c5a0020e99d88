// A room: its broadcast, its shelf of products, its 30-second series. Plain data: no locks, no ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "state/state.h"

namespace heed::state {

inline constexpr size_t kMaxSkus = 64;  // of one product
inline constexpr double kMinLift = 1e-3, kMaxLift = 1e3;
inline constexpr size_t kMaxTextBytes = 256;  // titles, categories, segments are cut to this

// The front of `text`, cut between UTF-8 characters.
std::string Clip(std::string_view text, size_t max_bytes = kMaxTextBytes);

// How many are left, from statements (product.bind, product.stock) of the whole product or of its
// SKUs, and lowered by sales since. A statement about the whole forgets the SKUs before it.
struct Stock {
  struct Sku {
    uint64_t key = 0;  // hash of the sku id
    int64_t count = 0;
    int64_t ts = 0;
  };
  int64_t whole = -1;  // -1: never said
  int64_t whole_ts = 0;
  std::vector<Sku> skus;

  // sku_key 0: the whole product. Older than what is known: ignored.
  void Say(uint64_t sku_key, int64_t count, int64_t ts);
  // Lowers what the sale is of, where that is known and was said before it; never below 0.
  void Sell(uint64_t sku_key, int64_t count, int64_t ts);
  // The SKUs' sum where any is left; else what was said of the whole, as the SKUs heard of may not
  // be all. Absent: nothing was said.
  std::optional<int64_t> Left() const;
};

struct ShelfItem {
  Index product = kNone;
  int64_t price_cents = -1;
  Stock stock;
  bool on = true;
  int64_t bind_ts = 0;
};

// host and live are kept by the caller, who knows the other tables.
struct Room {
  Index host = kNone;
  bool live = false;
  bool start_seen = false;  // by stream.start, not only by a sign of life
  bool known = false;       // a session has begun or ended here
  int64_t start_ts = 0;
  int64_t end_ts = 0;
  int64_t floor_ts = 0;  // the series holds nothing from before
  int64_t last_ts = 0;
  int64_t online = 0;
  int64_t stats_ts = 0;
  int64_t explain_ts = 0;
  int64_t pin_ts = 0;
  Index category = kNone;
  Index explaining = kNone;
  Index pinned = kNone;
  RoomAttention attention;
  std::string session;
  std::string shelf_session;  // the broadcast the shelf is laid out for
  std::string title;
  std::vector<ShelfItem> shelf;    // in order of first binding
  std::vector<SeriesStep> series;  // ascending, without gaps
};

// Forgets the broadcast before. The shelf stays if it was laid out for this session.
void BeginSession(Room& room, std::string_view session, int64_t ts, bool start_seen);
void EndSession(Room& room, std::string_view session, int64_t ts);

// The step of `ts`, made where missing; null for what is too old to keep. Valid until the next call.
SeriesStep* StepAt(Room& room, int64_t ts);

// A shelf laid out for a broadcast to come replaces that of the one that is over.
void OpenShelf(Room& room, std::string_view session);
ShelfItem* FindOnShelf(Room& room, Index product);
// Finds or adds. A full shelf loses what is off, else what was bound first.
ShelfItem& PutOnShelf(Room& room, Index product);

// The adapter's count wins over our own of enters and leaves, which goes on from there.
void SayOnline(Room& room, int64_t online, int64_t ts);
void MoveOnline(Room& room, int64_t by, int64_t ts);

// The newest counts, of the broadcast on air.
void SayAttention(Room& room, std::string_view session, const RoomAttention& said);

}  // namespace heed::state
