// Cost of the voice, ten seconds of sound an iteration. What a whole broadcast costs: bench/media.py.
#include <benchmark/benchmark.h>

#include "media/sound_for_test.h"

namespace heed::media {
namespace {

void BM_Voice(benchmark::State& state) {
  const Streams streams = ToStreams(Voice(10, 120, 300));
  for (auto _ : state) benchmark::DoNotOptimize(Listen(streams));
  state.counters["core"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 10,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Voice)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heed::media
