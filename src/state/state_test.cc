#include "state/state.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "state/test_events.h"

namespace heed::state {
namespace {

constexpr int64_t kT = kStartTs;

class StateTest : public testing::Test {
 protected:
  template <typename Data>
  void Feed(int64_t ts, std::string user, Data data) {
    Feed(MakeEvent(ts, std::move(user), std::move(data)));
  }
  void Feed(const event::Event& event) { state_.Apply(++sequence_, event); }

  Index Find(Kind kind, const char* id) const { return state_.Find(kind, "t1", id); }
  RoomView Room(const char* id = "r1") const { return state_.ReadRoom(Find(Kind::kRoom, id)); }
  UserView User(const char* id) const { return state_.ReadUser(Find(Kind::kUser, id)); }
  ProductView Product(const char* id) const { return state_.ReadProduct(Find(Kind::kProduct, id)); }
  HostCounters Host(const char* id) const {
    return state_.ReadHost(Find(Kind::kHost, id)).counters;
  }
  event::ProductBind Bind(const char* product, int64_t stock) {
    auto bind = OfProduct<event::ProductBind>(product);
    bind.stock = stock;
    return bind;
  }

  State state_;
  uint64_t sequence_ = 0;
};

TEST_F(StateTest, ASequenceCountsOnce) {
  const event::Event enter = MakeEvent(kT, "u", event::ViewerEnter{});
  state_.Apply(7, enter);
  const std::string bytes = state_.Serialize();
  state_.Apply(7, enter);
  state_.Apply(3, enter);
  EXPECT_EQ(state_.Serialize(), bytes);
  EXPECT_EQ(state_.last_sequence(), 7u);
  state_.Apply(8, enter);
  EXPECT_EQ(User("u").enters, 2);
}

TEST_F(StateTest, WhatSaysNothingOnlyMovesTheSequence) {
  Feed(kT, "u", event::Extension{"x.pack.thing", {"{}"}});
  Feed(kT, "u", event::GuideAck{});
  event::Event test = MakeEvent(kT, "u", event::ViewerEnter{});
  test.flags.emplace();
  test.flags->test = true;
  Feed(test);
  EXPECT_EQ(state_.last_sequence(), 3u);
  EXPECT_EQ(state_.Count(Kind::kUser), 0u);
  EXPECT_EQ(state_.Count(Kind::kRoom), 0u);
}

TEST_F(StateTest, NamesAndKeys) {
  Feed(kT, "u1", event::ViewerEnter{});
  Feed(kT, "u2", event::ViewerEnter{});
  const Index u2 = Find(Kind::kUser, "u2");
  EXPECT_EQ(u2, 1u) << "numbered in log order";
  EXPECT_EQ(state_.Name(Kind::kUser, u2), "u2");
  EXPECT_EQ(state_.Key(Kind::kUser, u2), State::KeyOf("t1", "u2"));
  EXPECT_EQ(State::KeyOf("t1", "u2"), HashBytes(std::string_view("t1\0u2", 5)));
  EXPECT_NE(State::KeyOf("t", "1"), State::KeyOf("t1", ""));
  EXPECT_EQ(Find(Kind::kUser, "u3"), kNone);
  EXPECT_EQ(state_.Name(Kind::kUser, kNone), "");
  EXPECT_EQ(state_.Key(Kind::kUser, 99), 0u);
  EXPECT_EQ(state_.ReadUser(99).user, kNone);
  EXPECT_EQ(state_.ReadRoom(kNone).room, kNone);
  EXPECT_EQ(state_.ReadHost(99).host, kNone);
  EXPECT_EQ(state_.ReadProduct(99).product, kNone);
  EXPECT_FALSE(state_.Summarize(99).live);
}

TEST_F(StateTest, ManyNamesAreAllFound) {
  for (int i = 0; i < 5'000; ++i) Feed(kT, "user" + std::to_string(i), event::ViewerEnter{});
  for (Index i = 0; i < 5'000; ++i) {
    ASSERT_EQ(Find(Kind::kUser, ("user" + std::to_string(i)).c_str()), i);
    ASSERT_EQ(state_.Name(Kind::kUser, i), "user" + std::to_string(i));
  }
}

TEST_F(StateTest, TenantsAreApart) {
  event::Event event = MakeEvent(kT, "u", event::ViewerEnter{});
  Feed(event);
  event.tenant = "t2";
  Feed(event);
  const Index of_t1 = state_.Find(Kind::kUser, "t1", "u");
  const Index of_t2 = state_.Find(Kind::kUser, "t2", "u");
  EXPECT_NE(of_t1, of_t2);
  EXPECT_EQ(state_.ReadUser(of_t1).enters, 1);
  EXPECT_EQ(state_.LiveRooms("t1", kT, 1'000).size(), 1u);
  EXPECT_NE(state_.LiveRooms("t1", kT, 1'000), state_.LiveRooms("t2", kT, 1'000));
  EXPECT_TRUE(state_.LiveRooms("t3", kT, 1'000).empty());
  EXPECT_EQ(state_.List(Kind::kUser, "t2"), std::vector<Index>{of_t2});
  EXPECT_EQ(state_.CountLiveRooms(kT, 1'000), 2u);
  // The same order id in both tenants.
  for (const char* tenant : {"t1", "t2"}) {
    event::OrderPay pay;
    pay.order_id = "o";
    pay.amount_cents = 100;
    event::Event paid = MakeEvent(kT, "u", pay);
    paid.tenant = tenant;
    Feed(paid);
  }
  EXPECT_EQ(state_.ReadUser(of_t1).orders, 1);
  EXPECT_EQ(state_.ReadUser(of_t2).orders, 1);
}

TEST_F(StateTest, ARoomIsItsOwnHostUntilItsHostIsKnown) {
  Feed(kT, "u", event::ViewerEnter{});
  event::Follow follow;
  follow.on = true;
  Feed(kT + 1'000, "u", follow);
  const Index stand_in = Find(Kind::kHost, "r1");
  ASSERT_NE(stand_in, kNone);
  EXPECT_EQ(User("u").visits[0].host, stand_in);
  EXPECT_EQ(state_.ReadHost(stand_in).live_room, Find(Kind::kRoom, "r1"));

  // The host itself speaks: now it is known, and everything before was its.
  event::Event speech = MakeEvent(kT + 2'000, "h", event::HostSpeech{});
  speech.actor->kind = event::ActorKind::kHost;
  Feed(speech);
  const Index host = Find(Kind::kHost, "h");
  EXPECT_NE(host, stand_in);
  EXPECT_EQ(Find(Kind::kHost, "r1"), host);
  EXPECT_EQ(User("u").visits[0].host, host);
  EXPECT_EQ(User("u").followed_hosts, std::vector<Index>{host});
  EXPECT_EQ(state_.ReadHost(stand_in).host, host);
  EXPECT_DOUBLE_EQ(Host("h").enters.At(kT), 1);
  EXPECT_EQ(state_.ReadHost(host).live_room, Find(Kind::kRoom, "r1"));
  EXPECT_EQ(state_.List(Kind::kHost, "t1"), std::vector<Index>{host});
  follow.on = false;
  Feed(kT + 3'000, "u", follow);
  EXPECT_TRUE(User("u").followed_hosts.empty()) << "unfollowed under the other name";

  // Another host takes over the room: what was, stays with the first.
  event::Event next = MakeEvent(kT + 10'000, "", StartOf("h2"));
  next.session = "s2";
  Feed(next);
  EXPECT_EQ(Room().host, Find(Kind::kHost, "h2"));
  EXPECT_EQ(User("u").visits[0].host, host);
  EXPECT_EQ(state_.ReadHost(host).live_room, kNone);
}

TEST_F(StateTest, ARoomGoesLiveAtTheFirstSignOfLife) {
  Feed(kT, "u", event::RoomImpression{});
  EXPECT_FALSE(Room().live) << "being shown is no sign";
  EXPECT_EQ(Room().series[0].impressions, 1u);
  Feed(kT + 5'000, "u", event::CommentPost{});
  EXPECT_TRUE(Room().live);
  EXPECT_EQ(Room().start_ts, kT + 5'000);
  Feed(kT + 3'000, "u", event::Like{});
  EXPECT_EQ(Room().start_ts, kT + 3'000) << "an earlier sign came late";
  event::StreamStart start;
  start.title = "late start";
  Feed(kT + 1'000, "", start);
  EXPECT_EQ(Room().start_ts, kT + 1'000);
  EXPECT_EQ(Room().title, "late start");
  EXPECT_EQ(Room().series[0].comments, 1u) << "the same broadcast: nothing is reset";
}

TEST_F(StateTest, ASilentRoomIsNotLive) {
  Feed(kT, "", StartOf("h"));
  const Index room = Find(Kind::kRoom, "r1");
  EXPECT_EQ(state_.LiveRooms("t1", kT + 60'000, 60'000), std::vector<Index>{room});
  EXPECT_TRUE(state_.LiveRooms("t1", kT + 60'001, 60'000).empty());
  EXPECT_EQ(state_.CountLiveRooms(kT + 60'001, 60'000), 0u);
  Feed(kT + 50'000, "u", event::RoomImpression{});
  event::OrderPay pay;
  pay.order_id = "o";
  Feed(kT + 55'000, "u", pay);
  EXPECT_TRUE(state_.LiveRooms("t1", kT + 60'001, 60'000).empty()) << "neither shows it is on air";
  Feed(kT + 58'000, "u", event::ViewerHeartbeat{});
  EXPECT_EQ(state_.LiveRooms("t1", kT + 60'001, 60'000), std::vector<Index>{room});
}

TEST_F(StateTest, WhatTrailsInDoesNotReviveARoom) {
  Feed(kT, "", StartOf("h"));
  Feed(kT + 60'000, "", event::StreamEnd{});
  Feed(kT + 61'000, "u", event::CommentPost{});
  EXPECT_FALSE(Room().live);
  EXPECT_EQ(Room().series.back().comments, 1u) << "but it counts";
  event::Event other = MakeEvent(kT + 30'000, "u", event::CommentPost{});
  other.session = "s0";
  Feed(other);
  EXPECT_FALSE(Room().live) << "older than the end";
  other.ts = kT + 90'000;
  other.session = "s2";
  Feed(other);
  EXPECT_TRUE(Room().live) << "another broadcast, whose start was lost";
  EXPECT_EQ(Room().session, "s2");
  Feed(kT + 95'000, "", event::StreamEnd{});
  EXPECT_TRUE(Room().live) << "the end of the first, again";
  Feed(kT + 1'000, "", StartOf("h"));
  EXPECT_EQ(Room().session, "s2") << "a start from before";
}

TEST_F(StateTest, AStartResetsTheRoomButNotAShelfLaidOutForIt) {
  Feed(kT, "", StartOf("h"));
  Feed(kT + 1'000, "", Bind("old", 1));
  Feed(kT + 2'000, "u", event::ViewerEnter{});
  Feed(kT + 60'000, "", event::StreamEnd{});
  Feed(kT + 61'000, "", Bind("late", 1));
  EXPECT_EQ(Room().products.size(), 1u) << "that shelf is closed";

  event::Event bind = MakeEvent(kT + 80'000, "", Bind("new", 5));
  bind.session = "s2";
  Feed(bind);
  event::Event start = MakeEvent(kT + 90'000, "", StartOf("h"));
  start.session = "s2";
  Feed(start);
  const RoomView room = Room();
  EXPECT_TRUE(room.series.empty());
  EXPECT_EQ(room.online, 0);
  ASSERT_EQ(room.products.size(), 1u);
  EXPECT_EQ(room.products[0].product, Find(Kind::kProduct, "new"));
  start.ts += 30'000;
  start.session = "s3";
  Feed(start);
  EXPECT_TRUE(Room().products.empty());
}

TEST_F(StateTest, SoldOutAndTakenOffTheShelf) {
  Feed(kT, "", StartOf("h"));
  Feed(kT + 1'000, "", Bind("p", 3));
  Feed(kT + 1'000, "", OfProduct<event::ProductBind>("q"));
  EXPECT_EQ(Room().products[0].stock, 3);
  EXPECT_EQ(Room().products[1].stock, std::nullopt);
  auto stock = OfProduct<event::ProductStock>("p");
  stock.stock = 0;
  Feed(kT + 5'000, "", stock);
  EXPECT_EQ(Room().products[0].stock, 0);
  stock.stock = 9;
  Feed(kT + 4'000, "", stock);
  EXPECT_EQ(Room().products[0].stock, 0) << "an older statement";
  auto off = OfProduct<event::ProductBind>("q");
  off.on = false;
  Feed(kT + 6'000, "", off);
  EXPECT_FALSE(Room().products[1].on);
  auto price = OfProduct<event::ProductBind>("p");
  price.price_cents = 500;
  Feed(kT + 7'000, "", price);
  EXPECT_EQ(Room().products[0].price_cents, 500);
  EXPECT_EQ(Room().products[0].stock, 0) << "not said again: as before";
}

TEST_F(StateTest, AProductSeenInTheRoomIsOnItsShelf) {
  Feed(kT, "", Bind("p", 0));
  Feed(InRoom("r2", MakeEvent(kT + 1'000, "u", OfProduct<event::ProductClick>("p"))));
  Feed(InRoom("r2", MakeEvent(kT + 2'000, "u", OfProduct<event::ProductExplainStart>("q"))));
  const RoomView room = Room("r2");
  ASSERT_EQ(room.products.size(), 2u);
  EXPECT_EQ(room.products[0].stock, 0) << "known from the other room";
  EXPECT_EQ(room.explaining, Find(Kind::kProduct, "q"));
  auto replay = OfProduct<event::ProductClick>("z");
  replay.surface = event::Surface::kReplay;
  Feed(InRoom("r3", MakeEvent(kT + 3'000, "u", replay)));
  EXPECT_TRUE(Room("r3").products.empty());
  EXPECT_FALSE(Room("r3").live);
  EXPECT_EQ(User("u").clicks, 2);
}

TEST_F(StateTest, PinAndExplainGoByTheirTimes) {
  Feed(kT, "", StartOf("h"));
  auto pin = OfProduct<event::ProductPin>("p");
  pin.on = true;
  Feed(kT + 2'000, "", pin);
  EXPECT_EQ(Room().pinned, Find(Kind::kProduct, "p"));
  pin.on = false;
  Feed(kT + 1'000, "", pin);
  EXPECT_EQ(Room().pinned, Find(Kind::kProduct, "p")) << "older";
  pin.product_id = "q";
  Feed(kT + 3'000, "", pin);
  EXPECT_EQ(Room().pinned, Find(Kind::kProduct, "p")) << "another product's";
  pin.product_id = "p";
  Feed(kT + 4'000, "", pin);
  EXPECT_EQ(Room().pinned, kNone);
  Feed(kT + 6'000, "", OfProduct<event::ProductExplainEnd>("p"));
  Feed(kT + 5'000, "", OfProduct<event::ProductExplainStart>("p"));
  EXPECT_EQ(Room().explaining, kNone) << "it has ended";
}

TEST_F(StateTest, AnOrderCountsOnceHoweverItIsTold) {
  Feed(kT, "", StartOf("h"));
  Feed(kT + 1'000, "", Bind("p", 10));
  event::OrderCreate create;
  create.order_id = "o";
  create.lines = {LineOf("p", 2, 5'000)};
  event::OrderPay pay;
  pay.order_id = "o";
  pay.amount_cents = 5'000;

  Feed(kT + 2'000, "u", event::ViewerEnter{});
  Feed(kT + 3'000, "u", create);
  EXPECT_TRUE(User("u").touches.empty()) << "not paid";
  EXPECT_EQ(User("u").orders, 0);
  Feed(kT + 4'000, "", pay);  // no actor, no lines: both known from the creation
  UserView user = User("u");
  EXPECT_EQ(user.orders, 1);
  ASSERT_EQ(user.touches.size(), 1u);
  EXPECT_EQ(user.touches[0].touch, Touch::kOrder);
  EXPECT_EQ(user.visits[0].orders, 1);
  EXPECT_EQ(Product("p").stock, 8);
  EXPECT_DOUBLE_EQ(Product("p").counters.revenue_yuan.value, 50);

  pay.lines = create.lines;
  pay.amount_cents = 2'000;
  Feed(kT + 5'000, "u", pay);  // the rest of the money
  Feed(kT + 5'000, "u", create);
  user = User("u");
  EXPECT_EQ(user.orders, 1);
  EXPECT_EQ(user.touches.size(), 1u);
  EXPECT_EQ(Product("p").stock, 8);
  EXPECT_EQ(Room().series[0].orders, 1u);
  EXPECT_EQ(Room().series[0].revenue_cents, 7'000);
  EXPECT_NEAR(Host("h").revenue_yuan.value, 70, 0.01) << "decayed by seconds";

  // Paid before we hear what it was of.
  pay = {};
  pay.order_id = "o2";
  pay.amount_cents = 100;
  Feed(kT + 6'000, "v", pay);
  EXPECT_EQ(User("v").orders, 1);
  EXPECT_TRUE(User("v").touches.empty());
  create.order_id = "o2";
  Feed(kT + 5'500, "", create);
  ASSERT_EQ(User("v").touches.size(), 1u);
  EXPECT_EQ(User("v").touches[0].ts, kT + 6'000);
}

TEST_F(StateTest, OnlineFollowsThePlatformWhereItCounts) {
  Feed(kT, "", StartOf("h"));
  Feed(kT + 1'000, "u", event::ViewerEnter{});
  Feed(kT + 2'000, "v", event::ViewerEnter{});
  EXPECT_EQ(Room().online, 2);
  event::RoomStats stats;
  stats.online = 500;
  Feed(kT + 3'000, "", stats);
  Feed(kT + 2'500, "w", event::ViewerEnter{});
  EXPECT_EQ(Room().online, 500) << "it was in the count";
  Feed(kT + 4'000, "x", event::ViewerEnter{});
  EXPECT_EQ(Room().online, 501);
  stats.online = 1;
  Feed(kT + 1'000, "", stats);
  EXPECT_EQ(Room().online, 501) << "an older count";
  Feed(kT + 5'000, "", stats);
  event::ViewerLeave leave;
  leave.watch_ms = 4'000;
  for (const char* user : {"u", "v", "w"}) Feed(kT + 6'000, user, leave);
  EXPECT_EQ(Room().online, 0);
}

TEST_F(StateTest, TheNewestWordAboutAViewerHolds) {
  event::Event event = MakeEvent(kT + 10, "u", event::CommentPost{});
  event.actor->personalize = false;
  event.actor->segment = "new";
  Feed(event);
  event.ts = kT;
  event.actor->personalize = true;
  event.actor->segment = "older";
  Feed(event);
  EXPECT_FALSE(User("u").personalize);
  EXPECT_EQ(User("u").segment, "new");
  Feed(kT + 20, "u", event::CommentPost{});
  EXPECT_FALSE(User("u").personalize) << "not said: as before";
  EXPECT_TRUE(User("u").visits.empty());
}

TEST_F(StateTest, StreaksAndBatchesCountAsOneInteraction) {
  Feed(kT, "u", event::ViewerEnter{});
  event::Gift gift;
  gift.count = 5;
  gift.streak_end = false;
  Feed(kT + 1'000, "u", gift);
  gift.count = 9;
  gift.streak_end = true;
  Feed(kT + 2'000, "u", gift);
  event::Like like;
  like.count = 30;
  Feed(kT + 3'000, "u", like);
  EXPECT_EQ(User("u").visits[0].interactions, 2);
  EXPECT_EQ(Room().series[0].gifts, 9u);
  EXPECT_EQ(Room().series[0].likes, 30u);
}

TEST_F(StateTest, TheNewestWordOfARoomsAttentionHoldsWhileItIsOnAir) {
  event::AttentionSample sample;
  sample.a = 0.5;
  Feed(kT, "", sample);
  EXPECT_EQ(Room().attention, RoomAttention{}) << "nothing is on air";
  EXPECT_FALSE(Room().live) << "and this is no sign of life";
  Feed(kT + 1, "", StartOf("h"));
  EXPECT_EQ(Room().attention, RoomAttention{});
  sample.components = event::RawJson{R"({"comment_lift":2.5,"click_lift":-1,"highlight":3})"};
  Feed(kT + 10, "", sample);
  const RoomAttention said{.ts = kT + 10, .attention = 0.5, .comment_lift = 2.5};
  EXPECT_EQ(Room().attention, said) << "a lift below 0 is none";
  EXPECT_EQ(state_.Summarize(Room().room).attention, said);
  sample.a = 0.25;
  Feed(kT + 9, "", sample);
  EXPECT_EQ(Room().attention, said) << "older";
  sample.scope = event::AttentionScope::kProduct;
  Feed(kT + 11, "", sample);
  EXPECT_EQ(Room().attention, said) << "of a product";
  sample.scope.reset();
  sample.a = std::numeric_limits<double>::quiet_NaN();
  Feed(kT + 11, "", sample);
  EXPECT_EQ(Room().attention, said);
  sample.a = -0.0;
  sample.components = event::RawJson{"[1]"};
  Feed(kT + 12, "", sample);
  EXPECT_EQ(Room().attention, (RoomAttention{.ts = kT + 12}));
  State copy;
  ASSERT_TRUE(copy.Restore(state_.Serialize()).ok());
  EXPECT_EQ(copy.ReadRoom(Room().room).attention, Room().attention);
  Feed(kT + 20, "", event::StreamEnd{});
  EXPECT_EQ(Room().attention, RoomAttention{}) << "it is over";
}

TEST_F(StateTest, AbsurdNumbersAreHarmless) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  for (const int64_t ts : {kHuge, std::numeric_limits<int64_t>::min(), kT}) {
    event::ViewerLeave leave;
    leave.watch_ms = kHuge;
    Feed(ts, "u", leave);
    leave.watch_ms = std::numeric_limits<int64_t>::min();
    Feed(ts, "u", leave);
    event::Like like;
    like.count = kHuge;
    Feed(ts, "u", like);
    Feed(ts, "u", like);
    event::OrderPay pay;
    pay.amount_cents = kHuge;
    pay.lines = {LineOf("p", kHuge, kHuge)};
    for (int i = 0; i < 3; ++i) {
      pay.order_id = std::to_string(ts) + std::to_string(i);
      Feed(ts, "u", pay);
    }
    auto bind = Bind("p", kHuge);
    bind.price_cents = std::numeric_limits<int64_t>::min();
    Feed(ts, "", bind);
  }
  State copy;
  ASSERT_TRUE(copy.Restore(state_.Serialize()).ok());
  EXPECT_EQ(copy.Serialize(), state_.Serialize());
}

}  // namespace
}  // namespace heed::state
