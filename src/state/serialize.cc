#include "state/serialize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/bytes.h"

namespace heed::state {
namespace {

constexpr uint32_t kMagic = 0x54534448;  // "HDST"
constexpr uint32_t kVersion = 2;

struct Sizes {  // what references must stay below
  size_t users, hosts, rooms, products, categories;
};

// The layout of each element is written once, as a function `Fields` that both directions walk:
// Out writes what it is given, In reads into it and fails on what Out would not have written.
class Out {
 public:
  explicit Out(std::string& bytes) : writer_(bytes) {}

  void Count(int64_t value) { writer_.Varint(static_cast<uint64_t>(value)); }
  void Count32(uint32_t value) { writer_.Varint(value); }
  void OrMinusOne(int64_t value) { writer_.Varint(static_cast<uint64_t>(value + 1)); }
  void Watch(int32_t value) { OrMinusOne(value); }
  template <typename T>
  void Byte(T value, T /*min*/, T /*max*/) {
    writer_.Fixed(static_cast<uint8_t>(value));
  }
  void Bool(bool value) { writer_.Fixed(static_cast<uint8_t>(value)); }
  void Hash(uint64_t value) { writer_.Fixed(value); }
  void Sum(const Decayed& sum) {
    writer_.Fixed(sum.value);
    Count(sum.ts);
  }
  void Number(double value, double /*min*/, double /*max*/) { writer_.Fixed(value); }
  void Text(const std::string& text) { writer_.String(text); }
  void Ref(Index index, size_t /*count*/) { writer_.Varint(index); }
  void MaybeRef(Index index, size_t /*count*/) {
    writer_.Varint(index == kNone ? 0 : uint64_t{index} + 1);
  }
  template <typename T, typename F>
  void List(const std::vector<T>& values, size_t /*max*/, const F& fields) {
    writer_.Varint(values.size());
    for (const T& value : values) fields(value);
  }
  template <typename T>
  void Ascending(const std::vector<T>&, int64_t T::*) {}
  void Require(bool) {}

 private:
  ByteWriter writer_;
};

class In {
 public:
  explicit In(std::string_view bytes) : reader_(bytes) {}

  ByteReader& reader() { return reader_; }
  void Require(bool holds) {
    if (!holds) reader_.Fail();
  }

  void Count(int64_t& value) { value = static_cast<int64_t>(AtMost(kMaxCount)); }
  void Count32(uint32_t& value) {
    value = static_cast<uint32_t>(AtMost(std::numeric_limits<uint32_t>::max()));
  }
  void OrMinusOne(int64_t& value) { value = static_cast<int64_t>(AtMost(kMaxCount + 1)) - 1; }
  void Watch(int32_t& value) {
    const uint64_t limit = uint64_t{std::numeric_limits<int32_t>::max()} + 1;
    value = static_cast<int32_t>(static_cast<int64_t>(AtMost(limit)) - 1);
  }
  template <typename T>
  void Byte(T& value, T min, T max) {
    const auto byte = reader_.Fixed<uint8_t>();
    Require(byte >= static_cast<uint8_t>(min) && byte <= static_cast<uint8_t>(max));
    value = reader_.ok() ? static_cast<T>(byte) : min;
  }
  void Bool(bool& value) {
    uint8_t byte = 0;
    Byte<uint8_t>(byte, 0, 1);
    value = byte == 1;
  }
  void Hash(uint64_t& value) { value = reader_.Fixed<uint64_t>(); }
  void Sum(Decayed& sum) {
    sum.value = reader_.Fixed<double>();
    Require(std::abs(sum.value) <= kMaxCounter);  // not so for a NaN
    Count(sum.ts);
  }
  void Number(double& value, double min, double max) {
    value = reader_.Fixed<double>();
    Require(value >= min && value <= max && !std::signbit(value));  // not so for a NaN
  }
  void Text(std::string& text) { text = reader_.String(); }
  void Ref(Index& index, size_t count) {
    const uint64_t value = reader_.Varint();
    Require(value < count);
    index = static_cast<Index>(value);
  }
  void MaybeRef(Index& index, size_t count) {
    const uint64_t value = AtMost(count);
    index = value == 0 ? kNone : static_cast<Index>(value - 1);
  }
  template <typename T, typename F>
  void List(std::vector<T>& values, size_t max, const F& fields) {
    const uint64_t count = AtMost(max);
    values.reserve(std::min<uint64_t>(count, reader_.remaining()));  // each takes a byte or more
    for (uint64_t i = 0; i < count && reader_.ok(); ++i) fields(values.emplace_back());
  }
  template <typename T>
  void Ascending(const std::vector<T>& values, int64_t T::*time) {
    Require(std::is_sorted(values.begin(), values.end(),
                           [&](const T& a, const T& b) { return a.*time < b.*time; }));
  }

