#include "state/apply.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "event/json.h"

namespace heed::state {
namespace {

template <typename T, typename... Types>
inline constexpr bool kIsOneOf = (std::is_same_v<T, Types> || ...);

// Seeing one means that the room is on air. Not so an impression (our own lists would keep a dead
// room alive), a leave, or an order paid afterwards.
template <typename T>
inline constexpr bool kSignOfLife =
    kIsOneOf<T, event::StreamQuality, event::RoomStats, event::ViewerEnter, event::ViewerHeartbeat,
             event::CommentPost, event::CommentPin, event::Like, event::Share, event::Follow,
             event::Fanclub, event::Gift, event::ProductExplainStart, event::ProductExplainEnd,
             event::ProductImpression, event::ProductClick, event::CartAdd, event::LotteryStart,
             event::LotteryJoin, event::LotteryDraw, event::FlashStart, event::FlashEnd,
             event::PollStart, event::PollVote, event::AuctionBid, event::HostSpeech,
             event::HostScene>;

template <typename T>
inline constexpr bool kChangesMore =
    kIsOneOf<T, event::StreamStart, event::StreamEnd, event::RoomStats, event::RoomImpression,
             event::ViewerEnter, event::ViewerLeave, event::ViewerHeartbeat, event::ViewerDislike,
             event::CommentPost, event::Like, event::Share, event::Follow, event::Gift,
             event::ProductBind, event::ProductExplainStart, event::ProductExplainEnd,
             event::ProductPin, event::ProductStock, event::ProductImpression, event::ProductClick,
             event::CartAdd, event::OrderCreate, event::OrderPay, event::AttentionSample>;

bool Alive(const event::RoomStats& data) { return data.online > 0; }
bool Alive(const event::ProductImpression& data) { return data.surface != event::Surface::kReplay; }
bool Alive(const event::ProductClick& data) { return data.surface != event::Surface::kReplay; }
template <typename T>
bool Alive(const T&) {
  return kSignOfLife<T>;
}

int64_t ClampCount(int64_t count) { return std::clamp<int64_t>(count, 0, kMaxCount); }
double Yuan(int64_t cents) { return static_cast<double>(ClampCount(cents)) / 100.0; }

void Bump(uint32_t& count, int64_t by = 1) {
  const int64_t room = std::numeric_limits<uint32_t>::max() - int64_t{count};
  count += static_cast<uint32_t>(std::clamp<int64_t>(by, 0, room));
}

// One event's way through the tables. It holds the locks of its room and user from Open to the end,
// those of hosts and products for each change; readers take one lock at a time, so the order in which
// they are taken does not matter.
class Application {
 public:
  Application(Tables& tables, const event::Event& event)
      : tables_(tables), event_(event), ts_(std::clamp<int64_t>(event.ts, 0, kMaxTs)) {}

  template <typename T>
  void operator()(const T& data) {
    if constexpr (kSignOfLife<T> || kChangesMore<T>) {
      Open();
      if (Alive(data)) SignOfLife();
      if constexpr (kChangesMore<T>) On(data);
    }
  }

 private:
  void Open();
  void OpenUser(const event::Actor& actor);
  void OpenHost();
  void SignOfLife();
  void SetLive(bool live);
  void SetHost(Index host);
  void MergeHost(Index from, Index into);

  uint64_t Key(std::string_view id) const { return State::KeyOf(event_.tenant, id); }
  Index InternHost(std::string_view id);
  Index NameHost(std::string_view id);
  Index InternProduct(std::string_view id);
  Index InternCategory(const std::string& name);
  Place Here() const { return {room_index_, room_->host, room_->category}; }
  uint64_t SkuKey(const std::optional<std::string>& sku) const { return sku ? Key(*sku) : 0; }

