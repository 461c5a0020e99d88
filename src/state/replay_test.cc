// Replay gives the same bytes; damaged images are refused or harmless; what a user costs.
#include <gtest/gtest.h>
#include <malloc.h>
#include <rapidcheck.h>

#include <cstdio>

#include "state/test_events.h"

namespace heed::state {
namespace {

std::vector<event::Event> Stream(uint64_t seed, size_t count) {
  RandomEvents random(seed);
  std::vector<event::Event> events;
  for (size_t i = 0; i < count; ++i) events.push_back(random.Next());
  return events;
}

void ApplyRange(State& state, const std::vector<event::Event>& events, size_t from, size_t to) {
  for (size_t i = from; i < to; ++i) state.Apply(i + 1, events[i]);
}

TEST(Replay, SnapshotAndTailEqualReplayFromTheStart) {
  ASSERT_TRUE(rc::check("any stream, any snapshot point", [] {
    const auto seed = *rc::gen::arbitrary<uint64_t>();
    const auto count = *rc::gen::inRange<size_t>(1, 1'500);
    const auto cut = *rc::gen::inRange<size_t>(0, count + 1);
    const auto again = *rc::gen::inRange<size_t>(0, cut + 1);
    const std::vector<event::Event> events = Stream(seed, count);

    State whole;
    ApplyRange(whole, events, 0, count);
    State first;
    ApplyRange(first, events, 0, cut);
    uint64_t sequence = 0;
    const std::string snapshot = first.Serialize(&sequence);
    RC_ASSERT(sequence == cut);
    State second;
    RC_ASSERT(second.Restore(snapshot).ok());
    RC_ASSERT(second.Serialize() == snapshot);
    RC_ASSERT(second.last_sequence() == cut);
    ApplyRange(second, events, again, count);  // a tail that overlaps the snapshot
    RC_ASSERT(second.Serialize() == whole.Serialize());
  }));
}

// What readers see is the same after a restore: nothing kept beside the bytes.
TEST(Replay, ViewsAreTheSameAfterRestore) {
  const std::vector<event::Event> events = Stream(5, 3'000);
  State state;
  ApplyRange(state, events, 0, events.size());
  State copy;
  ASSERT_TRUE(copy.Restore(state.Serialize()).ok());
  for (const char* tenant : {"t0", "t1"}) {
    EXPECT_EQ(copy.LiveRooms(tenant, kStartTs, 1), state.LiveRooms(tenant, kStartTs, 1));
    EXPECT_FALSE(state.LiveRooms(tenant, kStartTs, 1).empty());
    EXPECT_EQ(copy.List(Kind::kHost, tenant), state.List(Kind::kHost, tenant));
  }
  for (Index i = 0; i < state.Count(Kind::kUser); ++i) {
    EXPECT_EQ(copy.ReadUser(i).visits, state.ReadUser(i).visits);
    EXPECT_EQ(copy.ReadUser(i).touches, state.ReadUser(i).touches);
    EXPECT_EQ(copy.ReadUser(i).skips, state.ReadUser(i).skips);
    EXPECT_EQ(copy.Name(Kind::kUser, i), state.Name(Kind::kUser, i));
    EXPECT_EQ(copy.Key(Kind::kUser, i), state.Key(Kind::kUser, i));
  }
  for (Index i = 0; i < state.Count(Kind::kRoom); ++i) {
    EXPECT_EQ(copy.ReadRoom(i).series, state.ReadRoom(i).series);
    EXPECT_EQ(copy.ReadRoom(i).attention, state.ReadRoom(i).attention);
    EXPECT_EQ(copy.Summarize(i).last_ts, state.Summarize(i).last_ts);
  }
}

// The worked example of docs/formats/state.md.
TEST(Image, IsWhatTheFormatPageShows) {
  State state;
  auto stock = OfProduct<event::ProductStock>("p");
  stock.stock = 3;
  state.Apply(7, MakeEvent(kStartTs, "u", stock));
  const std::string bytes = state.Serialize();
  std::string hex;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<uint8_t>(c)));
    hex += digits;
  }
  const auto zeros = [](size_t count) { return std::string(2 * count, '0'); };
  const std::string ts = "80d0dfb4ab33";
  EXPECT_EQ(hex,
            "484453540200000007"  // header
            "01000274310100017501000272310100027231010001"
            "7000"                                   // names
                + zeros(9) + ts + zeros(4) + "0100"  // user
                + zeros(84)                          // host
                + zeros(21)                          // room
                + zeros(47) + "04" + ts + zeros(3)   // product
                + zeros(1));                         // orders
}

TEST(Image, RefusesWhatItDidNotWrite) {
  State state;
  ApplyRange(state, Stream(1, 500), 0, 500);
  const std::string bytes = state.Serialize();
  for (size_t size = 0; size < bytes.size(); size += 1 + size / 50) {
    const Status status = state.Restore(std::string_view(bytes).substr(0, size));
    ASSERT_EQ(status.code(), Code::kCorruption) << "cut at " << size;
  }
  EXPECT_EQ(state.Count(Kind::kUser), 0u) << "left empty";
  EXPECT_EQ(state.last_sequence(), 0u);
  EXPECT_EQ(state.Restore(bytes + '\0').code(), Code::kCorruption);
  std::string other = bytes;
  other[4] = 9;
  EXPECT_EQ(state.Restore(other).message(), "state: version 9 is not known");
  other = bytes;
  other[0] = 'X';
  EXPECT_EQ(state.Restore(other).message(), "state: not a state image");
  ASSERT_TRUE(state.Restore(bytes).ok());
  EXPECT_EQ(state.Serialize(), bytes);
}

TEST(Image, DamageIsRefusedOrHarmless) {
  State source;
  ApplyRange(source, Stream(2, 400), 0, 400);
  const std::string bytes = source.Serialize();
  const std::vector<event::Event> more = Stream(3, 50);
  Random random(4);
  int accepted = 0;
  for (int round = 0; round < 2'000; ++round) {
    std::string damaged = bytes;
    for (uint64_t i = random.Below(3) + 1; i-- > 0;) {
      damaged[random.Below(damaged.size())] = static_cast<char>(random.Next());
    }
    State state;
    if (!state.Restore(damaged).ok()) continue;
    ++accepted;
    ASSERT_EQ(state.Serialize(), damaged);
    const uint64_t base = state.last_sequence();
    for (size_t i = 0; i < more.size(); ++i) state.Apply(base + i + 1, more[i]);
    State again;
    ASSERT_TRUE(again.Restore(state.Serialize()).ok()) << "it stays a state that can be written";
  }
  EXPECT_GT(accepted, 100) << "or nothing was tried";
}

TEST(Memory, AUserWithFullHistoriesTakesAtMostSixKilobytes) {
#ifdef HEED_SANITIZED
  GTEST_SKIP() << "sanitizers allocate on their own";
#endif
  State state;
  uint64_t sequence = 0;
  const auto feed = [&](int user, int64_t ts, auto data, int room) {
    event::Event event = MakeEvent(ts, "user-" + std::to_string(1'000'000 + user), std::move(data));
    event.room = "room-" + std::to_string(room);
    state.Apply(++sequence, event);
  };
  const auto fill = [&](int user) {
    event::Follow follow;
    follow.on = true;
    for (int i = 0; i < 150; ++i) {
      const int64_t ts = kStartTs + i * 60'000;
      feed(user, ts, event::RoomImpression{}, (i + 1) % 150);
      feed(user, ts + 31'000, event::ViewerEnter{}, i);
      feed(user, ts + 32'000, follow, i);
      feed(user, ts + 33'000, OfProduct<event::ProductClick>("p"), i);
    }
  };
  fill(0);  // rooms, hosts and products exist from here on
  const UserView view = state.ReadUser(0);
  ASSERT_EQ(view.visits.size(), kMaxVisits);
  ASSERT_EQ(view.touches.size(), kMaxTouches);
  ASSERT_EQ(view.skips.size(), kMaxSkips);
  ASSERT_EQ(view.followed_hosts.size(), kMaxFollows);
  constexpr int kUsers = 1'000;
  const size_t before = mallinfo2().uordblks;
  for (int user = 1; user <= kUsers; ++user) fill(user);
  const size_t bytes = (mallinfo2().uordblks - before) / kUsers;
  std::printf("bytes per full user: %zu\n", bytes);
  EXPECT_LE(bytes, 6'144u);
  EXPECT_GE(bytes, 3'000u) << "or it was not measured";
}

}  // namespace
}  // namespace heed::state