 private:
  uint64_t AtMost(uint64_t limit) {
    const uint64_t value = reader_.Varint();
    Require(value <= limit);
    return reader_.ok() ? value : 0;
  }

  ByteReader reader_;
};

// In each: V is the element or its const form, as the direction needs.

template <typename Io, typename V>
void UserFields(Io& io, V& user, const Sizes& sizes) {
  io.List(user.visits, kMaxVisits, [&](auto& visit) {
    io.Ref(visit.host, sizes.hosts);
    io.Ref(visit.room, sizes.rooms);
    io.MaybeRef(visit.category, sizes.categories);
    io.Count(visit.enter_ts);
    io.Watch(visit.watch_ms);
    io.template Byte<uint8_t>(visit.interactions, 0, 255);
    io.template Byte<uint8_t>(visit.orders, 0, 255);
    io.template Byte<uint8_t>(visit.flags, 0, kVisitFlags);
  });
  io.Ascending(user.visits, &StoredVisit::enter_ts);
  io.List(user.touches, kMaxTouches, [&](auto& touch) {
    io.Ref(touch.product, sizes.products);
    io.Ref(touch.host, sizes.hosts);
    io.MaybeRef(touch.category, sizes.categories);
    io.Count(touch.ts);
    io.Byte(touch.touch, Touch::kClick, Touch::kOrder);
  });
  io.Ascending(user.touches, &StoredTouch::ts);
  io.List(user.skips, kMaxSkips, [&](auto& skip) {
    io.Ref(skip.host, sizes.hosts);
    io.Ref(skip.room, sizes.rooms);
    io.Count(skip.ts);
    io.Byte(skip.reason, SkipReason::kNotEntered, SkipReason::kDislike);
  });
  io.Ascending(user.skips, &StoredSkip::ts);
  io.List(user.follows, kMaxFollows, [&](auto& follow) {
    io.Ref(follow.host, sizes.hosts);
    io.Bool(follow.on);
    io.Count(follow.ts);
  });
  io.MaybeRef(user.pending.room, sizes.rooms);
  if (user.pending.room != kNone) {
    io.Ref(user.pending.host, sizes.hosts);
    io.Count(user.pending.ts);
  }
  io.Count(user.impressions);
  io.Count(user.enters);
  io.Count(user.clicks);
  io.Count(user.orders);
  io.Count(user.last_ts);
  io.Count(user.follower_ts);
  io.Count(user.personalize_ts);
  io.Count(user.segment_ts);
  io.Bool(user.follower);
  io.Bool(user.personalize);
  io.Text(user.segment);
}

template <typename Io, typename V>
void HostFields(Io& io, V& host, const Sizes& sizes) {
  io.Bool(host.named);
  io.MaybeRef(host.live_room, sizes.rooms);
  auto& c = host.counters;
  for (auto* sum : {&c.impressions, &c.enters, &c.short_watches, &c.watch_minutes, &c.interactions,
                    &c.product_clicks, &c.orders, &c.revenue_yuan, &c.follows}) {
    io.Sum(*sum);
  }
}

template <typename Io, typename V>
void StockFields(Io& io, V& stock) {
  io.OrMinusOne(stock.whole);
  io.Count(stock.whole_ts);
  io.List(stock.skus, kMaxSkus, [&](auto& sku) {
    io.Hash(sku.key);
    io.Count(sku.count);
    io.Count(sku.ts);
  });
}

template <typename Io, typename V>
void SeriesFields(Io& io, V& series) {
  io.List(series, kSeriesSteps, [&](auto& step) {
    io.Count32(step.impressions);
    io.Count32(step.enters);
    io.Count32(step.exits);
    io.Count32(step.comments);
    io.Count32(step.likes);
    io.Count32(step.product_clicks);
    io.Count32(step.carts);
    io.Count32(step.orders);
    io.Count32(step.gifts);
    io.Count(step.revenue_cents);
  });
  if (series.empty()) return;
  // Steps are without gaps: the first one's number says when each begins.
  int64_t first = series.front().start_ts / kSeriesStepMs;
  io.Count(first);
  if constexpr (!std::is_const_v<V>) {
    io.Require(first <= kMaxTs / kSeriesStepMs);
    for (SeriesStep& step : series) step.start_ts = kSeriesStepMs * first++;
  }
}

template <typename Io, typename V>
void RoomFields(Io& io, V& room, const Sizes& sizes) {
  io.Ref(room.host, sizes.hosts);
  io.Bool(room.live);
  io.Bool(room.start_seen);
  io.Bool(room.known);
  io.Count(room.start_ts);
  io.Count(room.end_ts);
  io.Count(room.floor_ts);
  io.Count(room.last_ts);
  io.Count(room.online);
  io.Count(room.stats_ts);
  io.Count(room.explain_ts);
  io.Count(room.pin_ts);
  io.MaybeRef(room.category, sizes.categories);
  io.MaybeRef(room.explaining, sizes.products);
  io.MaybeRef(room.pinned, sizes.products);
  io.Text(room.session);
  io.Text(room.shelf_session);
  io.Text(room.title);
  io.List(room.shelf, kMaxBound, [&](auto& item) {
    io.Ref(item.product, sizes.products);
    io.OrMinusOne(item.price_cents);
    StockFields(io, item.stock);
    io.Bool(item.on);
    io.Count(item.bind_ts);
  });
  SeriesFields(io, room.series);
  auto& attention = room.attention;
  io.Count(attention.ts);
  if (attention.ts == 0) return;
  io.Number(attention.attention, 0, 1);
  io.Number(attention.comment_lift, 0, kMaxLift);
  io.Number(attention.click_lift, 0, kMaxLift);
}

template <typename Io, typename V>
void ProductFields(Io& io, V& product, const Sizes& sizes) {
  auto& c = product.counters;
  for (auto* sum : {&c.impressions, &c.clicks, &c.carts, &c.orders, &c.revenue_yuan}) io.Sum(*sum);
  io.OrMinusOne(product.price_cents);
  io.Count(product.bind_ts);
  StockFields(io, product.stock);
  io.MaybeRef(product.category, sizes.categories);
  io.Text(product.title);
}

template <typename Io, typename V>
void OrderFields(Io& io, V& order, const Sizes& sizes) {
  io.Hash(order.key);
  io.MaybeRef(order.user, sizes.users);
  io.OrMinusOne(order.pay_ts);
  io.Bool(order.settled);
  io.List(order.lines, kMaxLines, [&](auto& line) {
    io.Ref(line.product, sizes.products);
    io.Hash(line.sku_key);
    io.Count(line.qty);
    io.Count(line.amount_cents);
  });
}

void WriteNames(ByteWriter& writer, const Interner& names) {
  writer.Varint(names.size());
  for (Index i = 0; i < names.size(); ++i) {
    writer.Varint(names.tenant(i));
    writer.String(names.id(i));
  }
}

// Calls `make` for each. `tenants`: their names, or null when it is those being read.
template <typename F>
void ReadNames(ByteReader& reader, Interner& names, const Interner* tenants, const F& make) {
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const uint64_t tenant = reader.Varint();
    const std::string_view id = reader.String();
    if (tenant >= (tenants == nullptr ? 1 : tenants->size())) return reader.Fail();
    const auto of = static_cast<Index>(tenant);
    const uint64_t key =
        tenants == nullptr ? State::KeyOf(id, {}) : State::KeyOf(tenants->id(of), id);
    if (!reader.ok() || names.Find(of, key, id) != kNone) return reader.Fail();
    make();
    names.Insert(of, key, id);
  }
}

// What the writer relies on beyond single fields: one step of aliases, and the lists of live rooms.
void Connect(In& in, Tables& tables) {
  for (Index i = 0; i < tables.hosts.size(); ++i) {
    const Host& host = tables.hosts[i];
    const Index real = host.same_as.load(std::memory_order_relaxed);
    if (real != kNone) in.Require(!host.named && tables.hosts[real].named);
  }
  for (Index i = 0; i < tables.rooms.size(); ++i) {
    RoomSlot& slot = tables.rooms[i];
    in.Require(slot.room.known || !slot.room.live);
    slot.last_ts.store(slot.room.last_ts, std::memory_order_relaxed);
    if (slot.room.live) tables.tenants[tables.room_names.tenant(i)].live.push_back(i);
  }
}

}  // namespace