  void Earn(Decayed HostCounters::*counter, double amount) {
    const auto lock = tables_.host_locks.Write(room_->host);
    (tables_.hosts[room_->host].counters.*counter).Add(amount, ts_);
  }
  void Earn(Index product, Decayed ProductCounters::*counter, double amount, int64_t ts) {
    const auto lock = tables_.product_locks.Write(product);
    (tables_.products[product].counters.*counter).Add(amount, ts);
  }
  void Count(uint32_t SeriesStep::*counter, int64_t by = 1) {
    if (SeriesStep* step = StepAt(*room_, ts_)) Bump(step->*counter, by);
  }
  void Interacted() {
    Earn(&HostCounters::interactions, 1);
    if (user_ != nullptr) Interaction(*user_, room_index_, ts_);
  }
  void Watch(const Watched& watched);
  // The shelf of a broadcast that is over, or of one to come, or of the one on air.
  bool ShelfIsOpen();
  void AddTouch(User& user, Index product, int64_t ts, Touch touch);
  void Touched(const std::string& product_id, Touch touch);
  std::vector<Line> Lines(const std::vector<event::OrderLine>& lines);
  // The actor, else who created the order, else null.
  User* Buyer(const OrderRecord& order);
  void Settle(const std::vector<Line>& lines, User* buyer, int64_t ts);

  void On(const event::StreamStart& data);
  void On(const event::StreamEnd& data);
  void On(const event::RoomStats& data) { SayOnline(*room_, ClampCount(data.online), ts_); }
  void On(const event::RoomImpression& data);
  void On(const event::ViewerEnter& data);
  void On(const event::ViewerLeave& data);
  void On(const event::ViewerHeartbeat& data);
  void On(const event::ViewerDislike& data);
  void On(const event::CommentPost& data);
  void On(const event::Like& data);
  void On(const event::Share& data);
  void On(const event::Follow& data);
  void On(const event::Gift& data);
  void On(const event::ProductBind& data);
  void On(const event::ProductExplainStart& data);
  void On(const event::ProductExplainEnd& data);
  void On(const event::ProductPin& data);
  void On(const event::ProductStock& data);
  void On(const event::ProductImpression& data);
  void On(const event::ProductClick& data);
  void On(const event::CartAdd& data);
  void On(const event::OrderCreate& data);
  void On(const event::OrderPay& data);
  void On(const event::AttentionSample& data);

