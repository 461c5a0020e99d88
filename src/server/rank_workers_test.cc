#include "server/rank_workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/router.h"
#include "server/test_server.h"

namespace heed::server {
namespace {

using std::chrono::milliseconds;

QueuedRequest Numbered(const std::string& id, const Route* route = nullptr) {
  auto request = std::make_shared<Request>();
  request->id = id;
  request->route = route;
  return {std::move(request), Reply([](const auto&) {}), 0};
}

TEST(RankWorkersTest, OneWorkerKeepsTheOrderAndTheBound) {
  Gate gate;
  std::vector<std::string> done;  // written by the one worker, read after its end
  {
    RankWorkers workers(1, 3, [&](const QueuedRequest& queued, const TakeRequest&) {
      gate.Pass();
      done.push_back(queued.request->id);
    });
    ASSERT_TRUE(workers.TryPush(Numbered("a")));
    gate.Await(1);  // it runs, so it no longer waits
    EXPECT_FALSE(workers.full());
    for (const char* id : {"b", "c", "d"}) EXPECT_TRUE(workers.TryPush(Numbered(id)));
    EXPECT_TRUE(workers.full());
    EXPECT_EQ(workers.waiting(), 3u);
    EXPECT_FALSE(workers.TryPush(Numbered("e")));
    EXPECT_EQ(workers.RetryAfterSeconds(), 1);
    gate.Open();
  }  // runs what waits
  EXPECT_EQ(done, (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST(RankWorkersTest, AnIdleWorkerTakesFromABusyOne) {
  Gate held;
  std::atomic<int> quick = 0;
  RankWorkers workers(2, 100, [&](const QueuedRequest& queued, const TakeRequest&) {
    if (queued.request->id == "long") {
      held.Pass();
    } else {
      ++quick;
    }
  });
  ASSERT_TRUE(workers.TryPush(Numbered("long")));
  held.Await(1);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(workers.TryPush(Numbered("quick")));
  for (int tries = 0; tries < 1000 && quick < 50; ++tries)
    std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(quick, 50) << "a request waits behind a long one while a worker is idle";
  held.Open();
}

TEST(RankWorkersTest, EveryRequestRunsOnceUnderManyPushers) {
  constexpr int kPushers = 4, kEach = 2'000;
  std::mutex mutex;
  std::map<std::string, int> runs;
  std::atomic<int> refused = 0;
  {
    RankWorkers workers(3, 8, [&](const QueuedRequest& queued, const TakeRequest& more) {
      const auto count = [&](const QueuedRequest& each) {
        const std::lock_guard lock(mutex);
        ++runs[each.request->id];
      };
      count(queued);
      while (const auto another = more()) count(*another);
    });
    std::vector<std::thread> pushers;
    for (int p = 0; p < kPushers; ++p) {
      pushers.emplace_back([&, p] {
        for (int i = 0; i < kEach; ++i)
          if (!workers.TryPush(Numbered(std::to_string(p) + "/" + std::to_string(i)))) ++refused;
      });
    }
    for (std::thread& pusher : pushers) pusher.join();
  }
  EXPECT_EQ(static_cast<int>(runs.size()) + refused, kPushers * kEach);
  for (const auto& [id, times] : runs) EXPECT_EQ(times, 1) << id;
}

TEST(RankWorkersTest, MoreGivesOnlyWhatWaitsForTheSameRoute) {
  const Route hosts, products;
  Gate gate;
  std::vector<std::string> groups;
  {
    RankWorkers workers(1, 10, [&](const QueuedRequest& queued, const TakeRequest& more) {
      gate.Pass();
      std::string group = queued.request->id;
      while (const auto another = more()) group += another->request->id;
      groups.push_back(group);
    });
    ASSERT_TRUE(workers.TryPush(Numbered("0", &products)));
    gate.Await(1);
    for (const char* id : {"a", "b"}) ASSERT_TRUE(workers.TryPush(Numbered(id, &hosts)));
    ASSERT_TRUE(workers.TryPush(Numbered("p", &products)));
    ASSERT_TRUE(workers.TryPush(Numbered("c", &hosts)));
    gate.Open();
  }
  EXPECT_EQ(groups, (std::vector<std::string>{"0", "ab", "p", "c"}));
}

TEST(RankWorkersTest, RetryAfterFollowsTheQueueAndTheTimeOfService) {
  Gate gate;
  std::atomic<int> ran = 0;
  RankWorkers workers(1, 100, [&](const QueuedRequest&, const TakeRequest&) {
    if (ran++ == 0) return std::this_thread::sleep_for(milliseconds(200));
    gate.Pass();
  });
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(workers.TryPush(Numbered("x")));
  gate.Await(1);
  for (int i = 0; i < 11; ++i) ASSERT_TRUE(workers.TryPush(Numbered("x")));
  EXPECT_GE(workers.RetryAfterSeconds(), 3);  // 11 × 0.2 s
  gate.Open();
}

}  // namespace
}  // namespace heed::server
