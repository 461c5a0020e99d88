#include "state/state.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "base/hash.h"
#include "state/apply.h"
#include "state/serialize.h"
#include "state/tables.h"

namespace heed::state {
namespace {

// Share of an amount left after `age_ms`.
double Remaining(int64_t age_ms, double half_life_ms) {
  return std::exp2(-static_cast<double>(age_ms) / half_life_ms);
}

Visit ViewOf(const StoredVisit& visit, const Tables& tables) {
  return {.host = tables.Resolve(visit.host),
          .room = visit.room,
          .category = visit.category,
          .enter_ts = visit.enter_ts,
          .watch_ms = visit.watch_ms,
          .interactions = visit.interactions,
          .orders = visit.orders,
          .inside = (visit.flags & kInside) != 0};
}

// A room followed before its host was known is that host: the newest word about each counts.
std::vector<Index> Followed(std::vector<StoredFollow> follows, const Tables& tables) {
  for (StoredFollow& follow : follows) follow.host = tables.Resolve(follow.host);
  std::stable_sort(follows.begin(), follows.end(), [](const auto& a, const auto& b) {
    return a.host != b.host ? a.host < b.host : a.ts < b.ts;
  });
  std::vector<Index> hosts;
  for (size_t i = 0; i < follows.size(); ++i) {
    const bool newest = i + 1 == follows.size() || follows[i + 1].host != follows[i].host;
    if (newest && follows[i].on) hosts.push_back(follows[i].host);
  }
  return hosts;
}

bool Silent(const Tables& tables, Index room, int64_t now_ts, int64_t silent_ms) {
  return now_ts - tables.rooms[room].last_ts.load(std::memory_order_relaxed) > silent_ms;
}

std::string CategoryName(Index category, const Tables& tables) {
  return category == kNone ? std::string() : std::string(tables.category_names.id(category));
}

}  // namespace

double Decayed::At(int64_t now_ts, double half_life_ms) const {
  return now_ts <= ts ? value : value * Remaining(now_ts - ts, half_life_ms);
}

void Decayed::Add(double amount, int64_t at_ts, double half_life_ms) {
  double sum = 0;
  if (at_ts >= ts) {
    sum = At(at_ts, half_life_ms) + amount;
    ts = at_ts;
  } else {
    sum = value + amount * Remaining(ts - at_ts, half_life_ms);
  }
  value = std::clamp(sum, -kMaxCounter, kMaxCounter);
}

struct State::Impl {
  Impl() { Publish(std::make_unique<Tables>()); }

  // Readers may still be in the tables before: they are kept.
  void Publish(std::unique_ptr<Tables> next) {
    current.store(next.get(), std::memory_order_release);
    all.push_back(std::move(next));
  }
  const Tables& tables() const { return *current.load(std::memory_order_acquire); }