  Tables& tables_;
  const event::Event& event_;
  const int64_t ts_;
  Index tenant_ = kNone;
  Index room_index_ = kNone;
  Index user_index_ = kNone;
  RoomSlot* slot_ = nullptr;
  Room* room_ = nullptr;
  User* user_ = nullptr;  // the actor, where it is a viewer
  std::unique_lock<std::shared_mutex> room_lock_, user_lock_;
};

// An element is made before its name, so that whoever finds the name finds the element.
template <typename Element>
Index Intern(Interner& names, StableVector<Element>& elements, Index tenant, uint64_t key,
             std::string_view id) {
  const Index found = names.Find(tenant, key, id);
  if (found != kNone) return found;
  elements.Emplace();
  return names.Insert(tenant, key, id);
}

void Application::Open() {
  tenant_ = Intern(tables_.tenant_names, tables_.tenants, 0, Key({}), event_.tenant);
  room_index_ = Intern(tables_.room_names, tables_.rooms, tenant_, Key(event_.room), event_.room);
  slot_ = &tables_.rooms[room_index_];
  room_ = &slot_->room;
  room_lock_ = tables_.room_locks.Write(room_index_);
  OpenHost();
  if (event_.actor && event_.actor->kind == event::ActorKind::kViewer) OpenUser(*event_.actor);
}

void Application::OpenHost() {
  const bool from_host = event_.actor && event_.actor->kind == event::ActorKind::kHost;
  if (room_->host == kNone) {  // its first event; most often that names the host
    const auto* start = std::get_if<event::StreamStart>(&event_.data);
    if (start != nullptr && start->host_id) {
      room_->host = NameHost(*start->host_id);
    } else {
      room_->host = from_host ? NameHost(event_.actor->id) : InternHost(event_.room);
    }
  } else if (from_host && !tables_.hosts[room_->host].named) {
    SetHost(NameHost(event_.actor->id));
  }
}

void Application::OpenUser(const event::Actor& actor) {
  user_index_ = Intern(tables_.user_names, tables_.users, tenant_, Key(actor.id), actor.id);
  user_ = &tables_.users[user_index_];
  user_lock_ = tables_.user_locks.Write(user_index_);
  state::Settle(*user_, ts_);
  user_->last_ts = std::max(user_->last_ts, ts_);
  if (actor.follower && ts_ >= user_->follower_ts) {
    user_->follower = *actor.follower;
    user_->follower_ts = ts_;
  }
  // That it follows this room's host is news; that it does not may be the adapter's old list.
  if (actor.follower.value_or(false)) state::Follow(*user_, room_->host, true, ts_);
  if (actor.personalize && ts_ >= user_->personalize_ts) {
    user_->personalize = *actor.personalize;
    user_->personalize_ts = ts_;
  }
  if (actor.segment && ts_ >= user_->segment_ts) {
    user_->segment = Clip(*actor.segment);
    user_->segment_ts = ts_;
  }
}

Index Application::InternHost(std::string_view id) {
  return Intern(tables_.host_names, tables_.hosts, tenant_, Key(id), id);
}

Index Application::NameHost(std::string_view id) {
  const Index index = InternHost(id);
  Host& host = tables_.hosts[index];
  if (!host.named) {
    host.named = true;
    host.same_as.store(kNone, std::memory_order_release);
  }
  return index;
}

Index Application::InternProduct(std::string_view id) {
  return Intern(tables_.product_names, tables_.products, tenant_, Key(id), id);
}

Index Application::InternCategory(const std::string& name) {
  const std::string id = Clip(name);
  const Index found = tables_.category_names.Find(tenant_, Key(id), id);
  return found != kNone ? found : tables_.category_names.Insert(tenant_, Key(id), id);
}

void Application::SetHost(Index host) {
  const Index before = room_->host;
  if (before == host) return;
  const bool live = room_->live;
  if (live) SetLive(false);
  room_->host = host;
  if (!tables_.hosts[before].named) MergeHost(before, host);
  if (live) SetLive(true);
}

void Application::MergeHost(Index from, Index into) {
  HostCounters earned;
  {
    const auto lock = tables_.host_locks.Write(from);
    std::swap(earned, tables_.hosts[from].counters);
  }
  const auto lock = tables_.host_locks.Write(into);
  HostCounters& counters = tables_.hosts[into].counters;
  for (const auto counter :
       {&HostCounters::impressions, &HostCounters::enters, &HostCounters::short_watches,
        &HostCounters::watch_minutes, &HostCounters::interactions, &HostCounters::product_clicks,
        &HostCounters::orders, &HostCounters::revenue_yuan, &HostCounters::follows}) {
    (counters.*counter).Add((earned.*counter).value, (earned.*counter).ts);
  }
  tables_.hosts[from].same_as.store(into, std::memory_order_release);
}

void Application::SetLive(bool live) {
  room_->live = live;
  {
    Tenant& tenant = tables_.tenants[tenant_];
    const std::unique_lock lock(tenant.mutex);
    const auto at = std::lower_bound(tenant.live.begin(), tenant.live.end(), room_index_);
    const bool listed = at != tenant.live.end() && *at == room_index_;
    if (live && !listed) tenant.live.insert(at, room_index_);
    if (!live && listed) tenant.live.erase(at);
  }
  const auto lock = tables_.host_locks.Write(room_->host);
  Host& host = tables_.hosts[room_->host];
  if (live) {
    host.live_room = room_index_;
  } else if (host.live_room == room_index_) {
    host.live_room = kNone;
  }
}

void Application::SignOfLife() {
  if (!room_->live) {
    // What trails in after the end, or from before it, does not bring a broadcast back; another one
    // whose start was lost begins here.
    const bool over = room_->known && (event_.session == room_->session || ts_ < room_->end_ts);
    if (over) return;
    BeginSession(*room_, event_.session, ts_, /*start_seen=*/false);
    SetLive(true);
  } else if (!room_->start_seen && event_.session == room_->session) {
    room_->start_ts = std::min(room_->start_ts, ts_);
  }
  room_->last_ts = std::max(room_->last_ts, ts_);
  slot_->last_ts.store(room_->last_ts, std::memory_order_relaxed);
}

void Application::On(const event::StreamStart& data) {
  const bool same = room_->known && event_.session == room_->session;
  const bool stale = room_->known && !same && ts_ < std::max(room_->start_ts, room_->end_ts);
  if (stale || (same && !room_->live && ts_ < room_->end_ts)) return;
  if (data.host_id) SetHost(NameHost(*data.host_id));
  const bool older = same && room_->start_seen && ts_ < room_->start_ts;
  if (!same) {
    BeginSession(*room_, event_.session, ts_, /*start_seen=*/true);
  } else if (!room_->start_seen) {  // signs of life came first
    room_->start_seen = true;
    room_->start_ts = ts_;
  }
  room_->end_ts = 0;
  if (!older) {
    room_->title = Clip(data.title);
    if (data.category) room_->category = InternCategory(*data.category);
  }
  SetLive(true);
  room_->last_ts = std::max(room_->last_ts, ts_);
  slot_->last_ts.store(room_->last_ts, std::memory_order_relaxed);
}

void Application::On(const event::StreamEnd&) {
  const bool same = room_->session == event_.session;
  if (room_->known && (!same || !room_->live || ts_ < room_->start_ts)) return;
  if (room_->live) SetLive(false);
  EndSession(*room_, event_.session, ts_);
}

void Application::On(const event::RoomImpression&) {
  Count(&SeriesStep::impressions);
  Earn(&HostCounters::impressions, 1);
  if (user_ != nullptr) Impression(*user_, Here(), ts_);
}

void Application::On(const event::ViewerEnter&) {
  Count(&SeriesStep::enters);
  MoveOnline(*room_, 1, ts_);
  Earn(&HostCounters::enters, 1);
  if (user_ != nullptr) Enter(*user_, Here(), ts_);
}

void Application::Watch(const Watched& watched) {
  if (watched.minutes > 0) Earn(&HostCounters::watch_minutes, watched.minutes);
  if (watched.at_once) Earn(&HostCounters::short_watches, 1);
}

void Application::On(const event::ViewerLeave& data) {
  Count(&SeriesStep::exits);
  MoveOnline(*room_, -1, ts_);
  if (user_ != nullptr) Watch(Leave(*user_, Here(), ts_, data.watch_ms));
}

void Application::On(const event::ViewerHeartbeat& data) {
  if (user_ != nullptr) Watch(Heartbeat(*user_, Here(), ts_, data.watch_ms));
}

void Application::On(const event::ViewerDislike&) {
  if (user_ != nullptr) Dislike(*user_, Here(), ts_);
}

void Application::On(const event::CommentPost&) {
  Count(&SeriesStep::comments);
  Interacted();
}

void Application::On(const event::Like& data) {
  Count(&SeriesStep::likes, data.count);
  Interacted();
}

void Application::On(const event::Share&) { Interacted(); }

void Application::On(const event::Follow& data) {
  if (user_ != nullptr) state::Follow(*user_, room_->host, data.on, ts_);
  if (!data.on) return;
  Earn(&HostCounters::follows, 1);
  Interacted();
}

void Application::On(const event::Gift& data) {
  if (!data.streak_end.value_or(true)) return;  // the streak's last event carries its whole count
  Count(&SeriesStep::gifts, data.count);
  Interacted();
}

bool Application::ShelfIsOpen() {
  if (room_->live) return true;
  if (room_->known && event_.session == room_->session) return false;
  OpenShelf(*room_, event_.session);
  return true;
}

void Application::On(const event::ProductBind& data) {
  const Index index = InternProduct(data.product_id);
  const uint64_t sku = SkuKey(data.sku_id);
  {
    const auto lock = tables_.product_locks.Write(index);
    Product& product = tables_.products[index];
    if (data.stock) product.stock.Say(sku, ClampCount(*data.stock), ts_);
    if (ts_ >= product.bind_ts) {
      product.bind_ts = ts_;
      if (data.price_cents) product.price_cents = ClampCount(*data.price_cents);
      if (data.category) product.category = InternCategory(*data.category);
      if (data.title) product.title = Clip(*data.title);
    }
  }
  if (!ShelfIsOpen()) return;
  ShelfItem& item = PutOnShelf(*room_, index);
  if (data.stock) item.stock.Say(sku, ClampCount(*data.stock), ts_);
  if (ts_ < item.bind_ts) return;
  item.bind_ts = ts_;
  item.on = data.on.value_or(true);
  if (data.price_cents) item.price_cents = ClampCount(*data.price_cents);
}

void Application::On(const event::ProductExplainStart& data) {
  const Index product = InternProduct(data.product_id);
  if (!ShelfIsOpen()) return;
  PutOnShelf(*room_, product);
  if (ts_ < room_->explain_ts) return;
  room_->explaining = product;
  room_->explain_ts = ts_;
}

void Application::On(const event::ProductExplainEnd& data) {
  const Index product = InternProduct(data.product_id);
  if (!ShelfIsOpen() || ts_ < room_->explain_ts) return;
  if (room_->explaining == product) room_->explaining = kNone;
  room_->explain_ts = ts_;
}

void Application::On(const event::ProductPin& data) {
  const Index product = InternProduct(data.product_id);
  if (!ShelfIsOpen()) return;
  if (data.on) PutOnShelf(*room_, product);
  if (ts_ < room_->pin_ts) return;
  if (data.on) {
    room_->pinned = product;
  } else if (room_->pinned == product) {
    room_->pinned = kNone;
  }
  room_->pin_ts = ts_;
}

void Application::On(const event::ProductStock& data) {
  const Index index = InternProduct(data.product_id);
  const uint64_t sku = SkuKey(data.sku_id);
  {
    const auto lock = tables_.product_locks.Write(index);
    tables_.products[index].stock.Say(sku, ClampCount(data.stock), ts_);
  }
  // Of a product not laid out here it only says how many there are.
  if (ShelfItem* item = FindOnShelf(*room_, index)) {
    item->stock.Say(sku, ClampCount(data.stock), ts_);
  }
}

void Application::On(const event::ProductImpression& data) {
  const Index product = InternProduct(data.product_id);
  if (data.surface != event::Surface::kReplay && ShelfIsOpen()) PutOnShelf(*room_, product);
  Earn(product, &ProductCounters::impressions, 1, ts_);
}

void Application::AddTouch(User& user, Index product, int64_t ts, Touch touch) {
  const Index category = tables_.products[product].category;
  TouchProduct(user, {.ts = ts,
                      .product = product,
                      .host = room_->host,
                      .category = category == kNone ? room_->category : category,
                      .touch = touch});
}

void Application::Touched(const std::string& product_id, Touch touch) {
  const Index product = InternProduct(product_id);
  const bool click = touch == Touch::kClick;
  Count(click ? &SeriesStep::product_clicks : &SeriesStep::carts);
  Earn(product, click ? &ProductCounters::clicks : &ProductCounters::carts, 1, ts_);
  if (click) Earn(&HostCounters::product_clicks, 1);
  if (user_ == nullptr) return;
  if (click) ++user_->clicks;
  AddTouch(*user_, product, ts_, touch);
}

void Application::On(const event::ProductClick& data) {
  if (data.surface != event::Surface::kReplay && ShelfIsOpen()) {
    PutOnShelf(*room_, InternProduct(data.product_id));
  }
  Touched(data.product_id, Touch::kClick);
}

void Application::On(const event::CartAdd& data) {
  if (ShelfIsOpen()) PutOnShelf(*room_, InternProduct(data.product_id));
  Touched(data.product_id, Touch::kCart);
}

std::vector<Line> Application::Lines(const std::vector<event::OrderLine>& lines) {
  std::vector<Line> result;
  for (const event::OrderLine& line : lines) {
    if (result.size() == kMaxLines) break;
    result.push_back({InternProduct(line.product_id), SkuKey(line.sku_id), ClampCount(line.qty),
                      ClampCount(line.amount_cents)});
  }
  return result;
}

void Application::Settle(const std::vector<Line>& lines, User* buyer, int64_t ts) {
  for (const Line& line : lines) {
    Earn(line.product, &ProductCounters::orders, 1, ts);
    Earn(line.product, &ProductCounters::revenue_yuan, Yuan(line.amount_cents), ts);
    {
      const auto lock = tables_.product_locks.Write(line.product);
      tables_.products[line.product].stock.Sell(line.sku_key, line.qty, ts);
    }
    if (ShelfItem* item = FindOnShelf(*room_, line.product)) {
      item->stock.Sell(line.sku_key, line.qty, ts);
    }
    if (buyer != nullptr) AddTouch(*buyer, line.product, ts, Touch::kOrder);
  }
}

User* Application::Buyer(const OrderRecord& order) {
  if (user_ != nullptr || order.user == kNone) return user_;
  user_lock_ = tables_.user_locks.Write(order.user);
  return &tables_.users[order.user];
}

void Application::On(const event::OrderCreate& data) {
  std::vector<Line> lines = Lines(data.lines);
  OrderRecord& order = tables_.tenants[tenant_].orders.At(Key(data.order_id));
  if (order.user == kNone) order.user = user_index_;
  if (order.settled) return;
  if (order.pay_ts < 0) {
    if (order.lines.empty()) order.lines = std::move(lines);
    return;
  }
  order.settled = true;  // paid before we heard what it was of
  Settle(lines, Buyer(order), order.pay_ts);
}

void Application::On(const event::OrderPay& data) {
  std::vector<Line> lines;
  if (data.lines) lines = Lines(*data.lines);
  OrderRecord& order = tables_.tenants[tenant_].orders.At(Key(data.order_id));

  if (order.user == kNone) order.user = user_index_;
  User* buyer = Buyer(order);
  const int64_t cents = ClampCount(data.amount_cents);
  if (SeriesStep* step = StepAt(*room_, ts_)) {
    step->revenue_cents = ClampCount(step->revenue_cents + cents);
  }
  Earn(&HostCounters::revenue_yuan, Yuan(cents));
  if (order.pay_ts < 0) {  // a deposit and its balance are two payments of one order
    order.pay_ts = ts_;
    Count(&SeriesStep::orders);
    Earn(&HostCounters::orders, 1);
    if (buyer != nullptr) state::Order(*buyer, room_index_, ts_);
  }
  if (order.settled) return;
  if (lines.empty()) lines = std::move(order.lines);
  order.lines.clear();
  order.lines.shrink_to_fit();
  order.settled = !lines.empty();
  Settle(lines, buyer, ts_);
}

void Application::On(const event::AttentionSample& data) {
  if (data.scope.value_or(event::AttentionScope::kRoom) != event::AttentionScope::kRoom) return;
  if (!(data.a >= 0 && data.a <= 1)) return;
  const auto lift = [&](std::string_view name) {
    const std::optional<double> said =
        data.components ? event::NumberOf(*data.components, name) : std::nullopt;
    return said && *said > 0 ? std::clamp(*said, kMinLift, kMaxLift) : 0.0;
  };
  SayAttention(*room_, event_.session,
               {.ts = ts_,
                .attention = data.a + 0.0,  // one spelling of zero
                .comment_lift = lift("comment_lift"),
                .click_lift = lift("click_lift")});
}

}  // namespace

void ApplyEvent(Tables& tables, const event::Event& event) {
  if (event.flags && event.flags->test.value_or(false)) return;
  std::visit(Application(tables, event), event.data);
}

}  // namespace heed::state
