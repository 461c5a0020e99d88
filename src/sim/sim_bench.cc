#include <benchmark/benchmark.h>

#include "sim/world.h"

namespace heed::sim {
namespace {

// A default evening, over and over; the making of the world is not timed.
void Produce(benchmark::State& state) {
  World world(WorldConfig{});
  Batch batch;
  int64_t events = 0;
  for ([[maybe_unused]] auto unused : state) {
    if (world.done()) {
      state.PauseTiming();
      world = World(WorldConfig{});
      state.ResumeTiming();
    }
    batch.Clear();
    world.Produce(4096, batch);
    events += static_cast<int64_t>(batch.events.size());
  }
  state.SetItemsProcessed(events);
}
BENCHMARK(Produce)->Unit(benchmark::kMillisecond);

void MakeWorld(benchmark::State& state) {
  for ([[maybe_unused]] auto unused : state) {
    benchmark::DoNotOptimize(World(WorldConfig{}));
  }
}
BENCHMARK(MakeWorld)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heed::sim
