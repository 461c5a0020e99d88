// Everything the state holds, and who may touch it.
//
// Names are found without locks (Interner); an element's place never changes (StableVector). What is
// in a User, Host, Room or Product is guarded by the stripe of its kind and index: the writer takes
// it exclusively while it changes the element, a reader shared while it copies. The writer alone
// touches order books and what is marked "writer only"; it reads the rest without locks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "state/interner.h"
#include "state/orders.h"
#include "state/room.h"
#include "state/stable_vector.h"
#include "state/state.h"
#include "state/user.h"

namespace heed::state {

// The greatest magnitude of any amount or sum: what Restore accepts, so that sums stay finite.
inline constexpr double kMaxCounter = 1e18;
inline constexpr int64_t kMaxCount = 1'000'000'000'000'000;

struct Host {
  bool named = false;  // writer only; false: stands for a room whose host is not known
  std::atomic<Index> same_as = kNone;  // the real host, once known; that one has none in turn
  Index live_room = kNone;
  HostCounters counters;
};

struct Product {
  ProductCounters counters;
  int64_t price_cents = -1;
  int64_t bind_ts = 0;
  Stock stock;
  Index category = kNone;
  std::string title;
};

struct RoomSlot {
  Room room;
  std::atomic<int64_t> last_ts = 0;  // a copy of room.last_ts for LiveRooms
};

struct Tenant {
  OrderBook orders;                 // writer only
  mutable std::shared_mutex mutex;  // guards live
  std::vector<Index> live;          // rooms, ascending
};

class Stripes {
 public:
  std::unique_lock<std::shared_mutex> Write(Index index) const {
    return std::unique_lock(stripes_[index % kStripes].mutex);
  }
  std::shared_lock<std::shared_mutex> Read(Index index) const {
    return std::shared_lock(stripes_[index % kStripes].mutex);
  }

 private:
  static constexpr size_t kStripes = 64;
  struct alignas(64) Stripe {
    std::shared_mutex mutex;
  };
  mutable std::array<Stripe, kStripes> stripes_;
};

struct Tables {
  Interner tenant_names, user_names, host_names, room_names, product_names, category_names;
  StableVector<Tenant> tenants;
  StableVector<User> users;
  StableVector<Host> hosts;
  StableVector<RoomSlot> rooms;
  StableVector<Product> products;
  Stripes user_locks, host_locks, room_locks, product_locks;

  const Interner& names(Kind kind) const {
    switch (kind) {
      case Kind::kUser: return user_names;
      case Kind::kHost: return host_names;
      case Kind::kRoom: return room_names;
      case Kind::kProduct: return product_names;
      case Kind::kCategory: break;
    }
    return category_names;
  }
  // What stands for this host now. Any thread.
  Index Resolve(Index host) const {
    if (host >= hosts.size()) return host;
    const Index real = hosts[host].same_as.load(std::memory_order_acquire);
    return real == kNone ? host : real;
  }
};

}  // namespace heed::state
