// One viewer's history and what each event does to it. Plain data: no locks, no ids, no clock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "state/state.h"

namespace heed::state {

// Times are milliseconds in [0, kMaxTs] (the year 33658), so that differences cannot overflow.
inline constexpr int64_t kMaxTs = 1'000'000'000'000'000;
// What the gap to the next enter may say at most about a visit whose leave was never seen.
inline constexpr int32_t kMaxGuessedWatchMs = 600'000;

enum VisitFlag : uint8_t {
  kInside = 1,   // neither left nor entered elsewhere since
  kLeft = 2,     // a leave closed it: final
  kGuessed = 4,  // watch_ms is the gap to the next enter, not reported
  kImplied = 8,  // known from a heartbeat or leave only; its enter may still come
};
inline constexpr uint8_t kVisitFlags = kInside | kLeft | kGuessed | kImplied;

struct StoredVisit {  // 32 bytes
  int64_t enter_ts = 0;
  Index host = kNone;
  Index room = kNone;
  Index category = kNone;
  int32_t watch_ms = -1;
  uint8_t interactions = 0;
  uint8_t orders = 0;
  uint8_t flags = 0;  // VisitFlag
};

struct StoredTouch {  // 24 bytes
  int64_t ts = 0;
  Index product = kNone;
  Index host = kNone;
  Index category = kNone;
  Touch touch = Touch::kClick;
};

struct StoredSkip {  // 24 bytes
  int64_t ts = 0;
  Index host = kNone;
  Index room = kNone;
  SkipReason reason = SkipReason::kNotEntered;
};

struct StoredFollow {  // 16 bytes
  Index host = kNone;
  bool on = false;  // false is kept, so that an older "on" cannot undo it
  int64_t ts = 0;
};

struct PendingImpression {  // the last room shown and neither entered nor skipped yet
  Index room = kNone;
  Index host = kNone;
  int64_t ts = 0;
};

// Full: visits 1.6 KB, touches 1.2, skips 0.7, follows 2.0.
struct User {
  std::vector<StoredVisit> visits;   // by enter_ts, equal ones in log order
  std::vector<StoredTouch> touches;  // by ts
  std::vector<StoredSkip> skips;     // by ts
  std::vector<StoredFollow> follows;
  PendingImpression pending;
  int64_t impressions = 0, enters = 0, clicks = 0, orders = 0;
  int64_t last_ts = 0;
  int64_t follower_ts = 0, personalize_ts = 0, segment_ts = 0;  // when last said
  bool follower = false;
  bool personalize = true;
  std::string segment;
};

// The room an event is in, as of that event.
struct Place {
  Index room = kNone;
  Index host = kNone;
  Index category = kNone;
};

// What a heartbeat or leave adds to what the host has earned.
struct Watched {
  double minutes = 0;
  bool at_once = false;  // left within kShortWatchMs
};

// Comes first at every event of the user: an impression not entered within kImpressionMs is a skip.
void Settle(User& user, int64_t ts);
void Impression(User& user, const Place& place, int64_t ts);
void Enter(User& user, const Place& place, int64_t ts);
// watch_ms: since the enter, any value; taken as at least 0 and at most 24 days.
Watched Heartbeat(User& user, const Place& place, int64_t ts, int64_t watch_ms);
Watched Leave(User& user, const Place& place, int64_t ts, int64_t watch_ms);
void Dislike(User& user, const Place& place, int64_t ts);
// Both are credited to the newest visit of the room that began at or before ts, if any.
void Interaction(User& user, Index room, int64_t ts);
void Order(User& user, Index room, int64_t ts);
void TouchProduct(User& user, const StoredTouch& touch);
void Follow(User& user, Index host, bool on, int64_t ts);

}  // namespace heed::state
