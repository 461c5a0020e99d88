#include "state/user.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/random.h"

namespace heed::state {
namespace {

constexpr int64_t kT = 1'764'000'000'000;
constexpr Place kA{.room = 1, .host = 11, .category = 5};
constexpr Place kB{.room = 2, .host = 22, .category = kNone};

TEST(User, EnterOpensAVisitOfTheHost) {
  User user;
  Enter(user, kA, kT);
  ASSERT_EQ(user.visits.size(), 1u);
  EXPECT_EQ(user.visits[0].host, 11u);
  EXPECT_EQ(user.visits[0].category, 5u);
  EXPECT_EQ(user.visits[0].watch_ms, -1);
  EXPECT_EQ(user.visits[0].flags, kInside);
  EXPECT_EQ(user.enters, 1);
}

TEST(User, HeartbeatsAreCumulativeAndLeaveIsFinal) {
  User user;
  Enter(user, kA, kT);
  EXPECT_DOUBLE_EQ(Heartbeat(user, kA, kT + 30'000, 30'000).minutes, 0.5);
  EXPECT_DOUBLE_EQ(Heartbeat(user, kA, kT + 60'000, 60'000).minutes, 0.5);
  EXPECT_DOUBLE_EQ(Heartbeat(user, kA, kT + 45'000, 45'000).minutes, 0.0) << "late: known already";
  EXPECT_EQ(user.visits[0].watch_ms, 60'000);
  EXPECT_EQ(user.visits[0].flags & kInside, kInside);

  const Watched left = Leave(user, kA, kT + 90'000, 90'000);
  EXPECT_DOUBLE_EQ(left.minutes, 0.5);
  EXPECT_FALSE(left.at_once);
  EXPECT_DOUBLE_EQ(Heartbeat(user, kA, kT + 75'000, 75'000).minutes, 0.0);
  EXPECT_DOUBLE_EQ(Leave(user, kA, kT + 90'100, 90'000).minutes, 0.0) << "told twice";
  ASSERT_EQ(user.visits.size(), 1u);
  EXPECT_EQ(user.visits[0].watch_ms, 90'000);
  EXPECT_EQ(user.visits[0].flags, kLeft);
  EXPECT_TRUE(user.skips.empty());
}

TEST(User, LeavingWithinThreeSecondsIsASkip) {
  User user;
  Enter(user, kA, kT);
  EXPECT_TRUE(Leave(user, kA, kT + 2'999, 2'999).at_once);
  Enter(user, kA, kT + 10'000);
  EXPECT_FALSE(Leave(user, kA, kT + 13'000, 3'000).at_once);
  ASSERT_EQ(user.skips.size(), 1u);
  EXPECT_EQ(user.skips[0].reason, SkipReason::kLeftAtOnce);
  EXPECT_EQ(user.skips[0].host, 11u);
  EXPECT_EQ(user.skips[0].ts, kT + 2'999);
}

TEST(User, EnteringElsewhereEndsTheVisitBefore) {
  User user;
  Enter(user, kA, kT);
  Enter(user, kB, kT + 40'000);
  EXPECT_EQ(user.visits[0].watch_ms, 40'000) << "the gap, as nothing was reported";
  EXPECT_EQ(user.visits[0].flags, kGuessed);
  EXPECT_EQ(user.visits[1].flags, kInside);
  // Its leave comes late and knows better; the guess was never counted as watched.
  EXPECT_DOUBLE_EQ(Leave(user, kA, kT + 30'000, 30'000).minutes, 0.5);
  EXPECT_EQ(user.visits[0].watch_ms, 30'000);
  EXPECT_EQ(user.visits[0].flags, kLeft);
  // A gap of hours says little.
  Enter(user, kA, kT + 9'000'000);
  EXPECT_EQ(user.visits[1].watch_ms, kMaxGuessedWatchMs);
  // An enter that arrives after a later one ends where that began.
  Enter(user, kB, kT + 8'999'000);
  EXPECT_EQ(user.visits[2].room, kB.room);
  EXPECT_EQ(user.visits[2].watch_ms, 1'000);
  EXPECT_EQ(user.visits[3].flags, kInside);
}

TEST(User, ReportsWithoutAnEnterTellOfTheVisit) {
  User user;
  EXPECT_DOUBLE_EQ(Heartbeat(user, kA, kT + 60'000, 60'000).minutes, 1.0);
  ASSERT_EQ(user.visits.size(), 1u);
  EXPECT_EQ(user.visits[0].enter_ts, kT);
  EXPECT_EQ(user.visits[0].flags, kInside | kImplied);
  EXPECT_EQ(user.enters, 0) << "no enter was seen";
  // The enter comes after all: the same visit, begun when it says.
  Enter(user, kA, kT - 500);
  ASSERT_EQ(user.visits.size(), 1u);
  EXPECT_EQ(user.visits[0].enter_ts, kT - 500);
  EXPECT_EQ(user.visits[0].watch_ms, 60'000);
  EXPECT_EQ(user.enters, 1);
  // A leave that covers none of what is known is another visit.
  Leave(user, kA, kT + 70'000, 70'000);
  Leave(user, kA, kT + 300'000, 20'000);
  ASSERT_EQ(user.visits.size(), 2u);
  EXPECT_EQ(user.visits[1].enter_ts, kT + 280'000);
  EXPECT_EQ(user.visits[1].flags, kLeft | kImplied);
}

TEST(User, AnImpressionNotEnteredWithinThirtySecondsIsASkip) {
  User user;
  Impression(user, kA, kT);
  Settle(user, kT + 30'000);
  EXPECT_TRUE(user.skips.empty());
  Settle(user, kT + 30'001);
  ASSERT_EQ(user.skips.size(), 1u);
  EXPECT_EQ(user.skips[0].reason, SkipReason::kNotEntered);
  EXPECT_EQ(user.skips[0].ts, kT) << "when it was shown";
  Settle(user, kT + 90'000);
  EXPECT_EQ(user.skips.size(), 1u) << "once";
}

TEST(User, TheNextImpressionOrAnotherRoomMakesItASkip) {
  User user;
  Impression(user, kA, kT);
  Impression(user, kA, kT + 100);
  EXPECT_TRUE(user.skips.empty()) << "shown again";
  Impression(user, kB, kT + 200);
  ASSERT_EQ(user.skips.size(), 1u);
  EXPECT_EQ(user.skips[0].host, 11u);
  Enter(user, {.room = 3, .host = 33}, kT + 300);
  ASSERT_EQ(user.skips.size(), 2u);
  EXPECT_EQ(user.skips[1].host, 22u);
  EXPECT_EQ(user.impressions, 3);
}

TEST(User, OneOfSeveralOnTheScreenEnteredIsNoSkip) {
  User user;
  Impression(user, kA, kT);
  Impression(user, kB, kT + 1);
  Enter(user, kA, kT + 5'000);
  ASSERT_EQ(user.skips.size(), 1u);
  EXPECT_EQ(user.skips[0].host, 22u);
  // Half a minute later it would have stayed one.
  User slow;
  Impression(slow, kA, kT);
  Impression(slow, kB, kT + 1);
  Enter(slow, kA, kT + 30'001);
  EXPECT_EQ(slow.skips.size(), 2u);
}

TEST(User, AnImpressionAfterItsEnterIsNotPending) {
  User user;
  Enter(user, kA, kT + 1'000);
  Impression(user, kA, kT) /* late */;
  Impression(user, kA, kT + 2'000) /* shown while inside */;
  Settle(user, kT + 60'000);
  EXPECT_TRUE(user.skips.empty());
  // One older than what is pending was passed over for it.
  Impression(user, kB, kT + 70'000);
  Impression(user, {.room = 3, .host = 33}, kT + 69'000);
  ASSERT_EQ(user.skips.size(), 1u);
  EXPECT_EQ(user.skips[0].host, 33u);
  EXPECT_EQ(user.pending.room, kB.room);
}

TEST(User, DislikeIsASkipAtOnce) {
  User user;
  Impression(user, kA, kT);
  Dislike(user, kA, kT + 10);
  Settle(user, kT + 60'000);
  ASSERT_EQ(user.skips.size(), 1u);
  EXPECT_EQ(user.skips[0].reason, SkipReason::kDislike);
}

TEST(User, InteractionsGoToTheVisitTheyFellInto) {
  User user;
  Enter(user, kA, kT);
  Enter(user, kB, kT + 10'000);
  Enter(user, kA, kT + 20'000);
  Interaction(user, kA.room, kT + 5'000);  // late
  Interaction(user, kA.room, kT + 25'000);
  Interaction(user, kA.room, kT - 1) /* before any: to none */;
  Order(user, kB.room, kT + 90'000) /* paid after leaving */;
  EXPECT_EQ(user.visits[0].interactions, 1);
  EXPECT_EQ(user.visits[1].interactions, 0);
  EXPECT_EQ(user.visits[1].orders, 1);
  EXPECT_EQ(user.visits[2].interactions, 1);
  for (int i = 0; i < 300; ++i) Interaction(user, kA.room, kT + 25'000);
  EXPECT_EQ(user.visits[2].interactions, 255);
}

TEST(User, HistoriesKeepTheNewestInTimeOrder) {
  User user;
  for (int i = 0; i < 200; ++i) {
    TouchProduct(user, {.ts = kT + (i * 37) % 200, .product = static_cast<Index>((i * 37) % 200)});
    Dislike(user, kA, kT + (i * 37) % 200);
    Enter(user, kA, kT + (i * 37) % 200);
  }
  ASSERT_EQ(user.touches.size(), kMaxTouches);
  ASSERT_EQ(user.skips.size(), kMaxSkips);
  ASSERT_EQ(user.visits.size(), kMaxVisits);
  for (size_t i = 0; i < kMaxTouches; ++i) {
    EXPECT_EQ(user.touches[i].product, 200 - kMaxTouches + i);
    EXPECT_EQ(user.visits[i].enter_ts, kT + static_cast<int64_t>(200 - kMaxVisits + i));
  }
  EXPECT_EQ(user.touches.capacity(), kMaxTouches) << "no more memory than a full history needs";
}

TEST(User, FollowsGoByTheirTimes) {
  User user;
  Follow(user, 7, true, kT + 100);
  Follow(user, 7, false, kT + 50);  // an older word
  EXPECT_TRUE(user.follows[0].on);
  Follow(user, 7, false, kT + 200);
  Follow(user, 7, true, kT + 150);
  EXPECT_FALSE(user.follows[0].on);
  for (Index host = 100; host < 100 + kMaxFollows; ++host) Follow(user, host, true, kT + host);
  EXPECT_EQ(user.follows.size(), kMaxFollows);
  EXPECT_EQ(user.follows[0].host, 100u) << "what is off goes first";
  Follow(user, 500, true, kT + 1'000);
  EXPECT_EQ(user.follows[0].host, 101u) << "then the oldest";
  EXPECT_EQ(user.follows.size(), kMaxFollows);
}

// Delivery a place or two out of order must not change what we know of the visits.
TEST(User, VisitsDoNotDependOnSmallDisorder) {
  const std::vector<std::function<void(User&)>> reports = {
      [](User& u) { Enter(u, kA, kT); },
      [](User& u) { Leave(u, kA, kT + 20'000, 20'000); },
      [](User& u) { Enter(u, kB, kT + 25'000); },
      [](User& u) { Heartbeat(u, kB, kT + 40'000, 15'000); },
      [](User& u) { Leave(u, kB, kT + 50'000, 25'000); },
      [](User& u) { Enter(u, kA, kT + 60'000); },
      [](User& u) { Heartbeat(u, kA, kT + 90'000, 30'000); },
  };
  Random random(1);
  for (int round = 0; round < 500; ++round) {
    // Sorted by place plus up to 1.5: each report is at most two places from its own.
    std::vector<std::pair<double, size_t>> order;
    for (size_t i = 0; i < reports.size(); ++i) {
      order.emplace_back(static_cast<double>(i) + random.Uniform(0, 1.5), i);
    }
    std::sort(order.begin(), order.end());
    User user;
    for (const auto& [key, i] : order) reports[i](user);
    ASSERT_EQ(user.visits.size(), 3u) << "round " << round;
    EXPECT_EQ(user.visits[0].enter_ts, kT);
    EXPECT_EQ(user.visits[0].watch_ms, 20'000);
    EXPECT_EQ(user.visits[0].flags, kLeft);
    EXPECT_EQ(user.visits[1].enter_ts, kT + 25'000);
    EXPECT_EQ(user.visits[1].watch_ms, 25'000);
    EXPECT_EQ(user.visits[1].flags, kLeft);
    EXPECT_EQ(user.visits[2].enter_ts, kT + 60'000);
    EXPECT_EQ(user.visits[2].watch_ms, 30'000);
    EXPECT_EQ(user.visits[2].flags, kInside);
  }
}

}  // namespace
}  // namespace heed::state
