// One writer, several readers; run under the tsan preset it also shows that they share no bytes
// without order.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "state/test_events.h"

namespace heed::state {
namespace {

TEST(Concurrency, ReadersSeeAnEventWhollyOrNotAtAll) {
  State state;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> views{0};
  constexpr int kEvents = 20'000;

  const auto read = [&](uint64_t seed) {
    Random random(seed);
    uint64_t last = 0;
    while (!done.load(std::memory_order_acquire)) {
      const uint64_t sequence = state.last_sequence();
      ASSERT_GE(sequence, last);
      last = sequence;
      // Whoever sees the sequence sees the event: the writer's n-th is of user n % 50.
      if (sequence > 0) {
        const std::string id = "user" + std::to_string(sequence % 50);
        const Index user = state.Find(Kind::kUser, "t1", id);
        ASSERT_NE(user, kNone);
        ASSERT_EQ(state.Name(Kind::kUser, user), id);
        const UserView view = state.ReadUser(user);
        ASSERT_GE(view.last_ts, kStartTs + static_cast<int64_t>(sequence));
        // A click adds to the count and to the history at once.
        ASSERT_EQ(view.touches.size(), std::min<size_t>(kMaxTouches, view.clicks));
        ASSERT_TRUE(std::is_sorted(view.touches.begin(), view.touches.end(),
                                   [](const auto& a, const auto& b) { return a.ts < b.ts; }));
        for (const Visit& visit : view.visits) ASSERT_NE(visit.host, kNone);
      }
      const auto rooms = state.LiveRooms("t1", kStartTs, 1'000'000'000);
      for (const Index room : rooms) {
        const RoomView view = state.ReadRoom(room);
        ASSERT_TRUE(view.live);
        ASSERT_EQ(state.ReadHost(view.host).host, view.host);
        ASSERT_LE(view.series.size(), kSeriesSteps);
        for (const BoundProduct& bound : view.products) state.ReadProduct(bound.product);
        views.fetch_add(1, std::memory_order_relaxed);
      }
      state.CountLiveRooms(kStartTs, 1'000);
      state.Summarize(static_cast<Index>(random.Below(30)));
    }
  };

  std::thread writer([&] {
    Random random(1);
    for (uint64_t n = 1; n <= kEvents; ++n) {
      const int64_t ts = kStartTs + static_cast<int64_t>(n);
      const std::string user = "user" + std::to_string(n % 50);
      const std::string room = "room" + std::to_string(random.Below(20));
      event::Event event;
      if (n % 3 == 0) {
        event = MakeEvent(ts, user, event::ViewerEnter{});
      } else if (n % 1'000 == 1) {
        event = MakeEvent(ts, user, StartOf("host" + std::to_string(random.Below(20))));
      } else {
        const std::string product = "p" + std::to_string(random.Below(n / 100 + 1));
        event = MakeEvent(ts, user, OfProduct<event::ProductClick>(product));
      }
      state.Apply(n, InRoom(room, event));
      // Give the readers a turn on a machine of few cores.
      if (n % 256 == 0) std::this_thread::yield();
    }
    done.store(true, std::memory_order_release);
  });
  std::thread serializer([&] {
    while (!done.load(std::memory_order_acquire)) {
      uint64_t sequence = 0;
      const std::string bytes = state.Serialize(&sequence);
      State copy;
      ASSERT_TRUE(copy.Restore(bytes).ok());
      ASSERT_EQ(copy.last_sequence(), sequence);
    }
  });
  std::thread reader1(read, 1), reader2(read, 2);
  writer.join();
  serializer.join();
  reader1.join();
  reader2.join();
  EXPECT_EQ(state.last_sequence(), static_cast<uint64_t>(kEvents));
  EXPECT_GT(views.load(), 0u);
}

TEST(Concurrency, RestoreUnderReaders) {
  State source;
  for (uint64_t n = 1; n <= 200; ++n) {
    source.Apply(n, MakeEvent(kStartTs, "user" + std::to_string(n % 10), event::ViewerEnter{}));
  }
  const std::string bytes = source.Serialize();
  State state;
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load(std::memory_order_acquire)) {
      const Index user = state.Find(Kind::kUser, "t1", "user3");
      if (user != kNone) {
        ASSERT_EQ(state.ReadUser(user).enters, 20);
      }
    }
  });
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(state.Restore(bytes).ok());
    std::this_thread::yield();
  }
  done.store(true, std::memory_order_release);
  reader.join();
}

}  // namespace
}  // namespace heed::state
