// The example session of the specification (docs/spec), end to end: what it leaves in the state.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "event/json.h"
#include "state/state.h"

namespace heed::state {
namespace {

constexpr int64_t kT0 = 1'764'000'000'000;

class Session : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("HEED_SOURCE_DIR");
    const std::string base = root != nullptr ? root : ".";
    std::ifstream file(base + "/docs/spec/events.examples.jsonl");
    ASSERT_TRUE(file) << "set HEED_SOURCE_DIR to the repository's root";
    std::stringstream body;
    body << file.rdbuf();
    event::JsonReader reader;
    auto read = reader.ReadBody(body.str(), 1'000);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    ASSERT_TRUE(read.value().rejected.empty());
    std::set<std::string> seen;  // as the log does: exactly once by id
    for (const event::Event& event : read.value().events) {
      if (seen.insert(event.id).second) events_.push_back(event);
    }
    ASSERT_EQ(events_.size(), 56u);
  }

  // Applies what happened up to `seconds` into the session.
  void PlayUntil(double seconds) {
    while (next_ < events_.size() &&
           static_cast<double>(events_[next_].ts - kT0) <= seconds * 1000) {
      state_.Apply(next_ + 1, events_[next_]);
      ++next_;
    }
  }
  Index Host() const { return state_.Find(Kind::kHost, "t1", "h:host"); }
  Index Room() const { return state_.Find(Kind::kRoom, "t1", "r1"); }
  Index Product(const char* id) const { return state_.Find(Kind::kProduct, "t1", id); }
  UserView User(const char* id) const {
    return state_.ReadUser(state_.Find(Kind::kUser, "t1", id));
  }

