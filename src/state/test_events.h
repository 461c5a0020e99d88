// Events for this module's tests, benchmark and fuzzer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/random.h"
#include "event/event.h"
#include "state/state.h"

namespace heed::state {

inline constexpr int64_t kStartTs = 1'764'000'000'000;

// An event of tenant t1, room r1, session s1; `user` empty: no actor.
template <typename Data>
event::Event MakeEvent(int64_t ts, std::string user, Data data) {
  event::Event event;
  event.ts = ts;
  event.tenant = "t1";
  event.room = "r1";
  event.session = "s1";
  event.src = {.platform = "test", .adapter = "test", .raw_type = {}, .raw_id = {}, .extra = {}};
  if (!user.empty()) {
    event.actor.emplace();
    event.actor->id = std::move(user);
    event.actor->kind = event::ActorKind::kViewer;
  }
  event.data = std::move(data);
  return event;
}

inline event::Event InRoom(std::string room, event::Event event) {
  event.session = "s-" + room;
  event.room = std::move(room);
  return event;
}

inline event::StreamStart StartOf(std::string host) {
  event::StreamStart start;
  start.title = "show";
  start.host_id = std::move(host);
  return start;
}

template <typename Data>
Data OfProduct(const std::string& product) {
  Data data;
  data.product_id = product;
  return data;
}

inline event::OrderLine LineOf(std::string product, int64_t qty, int64_t amount_cents) {
  event::OrderLine line;
  line.product_id = std::move(product);
  line.qty = qty;
  line.amount_cents = amount_cents;
  return line;
}

// A small town: every event type that changes state, and some that do not, from a few tenants,
// rooms, users and products, mostly in time order, with times jumping back and forth now and then.
class RandomEvents {
 public:
  explicit RandomEvents(uint64_t seed) : random_(seed) {}

