#include "sim/viewers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/words.h"

namespace heed::sim {
namespace {

using event::ActorKind;

constexpr uint32_t kPage = 6;                    // rooms answered to one request of the app
constexpr double kTurnMs = 15.0 * kSecondMs;     // mean time between two looks round a room
constexpr double kBagChance = 0.10;              // per look: opens the list of products
constexpr int64_t kLastCardMs = 10 * kSecondMs;  // no card is shown so shortly before the end
constexpr double kDislikeShare = 0.04;           // of short stays
constexpr double kCartWithoutOrder = 0.15;
constexpr double kCartBeforeOrder = 0.6;
// Per viewer-minute. KuaiLive has 0.0365 likes and 0.0148 gifts an entry; at two minutes a stay:
constexpr double kLikesPerMinute = 0.018;
constexpr double kGiftsPerMinute = 0.0074;
constexpr double kFollowsPerMinute = 0.008;
constexpr double kSharesPerMinute = 0.003;
constexpr double kClaimChance = 0.08;
// KuaiLive's gifts: median 2, 99th percentile 1,488: a log-normal with spread 2.84, in 10 cents.
constexpr double kGiftSpread = 2.84;

// Weights in PassingMatch of having just seen a room, in log-odds.
constexpr float kSeenPassed = 0.8f;
constexpr float kSeenShort = 1.5f;
constexpr float kSeenDisliked = 4.0f;
constexpr float kSeenStayed = 0.3f;

}  // namespace

uint32_t Viewers::NumberOf(const User& user) const {
  return static_cast<uint32_t>(&user - stage_.people.users.data());
}

void Viewers::Wait(User& user, int64_t ms) {
  stage_.Schedule(stage_.now + ms, Task::kUserTurn, NumberOf(user), ++user.turn);
}

void Viewers::Begin() {
  for (User& user : stage_.people.users) Away(user);
}

void Viewers::Away(User& user) {
  user.phase = Phase::kAway;
  // Thinning: draw at the peak's rate, keep with the hour's activity.
  const double mean_ms = 6.0 * kHourMs / user.opens_per_evening;
  int64_t ms = 0;
  do {
    ms += stage_.After(mean_ms);
  } while (!stage_.random.Chance(stage_.Activity(stage_.now + ms)));
  Wait(user, ms);
}

void Viewers::Call(uint32_t host) {
  for (const uint32_t fan : stage_.people.hosts[host].fans) {
    User& user = stage_.people.users[fan];
    if (user.phase != Phase::kAway || !stage_.random.Chance(0.6)) continue;
    user.wanted = host;
    Wait(user, stage_.Between(10 * kSecondMs, 15 * kMinuteMs));
  }
}

void Viewers::Run(uint32_t number) {
  User& user = stage_.people.users[number];
  if (user.phase == Phase::kInRoom) {
    Inside(user);
  } else if (user.entering) {
    Enter(user);
  } else {
    if (user.phase == Phase::kAway) {
      user.phase = Phase::kBrowsing;
      user.page_left = 0;
      user.shows_left =
          static_cast<uint32_t>(1 + stage_.random.Exponential(stage_.config.shows_per_open - 0.5));
    }
    Browse(user);
  }
}

void Viewers::Browse(User& user) {
  if (user.shows_left == 0) return Away(user);
  const Shown shown = feed_.Pick(user);
  if (shown.host == kNobody) return Away(user);
  --user.shows_left;
  if (user.page_left == 0) {
    user.page_left = kPage;
    user.position = 0;
    user.request = requests_++;
  }
  --user.page_left;

  const Host& host = stage_.people.hosts[shown.host];
  const double probability =
      EnterProbability(user, shown.host, stage_.people, stage_.calibration, stage_.now);
  user.entering = stage_.random.Chance(probability);
  stage_.writer.out().truths.push_back({.event = stage_.writer.out().events.size(),
                                        .user = NumberOf(user),
                                        .host = shown.host,
                                        .product = kNobody,
                                        .probability = probability,
                                        .happened = user.entering});
  auto& impression = stage_.writer.Write<event::RoomImpression>(stage_.now, host);
  impression.channel = shown.channel;
  impression.position = user.position++;
  impression.paid = shown.paid;
  impression.request_id = Numbered('q', user.request);
  stage_.writer.By(ActorKind::kViewer, user.id);

  if (user.entering) {
    user.host = shown.host;
    user.channel = shown.channel;
    user.paid = shown.paid;
    Wait(user, stage_.Between(400, 2500));
  } else {
    MarkSeen(user, shown.host, kSeenPassed);
    Wait(user, stage_.Between(1000, 5000));
  }
}

void Viewers::Enter(User& user) {
  Host& host = stage_.people.hosts[user.host];
  Random& random = stage_.random;
  const Bond* bond = FindBond(user, user.host);
  auto& enter = stage_.writer.Write<event::ViewerEnter>(stage_.now, host);
  enter.channel = user.channel;
  enter.paid = user.paid;
  enter.request_id = Numbered('q', user.request);
  stage_.writer.By(ActorKind::kViewer, user.id).follower = bond != nullptr && bond->follows;

  const double match =
      LastingMatch(user, host) + PassingMatch(user, user.host, stage_.people, stage_.now);
  int64_t stay_ms = 0;
  user.dislikes = false;
  if (random.Chance(ShortStayProbability(match, stage_.calibration))) {
    stay_ms = stage_.Between(300, kShortStayMs - 1);
    user.dislikes = random.Chance(kDislikeShare);
  } else {
    const double mean_ms = MeanLongStayMs(match, stage_.calibration);
    const double drawn =
        mean_ms * std::exp(kStaySpread * random.Normal() - kStaySpread * kStaySpread / 2);
    stay_ms = std::max(kShortStayMs, static_cast<int64_t>(drawn));
  }
  user.entering = false;
  user.phase = Phase::kInRoom;
  user.enter_ts = stage_.now;
  user.leave_ts = stage_.now + stay_ms;
  user.heartbeat_ts = stage_.now + stage_.config.heartbeat_ms;
  user.shown = user.clicking = user.ordering = kNobody;
  user.place = host.viewers.size();
  host.viewers.push_back(NumberOf(user));
  ++host.entries;
  Wait(user, std::min(stay_ms, stage_.Between(1000, 3000)));
}

void Viewers::Inside(User& user) {
  if (user.clicking != kNobody) {
    Click(user);
  } else if (user.ordering != kNobody) {
    Order(user);
  } else if (stage_.now >= user.leave_ts) {
    return Leave(user, "viewer");
  } else if (stage_.now >= user.heartbeat_ts) {
    auto& beat =
        stage_.writer.Write<event::ViewerHeartbeat>(stage_.now, stage_.people.hosts[user.host]);
    beat.watch_ms = stage_.now - user.enter_ts;
    stage_.writer.By(ActorKind::kViewer, user.id);
    user.heartbeat_ts += stage_.config.heartbeat_ms;
  } else {
    ShowProduct(user);
    Speak(user, kTurnMs / kMinuteMs);
    ClaimCoupon(user);
  }
  if (user.clicking != kNobody || user.ordering != kNobody) {
    // What was decided comes before leaving, and before the room can end.
    const int64_t left = stage_.people.hosts[user.host].end_ts - stage_.now - 1;
    Wait(user, std::min(stage_.Between(1000, 6000), std::max<int64_t>(left, 0)));
    user.leave_ts = std::max(user.leave_ts, stage_.now + 6000);
    return;
  }
  const int64_t next =
      std::min({user.leave_ts, user.heartbeat_ts, stage_.now + stage_.After(kTurnMs)});
  Wait(user, std::max<int64_t>(next - stage_.now, 0));
}

void Viewers::ShowProduct(User& user) {
  const Host& host = stage_.people.hosts[user.host];
  if (host.products.empty() || host.end_ts - stage_.now < kLastCardMs) return;
  uint32_t number = host.explaining;
  bool card = true;
  if (number == kNobody || number == user.shown) {
    if (!stage_.random.Chance(kBagChance)) return;
    number = host.products[stage_.random.Below(host.products.size())];
    card = false;
  }
  const Product& product = stage_.people.products[number];
  const double probability = ClickProbability(user, product, number == host.explaining, stage_.now);
  const bool clicks = stage_.random.Chance(probability);
  stage_.writer.out().truths.push_back({.event = stage_.writer.out().events.size(),
                                        .user = NumberOf(user),
                                        .host = user.host,
                                        .product = number,
                                        .probability = probability,
                                        .happened = clicks});
  auto& impression = stage_.writer.Write<event::ProductImpression>(stage_.now, host);
  impression.product_id = product.id;
  impression.surface = card ? event::Surface::kCard : event::Surface::kBag;
  stage_.writer.By(ActorKind::kViewer, user.id);
  user.shown = number;
  user.from_card = card;
  if (clicks) user.clicking = number;
}

void Viewers::Click(User& user) {
  const Host& host = stage_.people.hosts[user.host];
  const uint32_t number = std::exchange(user.clicking, kNobody);
  const Product& product = stage_.people.products[number];
  auto& click = stage_.writer.Write<event::ProductClick>(stage_.now, host);
  click.product_id = product.id;
  click.surface = user.from_card ? event::Surface::kCard : event::Surface::kBag;
  stage_.writer.By(ActorKind::kViewer, user.id);

  const bool orders = stage_.random.Chance(OrderProbability(user, product, stage_.now));
  AddInterest(user, product.category, orders ? 0.4 : 0.15, stage_.now);
  if (stage_.random.Chance(orders ? kCartBeforeOrder : kCartWithoutOrder)) {
    auto& cart = stage_.writer.Write<event::CartAdd>(stage_.now, host);
    cart.product_id = product.id;
    cart.qty = 1;
    stage_.writer.By(ActorKind::kViewer, user.id);
  }
  if (orders) {
    orders_.Hold(number);
    user.ordering = number;
  }
}

void Viewers::Order(User& user) {
  orders_.Create(user, std::exchange(user.ordering, kNobody));
  Bond& bond = TakeBond(user, user.host, stage_.now);
  bond.strength = std::min(kMaxBond, bond.strength + 0.3f);
}

void Viewers::Speak(User& user, double minutes) {
  Host& host = stage_.people.hosts[user.host];
  Random& random = stage_.random;
  const auto happens = [&](double per_minute, double factor) {
    return random.Chance(std::min(1.0, per_minute * minutes * factor));
  };
  if (happens(stage_.config.comments_per_minute, user.talk)) {
    auto& comment = stage_.writer.Write<event::CommentPost>(stage_.now, host);
    comment.text = Comment(host.category, random);
    comment.lang = "zh";
    stage_.writer.By(ActorKind::kViewer, user.id);
  }
  if (happens(kLikesPerMinute, user.talk)) {
    const int64_t count = 1 + static_cast<int64_t>(random.Exponential(6));
    host.likes += count;
    auto& like = stage_.writer.Write<event::Like>(stage_.now, host);
    like.count = count;
    like.total = host.likes;
    stage_.writer.By(ActorKind::kViewer, user.id);
  }
  if (happens(kSharesPerMinute, user.talk)) {
    stage_.writer.Write<event::Share>(stage_.now, host).channel = "copy_link";
    stage_.writer.By(ActorKind::kViewer, user.id);
  }
  if (happens(kGiftsPerMinute, user.spend)) {
    auto& gift = stage_.writer.Write<event::Gift>(stage_.now, host);
    const double coins = std::clamp(2 * std::exp(kGiftSpread * random.Normal()), 1.0, 13'140.0);
    gift.gift_id = coins < 10 ? "g1" : coins < 100 ? "g2" : "g3";
    gift.name = coins < 10 ? "小心心" : coins < 100 ? "玫瑰" : "嘉年华";
    gift.count = 1;
    gift.value_cents = 10 * static_cast<int64_t>(coins);
    stage_.writer.By(ActorKind::kViewer, user.id);
  }
  if (happens(kFollowsPerMinute, 1)) {
    Bond& bond = TakeBond(user, user.host, stage_.now);
    if (!bond.follows) {
      bond.follows = true;
      bond.strength = std::min(kMaxBond, bond.strength + 0.6f);
      stage_.writer.Write<event::Follow>(stage_.now, host).on = true;
      stage_.writer.By(ActorKind::kViewer, user.id);
    }
  }
}

void Viewers::ClaimCoupon(User& user) {
  Host& host = stage_.people.hosts[user.host];
  if (host.coupon_left <= 0 || user.coupon == host.coupon || !stage_.random.Chance(kClaimChance)) {
    return;
  }
  --host.coupon_left;
  user.coupon = host.coupon;
  user.coupon_host = user.host;
  stage_.writer.Write<event::CouponClaim>(stage_.now, host).coupon_id = host.coupon;
  stage_.writer.By(ActorKind::kViewer, user.id);
}

void Viewers::Leave(User& user, const char* reason) {
  Host& host = stage_.people.hosts[user.host];
  if (user.ordering != kNobody) orders_.Release(std::exchange(user.ordering, kNobody));
  if (user.dislikes) {
    stage_.writer.Write<event::ViewerDislike>(stage_.now, host).reason = "not_interested";
    stage_.writer.By(ActorKind::kViewer, user.id);
  }
  const int64_t watched_ms = stage_.now - user.enter_ts;
  auto& leave = stage_.writer.Write<event::ViewerLeave>(stage_.now, host);
  leave.watch_ms = watched_ms;
  leave.reason = reason;
  stage_.writer.By(ActorKind::kViewer, user.id);

  // The last viewer of the list takes the leaver's place in it.
  const uint32_t last = host.viewers.back();
  host.viewers[user.place] = last;
  stage_.people.users[last].place = user.place;
  host.viewers.pop_back();

  Remember(user, watched_ms);
  user.phase = Phase::kBrowsing;
  Wait(user, stage_.Between(500, 3000));
}

void Viewers::Remember(User& user, int64_t watched_ms) {
  const Host& host = stage_.people.hosts[user.host];
  Bond* bond = FindBond(user, user.host);
  if (watched_ms < kShortStayMs) {
    AddInterest(user, host.category, user.dislikes ? -0.5 : -0.2, stage_.now);
    MarkSeen(user, user.host, user.dislikes ? kSeenDisliked : kSeenShort);
    if (bond != nullptr && user.dislikes) bond->strength = 0;
    return;
  }
  const double minutes = static_cast<double>(watched_ms) / kMinuteMs;
  AddInterest(user, host.category, std::min(0.8, 0.25 * minutes), stage_.now);
  MarkSeen(user, user.host, kSeenStayed);
  if (bond == nullptr && minutes >= 2) bond = &TakeBond(user, user.host, stage_.now);
  if (bond != nullptr) {
    bond->last_ts = stage_.now;
    if (minutes >= 2) bond->strength = std::min(kMaxBond, bond->strength + 0.25f);
  }
}

void Viewers::MarkSeen(User& user, uint32_t host, float weight) {
  user.seen[user.next_seen] = {.host = host, .weight = weight, .ts = stage_.now};
  user.next_seen = (user.next_seen + 1) % kMaxSeen;
}

void Viewers::SendHome(uint32_t host) {
  while (!stage_.people.hosts[host].viewers.empty()) {
    Leave(stage_.people.users[stage_.people.hosts[host].viewers.back()], "stream_end");
  }
}

}  // namespace heed::sim
