// Durable ingest on this machine's disk: events of about 350 bytes as JSON. TMPDIR chooses the disk.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "event/codec.h"
#include "event/json.h"
#include "store/event_log.h"
#include "store/testing.h"

namespace heed::store {
namespace {

using SteadyClock = std::chrono::steady_clock;

double Microseconds(SteadyClock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

// Ids as adapters make them: no order in them.
event::Event BenchEvent(uint64_t number) {
  event::Event event = SmallEvent(number);
  char id[33];
  snprintf(id, sizeof id, "%016llx%016llx", static_cast<unsigned long long>(MixHash(number)),
           static_cast<unsigned long long>(MixHash(number ^ 0x5555555555555555ull)));
  event.id = id;
  event.recv_ts = event.ts + 120;
  event.seq = static_cast<int64_t>(number);
  event.src.raw_type = "WebcastProductClick";
  event.actor->follower = number % 2 == 0;
  event.actor->segment = "returning";
  return event;
}

// state.range(0) appenders, batches of state.range(1), until about a third of a minute's work at the
// aim is done; each appender waits for one answer before its next batch.
void BM_Append(benchmark::State& state) {
  const auto appenders = static_cast<size_t>(state.range(0));
  const auto batch = static_cast<size_t>(state.range(1));
  const auto per_appender = static_cast<size_t>(state.range(2)) / appenders / batch;
  for ([[maybe_unused]] auto unused : state) {
    TemporaryDirectory directory;
    auto database = Database::Open({directory.path()}).value();
    auto log = EventLog::Open(*database, {}).value();
    std::vector<std::vector<double>> times(appenders);
    const auto start = SteadyClock::now();
    std::vector<std::thread> threads;
    for (size_t t = 0; t < appenders; ++t) {
      threads.emplace_back([&, t] {
        std::vector<event::Event> events(batch);
        uint64_t number = t << 40;
        for (size_t i = 0; i < per_appender; ++i) {
          for (event::Event& event : events) event = BenchEvent(number++);
          const auto begin = SteadyClock::now();
          if (!log->Append(std::move(events)).ok()) std::abort();
          times[t].push_back(Microseconds(SteadyClock::now() - begin));
          events.resize(batch);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    state.SetIterationTime(Microseconds(SteadyClock::now() - start) * 1e-6);
    std::vector<double> all;
    for (const std::vector<double>& some : times) all.insert(all.end(), some.begin(), some.end());
    std::sort(all.begin(), all.end());
    state.SetItemsProcessed(static_cast<int64_t>(all.size() * batch));
    state.counters["p50_us"] = all[all.size() / 2];
    state.counters["p99_us"] = all[all.size() * 99 / 100];
    state.counters["events_per_sync"] =
        static_cast<double>(log->stats().events) / static_cast<double>(log->stats().groups);
    state.counters["json_bytes"] = static_cast<double>(event::ToJson(BenchEvent(1)).size());
    std::string encoded;
    event::Encode(BenchEvent(1), encoded);
    state.counters["encoded_bytes"] = static_cast<double>(encoded.size());
  }
}
BENCHMARK(BM_Append)
    ->ArgNames({"appenders", "batch", "events"})
    ->Args({8, 100, 5'000'000})
    ->Args({1, 1, 5'000})
    ->Args({8, 1, 40'000})
    ->Args({1, 100, 500'000})
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void BM_Read(benchmark::State& state) {
  TemporaryDirectory directory;
  auto database = Database::Open({directory.path()}).value();
  auto log = EventLog::Open(*database, {}).value();
  constexpr uint64_t kEvents = 500'000;
  for (uint64_t i = 0; i < kEvents; i += 1'000) {
    std::vector<event::Event> events;
    for (uint64_t k = i; k < i + 1'000; ++k) events.push_back(BenchEvent(k));
    if (!log->Append(std::move(events)).ok()) std::abort();
  }
  if (!database->Flush().ok()) std::abort();
  for ([[maybe_unused]] auto unused : state) {
    uint64_t count = 0;
    const Status read = log->Read(1, [&](const LogRecord&) {
      ++count;
      return Status();
    });
    if (!read.ok() || count != kEvents) std::abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(kEvents * state.iterations()));
}
BENCHMARK(BM_Read)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heed::store
