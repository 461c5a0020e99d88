// Who lives in the simulated world and what is true of them. Made once, from the seed; only the
// members under "now" change while the world runs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/world_config.h"

namespace heed::sim {

inline constexpr size_t kDims = 8;  // of hidden taste, style and appeal
inline constexpr uint32_t kNobody = ~uint32_t{0};

using Vector = std::array<float, kDims>;  // entries are standard normal over the population

struct Product {
  std::string id;
  uint32_t host = kNobody;
  uint8_t category = 0;
  std::string title;
  int64_t price_cents = 0;
  int64_t list_price_cents = 0;
  Vector appeal{};
  float charm = 0;         // liked by everyone, in log-odds
  float price_level = 0;   // log of price over its category's usual price
  int64_t full_stock = 0;  // at the start of each broadcast
  int64_t stock = 0;       // now
};

// A host and, while live, the room of the current broadcast.
struct Host {
  std::string id;
  std::string name;
  uint8_t category = 0;
  Vector style{};
  float quality = 0;      // liked by everyone, in log-odds
  double popularity = 0;  // weight in the platform's feed
  double start_hour = 0;  // habitual, hours of the world's clock
  double session_ms = 0;  // mean length of a broadcast
  std::vector<uint32_t> products;
  std::vector<uint32_t> fans;  // users whose home this is

  // now
  bool live = false;
  uint32_t broadcasts = 0;
  std::string room;
  std::string session;
  int64_t start_ts = 0;
  int64_t end_ts = 0;
  uint32_t explaining = kNobody;  // product
  int64_t explain_ts = 0;
  size_t next_explain = 0;  // index in products
  std::string coupon;       // last issued in this broadcast; empty: none
  int64_t coupon_left = 0;
  int64_t entries = 0;
  int64_t likes = 0;
  std::vector<uint32_t> viewers;
};

// What ties a user to a host. The strength is in [0, kMaxBond].
struct Bond {
  uint32_t host = kNobody;
  float strength = 0;
  int64_t last_ts = 0;  // end of the last visit
  bool follows = false;
};
inline constexpr float kMaxBond = 1.5f;
inline constexpr size_t kMaxBonds = 12;

// A room shown lately: the same one again so soon is less welcome.
struct Seen {
  uint32_t host = kNobody;
  float weight = 0;
  int64_t ts = 0;
};
inline constexpr size_t kMaxSeen = 16;

enum class Phase : uint8_t { kAway, kBrowsing, kInRoom };

struct User {
  std::string id;
  Vector taste{};
  std::array<float, kCategories> affinity{};  // log-odds for a category's rooms
  float price_sense = 0;                      // log-odds lost per unit of price level
  float talk = 1;                             // multiplies comments, likes, shares
  float spend = 1;                            // multiplies gifts and orders; very long tail
  double opens_per_evening = 0;
  std::array<Seen, kMaxSeen> seen{};
  size_t next_seen = 0;
  std::array<Bond, kMaxBonds> bonds{};
  size_t bond_count = 0;
  // Interest in each category that tonight's visits have left, halved every kInterestHalfLifeMs.
  std::array<float, kCategories> interest{};
  int64_t interest_ts = 0;

  // now
  Phase phase = Phase::kAway;
  uint32_t turn = 0;        // queue entries of an earlier turn are void
  uint32_t shows_left = 0;  // rooms still to be shown before the app is closed
  uint32_t page_left = 0;
  uint32_t position = 0;
  uint64_t request = 0;
  uint32_t host = kNobody;  // inside this room, or about to enter it
  size_t place = 0;         // index in the room's viewers
  bool entering = false;
  const char* channel = "";
  bool paid = false;
  int64_t enter_ts = 0;
  int64_t leave_ts = 0;
  int64_t heartbeat_ts = 0;
  uint32_t shown = kNobody;     // product last shown in this visit
  uint32_t clicking = kNobody;  // product to be clicked at the next turn
  uint32_t ordering = kNobody;  // product to be ordered at the next turn; one is held for them
  bool from_card = false;       // the click is on the card, not in the bag
  bool dislikes = false;        // will say so when leaving
  uint32_t wanted = kNobody;    // a home that has just gone live, shown first
  std::string coupon;           // claimed last, of `coupon_host`
  uint32_t coupon_host = kNobody;
};

struct Population {
  std::vector<Host> hosts;
  std::vector<Product> products;
  std::vector<User> users;
};

// Deterministic in the configuration.
Population MakePopulation(const WorldConfig& config);

}  // namespace heed::sim