std::string SerializeTables(const Tables& tables, uint64_t last_sequence) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.Fixed(kMagic);
  writer.Fixed(kVersion);
  writer.Varint(last_sequence);
  for (const Interner* names :
       {&tables.tenant_names, &tables.user_names, &tables.host_names, &tables.room_names,
        &tables.product_names, &tables.category_names}) {
    WriteNames(writer, *names);
  }
  const Sizes sizes{};  // references are checked when read
  Out out(bytes);
  for (Index i = 0; i < tables.users.size(); ++i) UserFields(out, tables.users[i], sizes);
  for (Index i = 0; i < tables.hosts.size(); ++i) {
    HostFields(out, tables.hosts[i], sizes);
    out.MaybeRef(tables.hosts[i].same_as.load(std::memory_order_relaxed), 0);
  }
  for (Index i = 0; i < tables.rooms.size(); ++i) RoomFields(out, tables.rooms[i].room, sizes);
  for (Index i = 0; i < tables.products.size(); ++i) ProductFields(out, tables.products[i], sizes);
  for (Index i = 0; i < tables.tenants.size(); ++i) {
    const auto& orders = tables.tenants[i].orders.records();
    writer.Varint(orders.size());
    for (const OrderRecord& order : orders) OrderFields(out, order, sizes);
  }
  return bytes;
}