  State state_;
  std::vector<event::Event> events_;
  size_t next_ = 0;
};

TEST_F(Session, Histories) {
  PlayUntil(1'000);
  const Index category = state_.Find(Kind::kCategory, "t1", "服饰");
  ASSERT_NE(category, kNone);

  const UserView u1 = User("h:u1");
  ASSERT_EQ(u1.visits.size(), 1u);
  EXPECT_EQ(u1.visits[0], (Visit{.host = Host(),
                                 .room = Room(),
                                 .category = category,
                                 .enter_ts = kT0 + 10'000,
                                 .watch_ms = 230'000,
                                 .interactions = 2,
                                 .orders = 1,
                                 .inside = false}));
  ASSERT_EQ(u1.touches.size(), 2u);
  EXPECT_EQ(u1.touches[0],
            (ProductTouch{Product("p1"), Host(), category, kT0 + 37'000, Touch::kClick}));
  EXPECT_EQ(u1.touches[1],
            (ProductTouch{Product("p1"), Host(), category, kT0 + 112'000, Touch::kOrder}));
  EXPECT_TRUE(u1.skips.empty()) << "shown at 2 s, entered at 10 s";
  EXPECT_EQ(u1.followed_hosts, std::vector<Index>{Host()}) << "came as a follower";
  EXPECT_TRUE(u1.follower_flag);
  EXPECT_EQ(u1.impressions, 1);
  EXPECT_EQ(u1.enters, 1);
  EXPECT_EQ(u1.clicks, 1);
  EXPECT_EQ(u1.orders, 1);
  EXPECT_EQ(u1.last_ts, kT0 + 240'000);

  const UserView u2 = User("h:u2");
  ASSERT_EQ(u2.touches.size(), 4u);
  EXPECT_EQ(u2.touches[2].touch, Touch::kCart);
  EXPECT_EQ(u2.touches[3].touch, Touch::kOrder);
  EXPECT_EQ(u2.touches[3].ts, kT0 + 58'000) << "when paid, not when created";
  EXPECT_EQ(u2.visits[0].watch_ms, 228'000);
  EXPECT_EQ(u2.visits[0].orders, 1);
  EXPECT_EQ(u2.clicks, 2);
  EXPECT_FALSE(u2.follower_flag);

  const UserView u3 = User("h:u3");
  EXPECT_EQ(u3.visits[0].interactions, 2) << "a comment and a follow";
  EXPECT_EQ(u3.followed_hosts, std::vector<Index>{Host()});

  const UserView u4 = User("h:u4");
  ASSERT_EQ(u4.visits.size(), 2u);
  EXPECT_EQ(u4.visits[0].watch_ms, 50'000);
  EXPECT_EQ(u4.visits[1].enter_ts, kT0 + 100'000);
  EXPECT_EQ(u4.visits[1].watch_ms, 60'000);

  const UserView u5 = User("h:u5");
  EXPECT_EQ(u5.impressions, 1);
  EXPECT_TRUE(u5.visits.empty());
  EXPECT_TRUE(u5.skips.empty()) << "nothing of u5 came after, so it is not settled yet";
  EXPECT_EQ(state_.Find(Kind::kUser, "t1", "h:op"), kNone) << "an operator is no viewer";
  EXPECT_EQ(state_.Count(Kind::kUser), 8u);
}

TEST_F(Session, WhileOnAir) {
  PlayUntil(50);
  const RoomView room = state_.ReadRoom(Room());
  EXPECT_TRUE(room.live);
  EXPECT_EQ(room.host, Host());
  EXPECT_EQ(room.title, "秋季上新专场");
  EXPECT_EQ(room.category, "服饰");
  EXPECT_EQ(room.session, "s1");
  EXPECT_EQ(room.start_ts, kT0);
  EXPECT_EQ(room.online, 4);
  EXPECT_EQ(room.explaining, Product("p1"));
  ASSERT_EQ(room.products.size(), 2u);
  EXPECT_EQ(room.products[0].product, Product("p1"));
  EXPECT_EQ(room.products[0].price_cents, 9'900);
  EXPECT_EQ(room.products[0].stock, 50);
  EXPECT_EQ(room.products[1].stock, 20);
  EXPECT_EQ(state_.ReadHost(Host()).live_room, Room());
  EXPECT_EQ(state_.LiveRooms("t1", kT0 + 51'000, 60'000), std::vector<Index>{Room()});
  EXPECT_EQ(state_.CountLiveRooms(kT0 + 51'000, 60'000), 1u);
  const RoomSummary summary = state_.Summarize(Room());
  EXPECT_TRUE(summary.live);
  EXPECT_EQ(summary.host, Host());
  EXPECT_EQ(summary.online, 4);

  PlayUntil(130);
  EXPECT_EQ(state_.ReadRoom(Room()).online, 3)
      << "two left since the platform's count, one is back";
  PlayUntil(145);
  EXPECT_EQ(state_.ReadRoom(Room()).explaining, kNone);
}

TEST_F(Session, AfterTheEnd) {
  PlayUntil(1'000);
  const RoomView room = state_.ReadRoom(Room());
  EXPECT_FALSE(room.live);
  EXPECT_EQ(state_.ReadHost(Host()).live_room, kNone);
  EXPECT_TRUE(state_.LiveRooms("t1", kT0 + 241'000, 60'000).empty());
  EXPECT_EQ(room.products[0].stock, 47) << "50 less 1 and 2 sold";
  EXPECT_EQ(state_.ReadProduct(Product("p1")).stock, 47);
  EXPECT_EQ(state_.ReadProduct(Product("p2")).title, "半身裙");

  ASSERT_EQ(room.series.size(), 9u);
  const auto step = [&](int64_t i) { return SeriesStep{.start_ts = kT0 + i * kSeriesStepMs}; };
  SeriesStep expected[9] = {step(0), step(1), step(2), step(3), step(4),
                            step(5), step(6), step(7), step(8)};
  expected[0].impressions = 8;
  expected[0].enters = 4;
  expected[1].comments = 2;
  expected[1].likes = 12;
  expected[1].product_clicks = 3;
  expected[1].carts = 1;
  expected[1].orders = 1;
  expected[1].revenue_cents = 9'900;
  expected[2].exits = 1;
  expected[2].gifts = 1;
  expected[3].exits = 1;
  expected[3].enters = 1;
  expected[3].orders = 1;
  expected[3].revenue_cents = 19'800;
  expected[5].exits = 1;
  expected[8].exits = 2;
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(room.series[i], expected[i]) << "step " << i;
}

TEST_F(Session, Counters) {
  PlayUntil(1'000);
  const int64_t now = kT0 + 3'600'000;
  const auto left = [&](double seconds) {
    return std::pow(0.5, (3'600 - seconds) / (6 * 3'600.0));
  };
  const HostCounters host = state_.ReadHost(Host()).counters;
  EXPECT_NEAR(host.orders.At(now), left(58) + left(112), 1e-12);
  EXPECT_NEAR(host.revenue_yuan.At(now), 99 * left(58) + 198 * left(112), 1e-9);
  EXPECT_NEAR(host.enters.At(now), left(10) + left(12) + left(15) + left(20) + left(100), 1e-12);
  EXPECT_NEAR(host.product_clicks.At(now), left(37) + left(38) + left(38.5), 1e-12);
  EXPECT_NEAR(host.interactions.At(now), left(33) + left(34) + left(35) + left(61) + left(80),
              1e-12);
  EXPECT_NEAR(host.follows.At(now), left(61), 1e-12);
  EXPECT_NEAR(host.watch_minutes.At(now),
              (50 * left(70) + 75 * left(90) + 60 * left(160) + (228 + 230) * left(240)) / 60,
              1e-11);
  EXPECT_EQ(host.short_watches.At(now), 0);
  double impressions = 0;
  for (int i = 0; i < 8; ++i) impressions += left(2 + i * 0.5);
  EXPECT_NEAR(host.impressions.At(now), impressions, 1e-12);

  const ProductCounters p1 = state_.ReadProduct(Product("p1")).counters;
  EXPECT_NEAR(p1.impressions.At(now), 4 * left(31), 1e-12);
  EXPECT_NEAR(p1.clicks.At(now), left(37) + left(38) + left(38.5), 1e-12);
  EXPECT_NEAR(p1.carts.At(now), left(50), 1e-12);
  EXPECT_NEAR(p1.orders.At(now), left(58) + left(112), 1e-12);
  EXPECT_NEAR(p1.revenue_yuan.At(now), 99 * left(58) + 198 * left(112), 1e-9);
}

}  // namespace
}  // namespace heed::state