  mutable std::mutex writing;  // held by Apply, Restore and Serialize; guards `all`
  std::atomic<Tables*> current;
  std::vector<std::unique_ptr<Tables>> all;
  std::atomic<uint64_t> last_sequence{0};
};

State::State() : impl_(std::make_unique<Impl>()) {}
State::~State() = default;

void State::Apply(uint64_t sequence, const event::Event& event) {
  const std::lock_guard lock(impl_->writing);
  if (sequence <= impl_->last_sequence.load(std::memory_order_relaxed)) return;
  ApplyEvent(*impl_->current.load(std::memory_order_relaxed), event);
  impl_->last_sequence.store(sequence, std::memory_order_release);
}

uint64_t State::last_sequence() const {
  return impl_->last_sequence.load(std::memory_order_acquire);
}

uint64_t State::KeyOf(std::string_view tenant, std::string_view id) {
  // HashBytes of the three parts in a row: its state before the final mix goes on from one to the
  // next, so nothing need be joined.
  uint64_t hash = 0xCBF29CE484222325ull;
  const auto feed = [&](std::string_view bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3ull;
  };
  feed(tenant);
  feed(std::string_view("\0", 1));
  feed(id);
  const uint64_t key = MixHash(hash);
  return key == 0 ? 1 : key;
}

Index State::Find(Kind kind, std::string_view tenant, std::string_view id) const {
  const Tables& tables = impl_->tables();
  const Index of = tables.tenant_names.Find(0, KeyOf(tenant, {}), tenant);
  if (of == kNone) return kNone;
  const Index index = tables.names(kind).Find(of, KeyOf(tenant, id), id);
  return kind == Kind::kHost && index != kNone ? tables.Resolve(index) : index;
}

std::string State::Name(Kind kind, Index index) const {
  const Interner& names = impl_->tables().names(kind);
  return index < names.size() ? std::string(names.id(index)) : std::string();
}

uint64_t State::Key(Kind kind, Index index) const {
  const Interner& names = impl_->tables().names(kind);
  return index < names.size() ? names.key(index) : 0;
}

size_t State::Count(Kind kind) const { return impl_->tables().names(kind).size(); }

std::vector<Index> State::List(Kind kind, std::string_view tenant) const {
  const Tables& tables = impl_->tables();
  const Index of = tables.tenant_names.Find(0, KeyOf(tenant, {}), tenant);
  std::vector<Index> result;
  if (of == kNone) return result;
  const Interner& names = tables.names(kind);
  const Index count = names.size();
  for (Index i = 0; i < count; ++i) {
    if (names.tenant(i) != of) continue;
    if (kind == Kind::kHost && tables.Resolve(i) != i) continue;  // stands for another
    result.push_back(i);
  }
  return result;
}

UserView State::ReadUser(Index index) const {
  const Tables& tables = impl_->tables();
  UserView view;
  if (index >= tables.users.size()) return view;
  std::vector<StoredFollow> follows;
  {
    const auto lock = tables.user_locks.Read(index);
    const User& user = tables.users[index];
    view.user = index;
    view.visits.reserve(user.visits.size());
    for (const StoredVisit& visit : user.visits) view.visits.push_back(ViewOf(visit, tables));
    view.touches.reserve(user.touches.size());
    for (const StoredTouch& touch : user.touches) {
      view.touches.push_back(
          {touch.product, tables.Resolve(touch.host), touch.category, touch.ts, touch.touch});
    }
    view.skips.reserve(user.skips.size());
    for (const StoredSkip& skip : user.skips) {
      view.skips.push_back({tables.Resolve(skip.host), skip.ts, skip.reason});
    }
    follows = user.follows;
    view.impressions = user.impressions;
    view.enters = user.enters;
    view.clicks = user.clicks;
    view.orders = user.orders;
    view.last_ts = user.last_ts;
    view.follower_flag = user.follower;
    view.personalize = user.personalize;
    view.segment = user.segment;
  }
  view.followed_hosts = Followed(std::move(follows), tables);
  return view;
}

HostView State::ReadHost(Index index) const {
  const Tables& tables = impl_->tables();
  HostView view;
  if (index >= tables.hosts.size()) return view;
  index = tables.Resolve(index);
  const auto lock = tables.host_locks.Read(index);
  const Host& host = tables.hosts[index];
  view.host = index;
  view.live_room = host.live_room;
  view.counters = host.counters;
  return view;
}

RoomView State::ReadRoom(Index index) const {
  const Tables& tables = impl_->tables();
  RoomView view;
  if (index >= tables.rooms.size()) return view;
  {
    const auto lock = tables.room_locks.Read(index);
    const Room& room = tables.rooms[index].room;
    view.room = index;
    view.host = tables.Resolve(room.host);
    view.live = room.live;
    view.start_ts = room.start_ts;
    view.last_ts = room.last_ts;
    view.online = room.online;
    view.session = room.session;
    view.category_index = room.category;
    view.title = room.title;
    view.products.reserve(room.shelf.size());
    for (const ShelfItem& item : room.shelf) {
      view.products.push_back({item.product, item.price_cents, item.stock.Left(), item.on});
    }
    view.explaining = room.explaining;
    view.pinned = room.pinned;
    view.attention = room.attention;
    view.series = room.series;
  }
  view.category = CategoryName(view.category_index, tables);
  // What this room was not told of a product may be known from elsewhere.
  for (BoundProduct& bound : view.products) {
    if (bound.price_cents >= 0 && bound.stock) continue;
    const auto lock = tables.product_locks.Read(bound.product);
    const Product& product = tables.products[bound.product];
    if (bound.price_cents < 0) bound.price_cents = product.price_cents;
    if (!bound.stock) bound.stock = product.stock.Left();
  }
  return view;
}

ProductView State::ReadProduct(Index index) const {
  const Tables& tables = impl_->tables();
  ProductView view;
  if (index >= tables.products.size()) return view;
  const auto lock = tables.product_locks.Read(index);
  const Product& product = tables.products[index];
  view.product = index;
  view.counters = product.counters;
  view.price_cents = product.price_cents;
  view.stock = product.stock.Left();
  view.category_index = product.category;
  view.category = CategoryName(product.category, tables);
  view.title = product.title;
  return view;
}

RoomSummary State::Summarize(Index index) const {
  const Tables& tables = impl_->tables();
  if (index >= tables.rooms.size()) return {};
  const auto lock = tables.room_locks.Read(index);
  const Room& room = tables.rooms[index].room;
  RoomSummary summary{.room = index,
                      .host = tables.Resolve(room.host),
                      .live = room.live,
                      .start_ts = room.start_ts,
                      .last_ts = room.last_ts,
                      .online = room.online,
                      .category_index = room.category,
                      .explaining = room.explaining,
                      .attention = room.attention};
  for (size_t age = 0; age < std::min<size_t>(room.series.size(), 8); ++age) {
    const uint32_t enters = room.series[room.series.size() - 1 - age].enters;
    (age < 2 ? summary.minute_enters : summary.earlier_enters) += enters;
  }
  return summary;
}

std::vector<Index> State::LiveRooms(std::string_view tenant, int64_t now_ts,
                                    int64_t silent_ms) const {
  const Tables& tables = impl_->tables();
  std::vector<Index> rooms;
  const Index of = tables.tenant_names.Find(0, KeyOf(tenant, {}), tenant);
  if (of == kNone) return rooms;
  {
    const std::shared_lock lock(tables.tenants[of].mutex);
    rooms = tables.tenants[of].live;
  }
  std::erase_if(rooms, [&](Index room) { return Silent(tables, room, now_ts, silent_ms); });
  return rooms;
}

size_t State::CountLiveRooms(int64_t now_ts, int64_t silent_ms) const {
  const Tables& tables = impl_->tables();
  size_t count = 0;
  for (Index i = 0; i < tables.tenants.size(); ++i) {
    const std::shared_lock lock(tables.tenants[i].mutex);
    for (const Index room : tables.tenants[i].live) {
      count += Silent(tables, room, now_ts, silent_ms) ? 0 : 1;
    }
  }
  return count;
}

std::string State::Serialize(uint64_t* sequence) const {
  const std::lock_guard lock(impl_->writing);
  const uint64_t last = impl_->last_sequence.load(std::memory_order_relaxed);
  if (sequence != nullptr) *sequence = last;
  return SerializeTables(impl_->tables(), last);
}

Status State::Restore(std::string_view bytes) {
  auto tables = std::make_unique<Tables>();
  uint64_t last_sequence = 0;
  Status status = RestoreTables(bytes, *tables, last_sequence);
  if (!status.ok()) {
    tables = std::make_unique<Tables>();
    last_sequence = 0;
  }
  const std::lock_guard lock(impl_->writing);
  impl_->Publish(std::move(tables));
  impl_->last_sequence.store(last_sequence, std::memory_order_release);
  return status;
}

}  // namespace heed::state
