#include "sim/rooms.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "sim/words.h"

namespace heed::sim {
namespace {

using event::ActorKind;

constexpr double kLengthSpread = 0.3;
constexpr int64_t kShortestMs = 20 * kMinuteMs;
constexpr double kStartJitterMs = 10.0 * kMinuteMs;
constexpr double kPauseMs = 45.0 * kMinuteMs;  // between broadcasts of an endless evening
constexpr double kExplainMs = 3.0 * kMinuteMs;
constexpr int64_t kCouponCents = 1000;
constexpr double kCouponGapMs = 30.0 * kMinuteMs;

}  // namespace

void Rooms::Begin() {
  for (uint32_t i = 0; i < stage_.people.hosts.size(); ++i) ScheduleStart(i);
}

// The next habitual hour. On the first day hosts who would be on air already begin with the world.
void Rooms::ScheduleStart(uint32_t number) {
  const Host& host = stage_.people.hosts[number];
  const WorldConfig& config = stage_.config;
  const bool first = host.broadcasts == 0;
  int64_t start = 0;
  if (config.endless_evening) {
    start = stage_.now + (first && stage_.random.Chance(0.7) ? stage_.Between(0, kMinuteMs)
                                                             : stage_.After(kPauseMs));
  } else {
    start = config.start_ts + static_cast<int64_t>((host.start_hour - 18) * kHourMs +
                                                   kStartJitterMs * stage_.random.Normal());
    if (first) {
      if (start < config.start_ts) start = config.start_ts + stage_.Between(0, kMinuteMs);
    } else {
      while (start <= stage_.now + kHourMs) start += kDayMs;
    }
  }
  stage_.Schedule(start, Task::kRoomStart, number);
}

void Rooms::Run(const Due& due) {
  const Host& host = stage_.people.hosts[due.who];
  if (due.task == Task::kRoomStart) return Start(due.who);
  if (!host.live || host.broadcasts != due.turn) return;  // meant for a broadcast that is over
  switch (due.task) {
    case Task::kRoomEnd: End(due.who); break;
    case Task::kRoomExplain: Explain(due.who); break;
    case Task::kRoomStats: Stats(due.who); break;
    default: IssueCoupon(due.who); break;
  }
}

void Rooms::Start(uint32_t number) {
  Host& host = stage_.people.hosts[number];
  ++host.broadcasts;
  host.live = true;
  // A room lasts one broadcast, as on the platforms: only its host comes back.
  host.room = "r" + host.id.substr(1) + "-" + std::to_string(host.broadcasts);
  host.session = "s" + host.room.substr(1);
  host.start_ts = stage_.now;
  const double length = host.session_ms * std::exp(kLengthSpread * stage_.random.Normal());
  host.end_ts = stage_.now + std::max(kShortestMs, static_cast<int64_t>(length));
  host.explaining = kNobody;
  host.next_explain = 0;
  host.coupon.clear();
  host.coupon_left = host.entries = host.likes = 0;

  auto& start = stage_.writer.Write<event::StreamStart>(stage_.now, host);
  start.title = RoomTitle(host.category, stage_.random);
  start.category = CategoryOf(host.category).name;
  start.host_id = host.id;
  start.planned_end_ts = host.end_ts;
  stage_.writer.By(ActorKind::kHost, host.id);
  for (const uint32_t index : host.products) {
    Product& product = stage_.people.products[index];
    product.stock = product.full_stock;
    auto& bind = stage_.writer.Write<event::ProductBind>(stage_.now, host);
    bind.product_id = product.id;
    bind.title = product.title;
    bind.price_cents = product.price_cents;
    bind.list_price_cents = product.list_price_cents;
    bind.stock = product.stock;
    bind.category = CategoryOf(product.category).name;
    bind.on = true;
    stage_.writer.By(ActorKind::kHost, host.id);
  }
  feed_.Changed();
  const uint32_t turn = host.broadcasts;
  stage_.Schedule(host.end_ts, Task::kRoomEnd, number, turn);
  stage_.Schedule(stage_.now + stage_.config.stats_ms, Task::kRoomStats, number, turn);
  stage_.Schedule(stage_.now + stage_.After(kCouponGapMs), Task::kRoomCoupon, number, turn);
  if (!host.products.empty()) {
    stage_.Schedule(stage_.now + stage_.Between(5 * kSecondMs, kMinuteMs), Task::kRoomExplain,
                    number, turn);
  }
  viewers_.Call(number);
}

void Rooms::End(uint32_t number) {
  Host& host = stage_.people.hosts[number];
  if (host.explaining != kNobody) EndExplain(host);
  viewers_.SendHome(number);
  auto& end = stage_.writer.Write<event::StreamEnd>(stage_.now, host);
  end.reason = event::EndReason::kHost;
  end.duration_ms = stage_.now - host.start_ts;
  stage_.writer.By(ActorKind::kHost, host.id);
  host.live = false;
  feed_.Changed();
  ScheduleStart(number);
}

// Begins the next product, or ends the one on screen; a short gap between two.
void Rooms::Explain(uint32_t number) {
  Host& host = stage_.people.hosts[number];
  int64_t next_ms = 0;
  if (host.explaining != kNobody) {
    EndExplain(host);
    next_ms = stage_.Between(5 * kSecondMs, 30 * kSecondMs);
  } else {
    host.explaining = host.products[host.next_explain];
    host.next_explain = (host.next_explain + 1) % host.products.size();
    host.explain_ts = stage_.now;
    auto& start = stage_.writer.Write<event::ProductExplainStart>(stage_.now, host);
    start.product_id = stage_.people.products[host.explaining].id;
    start.by = event::ExplainedBy::kHost;
    stage_.writer.By(ActorKind::kHost, host.id);
    next_ms = 40 * kSecondMs + stage_.After(kExplainMs - 40.0 * kSecondMs);
  }
  stage_.Schedule(stage_.now + next_ms, Task::kRoomExplain, number, host.broadcasts);
}

void Rooms::EndExplain(Host& host) {
  const uint32_t product = std::exchange(host.explaining, kNobody);
  auto& end = stage_.writer.Write<event::ProductExplainEnd>(stage_.now, host);
  end.product_id = stage_.people.products[product].id;
  end.duration_ms = stage_.now - host.explain_ts;
  stage_.writer.By(ActorKind::kHost, host.id);
}

void Rooms::Stats(uint32_t number) {
  const Host& host = stage_.people.hosts[number];
  auto& stats = stage_.writer.Write<event::RoomStats>(stage_.now, host);
  stats.online = static_cast<int64_t>(host.viewers.size());
  stats.total_pv = host.entries;
  stats.total_likes = host.likes;
  stage_.Schedule(stage_.now + stage_.config.stats_ms, Task::kRoomStats, number, host.broadcasts);
}

void Rooms::IssueCoupon(uint32_t number) {
  Host& host = stage_.people.hosts[number];
  host.coupon = Numbered('k', coupons_++);
  host.coupon_left = stage_.Between(10, 100);
  auto& issue = stage_.writer.Write<event::CouponIssue>(stage_.now, host);
  issue.coupon_id = host.coupon;
  issue.qty = host.coupon_left;
  issue.discount_cents = kCouponCents;
  issue.threshold_cents = 4 * kCouponCents;
  issue.expires_ts = host.end_ts;
  stage_.writer.By(ActorKind::kHost, host.id);
  stage_.Schedule(stage_.now + stage_.After(kCouponGapMs), Task::kRoomCoupon, number,
                  host.broadcasts);
}

}  // namespace heed::sim