  event::Event Next() {
    now_ += static_cast<int64_t>(random_.Below(random_.Chance(0.01) ? 2'000'000 : 4'000));
    const int64_t late = random_.Chance(0.1) ? static_cast<int64_t>(random_.Below(90'000)) : 0;
    event::Event event = MakeEvent(now_ - late, {}, event::HostScene{});
    event.tenant = Pick("t", 2);
    event.room = Pick("r", 4);
    event.session = event.room + Pick("s", random_.Chance(0.05) ? 4 : 1);
    if (random_.Chance(0.9)) {
      event.actor.emplace();
      event.actor->id = Pick("u", 12);
      event.actor->kind =
          random_.Chance(0.02) ? event::ActorKind::kHost : event::ActorKind::kViewer;
      if (random_.Chance(0.1)) event.actor->follower = random_.Chance(0.5);
      if (random_.Chance(0.02)) event.actor->personalize = random_.Chance(0.5);
      if (random_.Chance(0.02)) event.actor->segment = Pick("segment", 3);
    }
    if (random_.Chance(0.01))
      event.flags =
          event::Flags{.late = {}, .estimated = {}, .test = true, .backfill = {}, .extra = {}};
    FillData(event);
    return event;
  }

 private:
  std::string Pick(const char* prefix, uint64_t of) {
    return prefix + std::to_string(random_.Below(of));
  }
  int64_t Below(uint64_t of) { return static_cast<int64_t>(random_.Below(of)); }
  event::Surface AnySurface() { return static_cast<event::Surface>(random_.Below(5)); }
  std::vector<event::OrderLine> Lines() {
    std::vector<event::OrderLine> lines;
    for (uint64_t i = random_.Below(3) + 1; i-- > 0;) {
      lines.push_back(LineOf(Pick("p", 8), Below(3) + 1, Below(50'000)));
      if (random_.Chance(0.3)) lines.back().sku_id = Pick("sku", 3);
    }
    return lines;
  }

  void FillData(event::Event& event) {
    switch (random_.Below(30)) {
      case 0: event.data = Start(); break;
      case 1: event.data = event::StreamEnd{}; break;
      case 2: event.data = Stats(); break;
      case 3:
      case 4:
      case 5: event.data = event::RoomImpression{}; break;
      case 6:
      case 7:
      case 8: event.data = event::ViewerEnter{}; break;
      case 9:
      case 10: event.data = Leave(); break;
      case 11:
      case 12:
      case 13: event.data = Heartbeat(); break;
      case 14: event.data = event::ViewerDislike{}; break;
      case 15: event.data = event::CommentPost{}; break;
      case 16: event.data = LikeOf(); break;
      case 17: event.data = random_.Chance(0.5) ? FollowOf() : event::Follow{}; break;
      case 18: event.data = GiftOf(); break;
      case 19:
      case 20: event.data = Bind(); break;
      case 21: event.data = OfProduct<event::ProductExplainStart>(Pick("p", 8)); break;
      case 22: event.data = OfProduct<event::ProductExplainEnd>(Pick("p", 8)); break;
      case 23: event.data = Pin(); break;
      case 24: event.data = StockOf(); break;
      case 25: event.data = Click(); break;
      case 26: event.data = OfProduct<event::CartAdd>(Pick("p", 8)); break;
      case 27: event.data = Create(); break;
      case 28: event.data = Pay(); break;
      default:
        if (random_.Chance(0.3)) event.data = event::Extension{"x.other", {"{}"}};
        if (random_.Chance(0.5)) event.data = Sample();
        break;
    }
  }
  event::StreamStart Start() {
    event::StreamStart start;
    start.title = Pick("title", 5);
    if (random_.Chance(0.7)) start.category = Pick("c", 3);
    if (random_.Chance(0.7)) start.host_id = random_.Chance(0.2) ? Pick("r", 4) : Pick("h", 4);
    return start;
  }
  event::RoomStats Stats() {
    event::RoomStats stats;
    stats.online = Below(100);
    return stats;
  }
  event::AttentionSample Sample() {
    event::AttentionSample sample;
    sample.a = static_cast<double>(Below(101)) / 100;
    if (random_.Chance(0.5)) {
      sample.components = event::RawJson{R"({"comment_lift":)" + std::to_string(Below(4)) + "}"};
    }
    if (random_.Chance(0.2)) sample.scope = static_cast<event::AttentionScope>(random_.Below(4));
    return sample;
  }
  event::ViewerLeave Leave() {
    event::ViewerLeave leave;
    leave.watch_ms = Below(random_.Chance(0.3) ? 3'000 : 120'000);
    return leave;
  }
  event::ViewerHeartbeat Heartbeat() {
    event::ViewerHeartbeat heartbeat;
    heartbeat.watch_ms = Below(120'000);
    return heartbeat;
  }
  event::Like LikeOf() {
    event::Like like;
    like.count = Below(20) + 1;
    return like;
  }
  event::Follow FollowOf() {
    event::Follow follow;
    follow.on = true;
    return follow;
  }
  event::Gift GiftOf() {
    event::Gift gift;
    gift.count = Below(10) + 1;
    if (random_.Chance(0.5)) gift.streak_end = random_.Chance(0.5);
    return gift;
  }
  event::ProductBind Bind() {
    auto bind = OfProduct<event::ProductBind>(Pick("p", 8));
    if (random_.Chance(0.7)) bind.price_cents = Below(100'000);
    if (random_.Chance(0.7)) bind.stock = Below(20);
    if (random_.Chance(0.3)) bind.sku_id = Pick("sku", 3);
    if (random_.Chance(0.3)) bind.category = Pick("c", 3);
    if (random_.Chance(0.3)) bind.title = Pick("title", 5);
    if (random_.Chance(0.3)) bind.on = random_.Chance(0.5);
    return bind;
  }
  event::ProductPin Pin() {
    auto pin = OfProduct<event::ProductPin>(Pick("p", 8));
    pin.on = random_.Chance(0.6);
    return pin;
  }
  event::ProductStock StockOf() {
    auto stock = OfProduct<event::ProductStock>(Pick("p", 8));
    stock.stock = Below(10);
    if (random_.Chance(0.4)) stock.sku_id = Pick("sku", 3);
    return stock;
  }
  event::ProductClick Click() {
    auto click = OfProduct<event::ProductClick>(Pick("p", 8));
    click.surface = AnySurface();
    return click;
  }
  event::OrderCreate Create() {
    event::OrderCreate create;
    create.order_id = Pick("o", 200);
    create.lines = Lines();
    return create;
  }
  event::OrderPay Pay() {
    event::OrderPay pay;
    pay.order_id = Pick("o", 200);
    pay.amount_cents = Below(100'000);
    if (random_.Chance(0.5)) pay.lines = Lines();
    return pay;
  }

  Random random_;
  int64_t now_ = kStartTs;
};

}  // namespace heed::state
