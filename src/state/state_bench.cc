// Apply on a mix of events like an evening's, and reads beside a writer.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "base/random.h"
#include "state/attention_state.h"
#include "state/test_events.h"

namespace heed::state {
namespace {

constexpr uint64_t kUsers = 100'000;
constexpr uint64_t kRooms = 2'000;
constexpr uint64_t kProducts = 20'000;
constexpr size_t kPool = 100'000;  // events, applied again and again with later times
constexpr int64_t kPoolMs = 60'000;

// Long tails: the share of the first x of n is about x^(1/3).
std::string Skewed(Random& random, const char* prefix, uint64_t n) {
  const double u = random.Uniform();
  return prefix + std::to_string(static_cast<uint64_t>(u * u * u * static_cast<double>(n)));
}

event::Event RandomEvent(Random& random, int64_t ts) {
  std::string user = "h:7f3a9c" + std::to_string(random.Below(kUsers));
  const std::string product = Skewed(random, "product-", kProducts);
  event::ViewerHeartbeat heartbeat;
  heartbeat.watch_ms = static_cast<int64_t>(random.Below(300'000));
  event::ViewerLeave leave;
  leave.watch_ms = static_cast<int64_t>(random.Below(300'000));
  event::Like like;
  like.count = 5;
  event::OrderPay pay;
  pay.order_id = "order" + std::to_string(random.Next());
  pay.amount_cents = 9'900;
  pay.lines = {LineOf(product, 1, 9'900)};
  event::Event event;
  const double kind = random.Uniform();  // shares: one heartbeat per 10 s of watching leads
  if (kind < 0.35) {
    event = MakeEvent(ts, std::move(user), heartbeat);
  } else if (kind < 0.55) {
    event = MakeEvent(ts, std::move(user), event::RoomImpression{});
  } else if (kind < 0.70) {
    event = MakeEvent(ts, std::move(user), like);
  } else if (kind < 0.78) {
    event = MakeEvent(ts, std::move(user), event::CommentPost{});
  } else if (kind < 0.85) {
    event = MakeEvent(ts, std::move(user), event::ViewerEnter{});
  } else if (kind < 0.92) {
    event = MakeEvent(ts, std::move(user), leave);
  } else if (kind < 0.97) {
    event = MakeEvent(ts, std::move(user), OfProduct<event::ProductClick>(product));
  } else if (kind < 0.985) {
    event = MakeEvent(ts, std::move(user), OfProduct<event::CartAdd>(product));
  } else {
    event = MakeEvent(ts, std::move(user), pay);
  }
  return InRoom(Skewed(random, "room-", kRooms), std::move(event));
}

std::vector<event::Event> Pool() {
  Random random(1);
  std::vector<event::Event> events;
  events.reserve(kPool);
  for (size_t i = 0; i < kPool; ++i) {
    events.push_back(RandomEvent(random, kStartTs + static_cast<int64_t>(i) * kPoolMs / kPool));
  }
  return events;
}

class Feeder {
 public:
  explicit Feeder(State& state) : state_(state), events_(Pool()) {}
  void Next() {
    event::Event& event = events_[sequence_ % kPool];
    if (sequence_ >= kPool) event.ts += kPoolMs;
    state_.Apply(++sequence_, event);
  }
  // `rounds` events of each user, on average.
  void Warm(int rounds) {
    for (size_t i = 0; i < kPool * static_cast<size_t>(rounds); ++i) Next();
  }

 private:
  State& state_;
  std::vector<event::Event> events_;
  uint64_t sequence_ = 0;
};

void BM_Apply(benchmark::State& run) {
  State state;
  Feeder feeder(state);
  feeder.Warm(static_cast<int>(run.range(0)));
  for (auto _ : run) feeder.Next();
  run.SetItemsProcessed(run.iterations());
}
BENCHMARK(BM_Apply)->Arg(1)->Arg(50);

void BM_ReadUser(benchmark::State& run) {
  State state;
  Feeder feeder(state);
  feeder.Warm(50);
  std::atomic<bool> done{false};
  std::thread writer;
  if (run.range(0) == 1) {
    writer = std::thread([&] {
      while (!done.load(std::memory_order_relaxed)) feeder.Next();
    });
  }
  Random random(2);
  const auto users = static_cast<uint64_t>(state.Count(Kind::kUser));
  for (auto _ : run) {
    benchmark::DoNotOptimize(state.ReadUser(static_cast<Index>(random.Below(users))));
  }
  done.store(true);
  if (writer.joinable()) writer.join();
}
BENCHMARK(BM_ReadUser)->ArgName("writer")->Arg(0)->Arg(1)->UseRealTime();

void BM_ReadRoom(benchmark::State& run) {
  State state;
  Feeder feeder(state);
  feeder.Warm(50);
  Random random(2);
  for (auto _ : run) {
    benchmark::DoNotOptimize(state.ReadRoom(static_cast<Index>(random.Below(kRooms))));
  }
}
BENCHMARK(BM_ReadRoom);

void BM_LiveRooms(benchmark::State& run) {
  State state;
  Feeder feeder(state);
  feeder.Warm(2);
  for (auto _ : run) benchmark::DoNotOptimize(state.LiveRooms("t1", kStartTs, 60'000));
}
BENCHMARK(BM_LiveRooms);

void BM_Serialize(benchmark::State& run) {
  State state;
  Feeder feeder(state);
  feeder.Warm(50);
  size_t bytes = 0;
  for (auto _ : run) bytes = state.Serialize().size();
  run.counters["bytes"] = static_cast<double>(bytes);
  run.SetBytesProcessed(static_cast<int64_t>(bytes) * run.iterations());
}
BENCHMARK(BM_Serialize)->Unit(benchmark::kMillisecond);

void BM_Restore(benchmark::State& run) {
  std::string bytes;
  {
    State state;
    Feeder feeder(state);
    feeder.Warm(50);
    bytes = state.Serialize();
  }
  for (auto _ : run) {
    State state;
    benchmark::DoNotOptimize(state.Restore(bytes).ok());
  }
  run.SetBytesProcessed(static_cast<int64_t>(bytes.size()) * run.iterations());
}
BENCHMARK(BM_Restore)->Unit(benchmark::kMillisecond);

// Cost of one event by width of its value: O(d), whatever came before.
void BM_AttentionStateAdd(benchmark::State& run) {
  const auto width = static_cast<size_t>(run.range(0));
  AttentionState state(width, 0.01);
  const std::vector<float> value(width, 0.5f);
  Random random(5);
  int64_t time_ms = 0;
  for (auto _ : run) state.Add(time_ms += 10, random.Uniform(), value);
  run.SetItemsProcessed(run.iterations());
}
BENCHMARK(BM_AttentionStateAdd)->Arg(16)->Arg(64)->Arg(256);

}  // namespace
}  // namespace heed::state