Status RestoreTables(std::string_view bytes, Tables& tables, uint64_t& last_sequence) {
  In in(bytes);
  ByteReader& reader = in.reader();
  if (reader.Fixed<uint32_t>() != kMagic) return Corruption("state: not a state image");
  if (const auto version = reader.Fixed<uint32_t>(); version != kVersion) {
    return Corruption("state: version " + std::to_string(version) + " is not known");
  }
  last_sequence = reader.Varint();
  ReadNames(reader, tables.tenant_names, nullptr, [&] { tables.tenants.Emplace(); });
  const Interner* tenants = &tables.tenant_names;
  ReadNames(reader, tables.user_names, tenants, [&] { tables.users.Emplace(); });
  ReadNames(reader, tables.host_names, tenants, [&] { tables.hosts.Emplace(); });
  ReadNames(reader, tables.room_names, tenants, [&] { tables.rooms.Emplace(); });
  ReadNames(reader, tables.product_names, tenants, [&] { tables.products.Emplace(); });
  ReadNames(reader, tables.category_names, tenants, [] {});
  const Sizes sizes{.users = tables.users.size(),
                    .hosts = tables.hosts.size(),
                    .rooms = tables.rooms.size(),
                    .products = tables.products.size(),
                    .categories = tables.category_names.size()};
  for (Index i = 0; i < sizes.users && reader.ok(); ++i) UserFields(in, tables.users[i], sizes);
  for (Index i = 0; i < sizes.hosts && reader.ok(); ++i) {
    HostFields(in, tables.hosts[i], sizes);
    Index same_as = kNone;
    in.MaybeRef(same_as, sizes.hosts);
    tables.hosts[i].same_as.store(same_as, std::memory_order_relaxed);
  }
  for (Index i = 0; i < sizes.rooms && reader.ok(); ++i)
    RoomFields(in, tables.rooms[i].room, sizes);
  for (Index i = 0; i < sizes.products && reader.ok(); ++i)
    ProductFields(in, tables.products[i], sizes);
  for (Index i = 0; i < tables.tenants.size() && reader.ok(); ++i) {
    std::vector<OrderRecord> orders;
    in.List(orders, kMaxOrders, [&](OrderRecord& order) { OrderFields(in, order, sizes); });
    for (OrderRecord& order : orders) in.Require(tables.tenants[i].orders.Append(std::move(order)));
  }
  if (reader.ok()) Connect(in, tables);
  if (!reader.ok() || reader.remaining() != 0) {
    return Corruption("state: image is damaged, cut short or longer than it says");
  }
  return {};
}

}  // namespace heed::state
