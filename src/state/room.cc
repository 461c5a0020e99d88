#include "state/room.h"

#include <algorithm>

namespace heed::state {
namespace {

int64_t StepStart(int64_t ts) { return ts - ts % kSeriesStepMs; }

}  // namespace

std::string Clip(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  size_t size = max_bytes;
  while (size > 0 && (static_cast<uint8_t>(text[size]) & 0xC0) == 0x80) --size;
  return std::string(text.substr(0, size));
}

void Stock::Say(uint64_t sku_key, int64_t count, int64_t ts) {
  if (ts < whole_ts) return;
  if (sku_key == 0) {
    whole = count;
    whole_ts = ts;
    std::erase_if(skus, [&](const Sku& sku) { return sku.ts <= ts; });
    return;
  }
  const auto found =
      std::find_if(skus.begin(), skus.end(), [&](const Sku& sku) { return sku.key == sku_key; });
  if (found != skus.end()) {
    if (ts >= found->ts) *found = {sku_key, count, ts};
    return;
  }
  if (skus.size() == kMaxSkus) skus.erase(skus.begin());
  skus.push_back({sku_key, count, ts});
}

void Stock::Sell(uint64_t sku_key, int64_t count, int64_t ts) {
  const auto sell = [&](int64_t& left, int64_t said_ts) {
    if (ts >= said_ts) left = std::max<int64_t>(0, left - count);
  };
  for (Sku& sku : skus) {
    if (sku.key == sku_key || (sku_key == 0 && whole < 0 && skus.size() == 1)) {
      return sell(sku.count, sku.ts);
    }
  }
  if (whole >= 0) sell(whole, whole_ts);
}

std::optional<int64_t> Stock::Left() const {
  if (skus.empty()) return whole < 0 ? std::nullopt : std::optional<int64_t>(whole);
  int64_t sum = 0;
  for (const Sku& sku : skus) sum += sku.count;
  return sum > 0 ? sum : std::max<int64_t>(whole, 0);
}

void BeginSession(Room& room, std::string_view session, int64_t ts, bool start_seen) {
  OpenShelf(room, session);
  if (start_seen || room.known) room.series.clear();
  room.floor_ts = start_seen ? ts : room.end_ts;
  room.live = true;
  room.start_seen = start_seen;
  room.known = true;
  room.session = session;
  room.start_ts = ts;
  room.end_ts = 0;
  room.last_ts = ts;
  room.online = 0;
  room.stats_ts = 0;
  room.title.clear();
  room.category = kNone;
  room.attention = {};
}

void EndSession(Room& room, std::string_view session, int64_t ts) {
  room.live = false;
  room.known = true;
  room.session = session;
  room.end_ts = ts;
  room.online = 0;
  room.explaining = kNone;
  room.pinned = kNone;
  room.attention = {};
}

SeriesStep* StepAt(Room& room, int64_t ts) {
  std::vector<SeriesStep>& series = room.series;
  const int64_t start = StepStart(ts);
  if (start < StepStart(room.floor_ts)) return nullptr;
  if (series.empty() || start >= series.back().start_ts + kSeriesStepMs * int64_t{kSeriesSteps}) {
    series.clear();
    return &series.emplace_back(SeriesStep{.start_ts = start});
  }
  if (start < series.front().start_ts) {
    const auto missing = static_cast<size_t>((series.front().start_ts - start) / kSeriesStepMs);
    if (series.size() + missing > kSeriesSteps) return nullptr;
    series.insert(series.begin(), missing, SeriesStep{});
    for (size_t i = 0; i < missing; ++i) {
      series[i].start_ts = start + kSeriesStepMs * static_cast<int64_t>(i);
    }
    return &series.front();
  }
  while (series.back().start_ts < start) {
    if (series.size() == kSeriesSteps) series.erase(series.begin());
    series.push_back({.start_ts = series.back().start_ts + kSeriesStepMs});
  }
  return &series[static_cast<size_t>((start - series.front().start_ts) / kSeriesStepMs)];
}

void OpenShelf(Room& room, std::string_view session) {
  if (room.shelf_session == session) return;
  room.shelf_session = session;
  room.shelf.clear();
  room.explaining = kNone;
  room.pinned = kNone;
  room.explain_ts = 0;
  room.pin_ts = 0;
}

ShelfItem* FindOnShelf(Room& room, Index product) {
  for (ShelfItem& item : room.shelf) {
    if (item.product == product) return &item;
  }
  return nullptr;
}

ShelfItem& PutOnShelf(Room& room, Index product) {
  if (ShelfItem* item = FindOnShelf(room, product)) return *item;
  if (room.shelf.size() == kMaxBound) {
    const auto off = std::find_if(room.shelf.begin(), room.shelf.end(),
                                  [](const ShelfItem& item) { return !item.on; });
    room.shelf.erase(off == room.shelf.end() ? room.shelf.begin() : off);
  }
  ShelfItem& item = room.shelf.emplace_back();
  item.product = product;
  return item;
}

void SayOnline(Room& room, int64_t online, int64_t ts) {
  if (ts < room.stats_ts) return;
  room.online = online;
  room.stats_ts = ts;
}

void MoveOnline(Room& room, int64_t by, int64_t ts) {
  if (ts >= room.stats_ts) room.online = std::max<int64_t>(0, room.online + by);
}

void SayAttention(Room& room, std::string_view session, const RoomAttention& said) {
  const bool here = room.live && room.session == session;
  if (here && said.ts > 0 && said.ts >= room.attention.ts) room.attention = said;
}

}  // namespace heed::state
