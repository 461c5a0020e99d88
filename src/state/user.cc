#include "state/user.h"

#include <algorithm>
#include <limits>

namespace heed::state {
namespace {

// Room for one more within `max`, in doubling steps: a full history holds no more than it needs.
template <typename T>
void ReserveOneMore(std::vector<T>& values, size_t max) {
  if (values.size() == values.capacity()) {
    values.reserve(std::min(max, std::max<size_t>(4, values.capacity() * 2)));
  }
}

// Keeps the newest `max` by time, equal times in order of arrival.
template <typename T>
void InsertByTime(std::vector<T>& values, const T& value, int64_t T::*time, size_t max) {
  if (values.size() == max) {
    if (value.*time < values.front().*time) return;
    values.erase(values.begin());
  }
  ReserveOneMore(values, max);
  auto at = values.end();
  while (at != values.begin() && (*(at - 1)).*time > value.*time) --at;
  values.insert(at, value);
}

void AddSkip(User& user, Index room, Index host, int64_t ts, SkipReason reason) {
  InsertByTime(user.skips, StoredSkip{ts, host, room, reason}, &StoredSkip::ts, kMaxSkips);
}

// A screen may show several rooms: one passed over for the next impression and entered all the same
// was no skip.
void RetractSkip(User& user, Index room, int64_t enter_ts) {
  for (size_t i = user.skips.size(); i-- > 0 && user.skips[i].ts >= enter_ts - kImpressionMs;) {
    const StoredSkip& skip = user.skips[i];
    if (skip.room == room && skip.reason == SkipReason::kNotEntered && skip.ts <= enter_ts) {
      user.skips.erase(user.skips.begin() + static_cast<ptrdiff_t>(i));
      return;
    }
  }
}

StoredVisit* VisitAt(User& user, Index room, int64_t ts) {
  for (size_t i = user.visits.size(); i-- > 0;) {
    StoredVisit& visit = user.visits[i];
    if (visit.room == room && visit.enter_ts <= ts) return &visit;
  }
  return nullptr;
}

StoredVisit NewVisit(const Place& place, int64_t enter_ts, int32_t watch_ms, int flags) {
  StoredVisit visit;
  visit.enter_ts = std::max<int64_t>(0, enter_ts);
  visit.host = place.host;
  visit.room = place.room;
  visit.category = place.category;
  visit.watch_ms = watch_ms;
  visit.flags = static_cast<uint8_t>(flags);
  return visit;
}

void EndByGap(StoredVisit& visit, int64_t next_enter_ts) {
  visit.flags &= static_cast<uint8_t>(~kInside);
  if (visit.watch_ms >= 0) return;
  visit.watch_ms =
      static_cast<int32_t>(std::min<int64_t>(next_enter_ts - visit.enter_ts, kMaxGuessedWatchMs));
  visit.flags |= kGuessed;
}

// A visit ends where the next begins, in whatever order the two arrive.
void AddVisit(User& user, StoredVisit visit) {
  for (StoredVisit& other : user.visits) {
    if (other.enter_ts > visit.enter_ts) {
      if ((visit.flags & kInside) != 0) EndByGap(visit, other.enter_ts);
      break;
    }
    if ((other.flags & kInside) != 0) EndByGap(other, visit.enter_ts);
  }
  InsertByTime(user.visits, visit, &StoredVisit::enter_ts, kMaxVisits);
}

// The reports of a visit may overtake its enter; then the enter only says when it really began.
bool CompleteImplied(User& user, Index room, int64_t enter_ts) {
  for (size_t i = user.visits.size(); i-- > 0;) {
    StoredVisit visit = user.visits[i];
    if (visit.room != room || (visit.flags & kImplied) == 0) continue;
    if (enter_ts < visit.enter_ts - kImpressionMs || enter_ts > visit.enter_ts + visit.watch_ms) {
      continue;
    }
    user.visits.erase(user.visits.begin() + static_cast<ptrdiff_t>(i));
    visit.enter_ts = enter_ts;
    visit.flags &= static_cast<uint8_t>(~kImplied);
    AddVisit(user, visit);
    return true;
  }
  return false;
}

int32_t ClampWatch(int64_t watch_ms) {
  return static_cast<int32_t>(
      std::clamp<int64_t>(watch_ms, 0, std::numeric_limits<int32_t>::max()));
}

// Writes a report into the visit; returns the minutes that were not reported before.
double Report(StoredVisit& visit, int32_t watch_ms) {
  const int32_t before = (visit.flags & kGuessed) != 0 ? 0 : std::max(visit.watch_ms, 0);
  visit.watch_ms = watch_ms;
  visit.flags &= static_cast<uint8_t>(~kGuessed);
  return watch_ms > before ? (watch_ms - before) / 60'000.0 : 0.0;
}

// Whether a report that covers [ts - watch_ms, ts] can be of this visit, which has ended: it repeats
// what is known, comes late, or replaces a guess.
bool Covers(const StoredVisit& visit, int64_t ts, int32_t watch_ms) {
  return visit.enter_ts + visit.watch_ms >= ts - watch_ms;
}

// Whether such a report may still change the visit.
bool IsOpen(const StoredVisit& visit, int64_t ts, int32_t watch_ms) {
  if ((visit.flags & kLeft) != 0) return false;
  return (visit.flags & kInside) != 0 || Covers(visit, ts, watch_ms);
}

}  // namespace

void Settle(User& user, int64_t ts) {
  if (user.pending.room != kNone && ts > user.pending.ts + kImpressionMs) {
    const PendingImpression shown = user.pending;
    user.pending = {};
    AddSkip(user, shown.room, shown.host, shown.ts, SkipReason::kNotEntered);
  }
}

void Impression(User& user, const Place& place, int64_t ts) {
  ++user.impressions;
  for (const StoredVisit& visit : user.visits) {
    const bool inside = (visit.flags & kInside) != 0 && visit.enter_ts <= ts;
    const bool entered = visit.enter_ts >= ts && visit.enter_ts <= ts + kImpressionMs;
    if (visit.room == place.room && (inside || entered)) return;
  }
  PendingImpression& pending = user.pending;
  if (pending.room == place.room) {
    pending.ts = std::max(pending.ts, ts);
  } else if (pending.room == kNone) {
    pending = {place.room, place.host, ts};
  } else if (ts >= pending.ts) {
    AddSkip(user, pending.room, pending.host, pending.ts, SkipReason::kNotEntered);
    pending = {place.room, place.host, ts};
  } else {  // an older one, already passed over for the pending one
    AddSkip(user, place.room, place.host, ts, SkipReason::kNotEntered);
  }
}

void Enter(User& user, const Place& place, int64_t ts) {
  ++user.enters;
  PendingImpression& pending = user.pending;
  if (pending.room == place.room) {
    if (ts >= pending.ts - kImpressionMs) pending = {};
  } else if (pending.room != kNone && ts >= pending.ts) {
    AddSkip(user, pending.room, pending.host, pending.ts, SkipReason::kNotEntered);
    pending = {};
  }
  RetractSkip(user, place.room, ts);
  if (CompleteImplied(user, place.room, ts)) return;
  AddVisit(user, NewVisit(place, ts, -1, kInside));
}

Watched Heartbeat(User& user, const Place& place, int64_t ts, int64_t watch_ms) {
  const int32_t watch = ClampWatch(watch_ms);
  if (StoredVisit* visit = VisitAt(user, place.room, ts)) {
    if (IsOpen(*visit, ts, watch)) {
      const bool grows = (visit->flags & kGuessed) != 0 || watch > visit->watch_ms;
      return {.minutes = grows ? Report(*visit, watch) : 0.0};
    }
    if (Covers(*visit, ts, watch)) return {};
  }
  AddVisit(user, NewVisit(place, ts - watch, watch, kInside | kImplied));
  return {.minutes = watch / 60'000.0};
}

Watched Leave(User& user, const Place& place, int64_t ts, int64_t watch_ms) {
  const int32_t watch = ClampWatch(watch_ms);
  Watched watched{.at_once = watch < kShortWatchMs};
  Index host = place.host;
  StoredVisit* visit = VisitAt(user, place.room, ts);
  if (visit != nullptr && IsOpen(*visit, ts, watch)) {
    watched.minutes = Report(*visit, watch);
    visit->flags = static_cast<uint8_t>((visit->flags & ~kInside) | kLeft);
    host = visit->host;
  } else if (visit != nullptr && Covers(*visit, ts, watch)) {
    return {};
  } else {
    watched.minutes = watch / 60'000.0;
    AddVisit(user, NewVisit(place, ts - watch, watch, kLeft | kImplied));
  }
  if (watched.at_once) AddSkip(user, place.room, host, ts, SkipReason::kLeftAtOnce);
  return watched;
}

void Dislike(User& user, const Place& place, int64_t ts) {
  if (user.pending.room == place.room) user.pending = {};
  AddSkip(user, place.room, place.host, ts, SkipReason::kDislike);
}

void Interaction(User& user, Index room, int64_t ts) {
  StoredVisit* visit = VisitAt(user, room, ts);
  if (visit != nullptr && visit->interactions < 255) ++visit->interactions;
}

void Order(User& user, Index room, int64_t ts) {
  ++user.orders;
  StoredVisit* visit = VisitAt(user, room, ts);
  if (visit != nullptr && visit->orders < 255) ++visit->orders;
}

void TouchProduct(User& user, const StoredTouch& touch) {
  InsertByTime(user.touches, touch, &StoredTouch::ts, kMaxTouches);
}

void Follow(User& user, Index host, bool on, int64_t ts) {
  std::vector<StoredFollow>& follows = user.follows;
  const auto found = std::find_if(follows.begin(), follows.end(),
                                  [&](const StoredFollow& follow) { return follow.host == host; });
  if (found != follows.end()) {
    if (ts >= found->ts) *found = {host, on, ts};
    return;
  }
  if (follows.size() == kMaxFollows) {
    if (!on) return;
    // The least worth keeping: what is off, then what is oldest.
    const auto least = std::min_element(follows.begin(), follows.end(),
                                        [](const StoredFollow& a, const StoredFollow& b) {
                                          return a.on != b.on ? !a.on : a.ts < b.ts;
                                        });
    follows.erase(least);
  }
  ReserveOneMore(follows, kMaxFollows);
  follows.push_back({host, on, ts});
}

}  // namespace heed::state
