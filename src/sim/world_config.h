// What the simulated world is like. The defaults follow published figures of live platforms;
// docs/simulator.md gives the source of each and what was measured here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace heed::sim {

inline constexpr size_t kCategories = 12;
inline constexpr int64_t kSecondMs = 1000;
inline constexpr int64_t kMinuteMs = 60 * kSecondMs;
inline constexpr int64_t kHourMs = 60 * kMinuteMs;
inline constexpr int64_t kDayMs = 24 * kHourMs;

struct WorldConfig {
  uint64_t seed = 1;
  size_t users = 4000;
  size_t hosts = 600;
  size_t products_per_host = 8;
  int64_t start_ts = 1'764'000'000'000;  // what the world's clock calls 18:00 of the first day
  int64_t duration_ms = 6 * kHourMs;     // the world ends after it; 0: never
  // True: it is always the peak hour, hosts come back soon after they end. For a demo that goes on.
  // False: the day has its shape, with the peak from 18:00 to 24:00.
  bool endless_evening = false;
  std::string tenant = "demo";

  double enter_share = 0.279;         // of shown rooms that are entered
  double mean_stay_s = 120;           // per entry, short ones included
  double short_stay_share = 0.30;     // of entries that end within three seconds
  double comments_per_minute = 0.02;  // per viewer inside
  double opens_per_evening = 2.0;     // mean times a user opens the app between 18:00 and 24:00
  double shows_per_open = 12;         // mean rooms shown each time
  double home_share = 0.27;           // users who have hosts they return to daily
  int64_t heartbeat_ms = 30 * kSecondMs;
  int64_t stats_ms = 2 * kMinuteMs;  // between room.stats of one room
};

}  // namespace heed::sim
