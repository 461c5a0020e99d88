// GEMM and the attention kernels on the ranker's shapes, one core.
//   cmake --build --preset release --target kernels_bench && build/release/src/kernels/kernels_bench
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/gemm.h"
#include "kernels/table.h"

namespace heed::kernels {
namespace {

void BM_Gemm(benchmark::State& state) {
  const auto M = static_cast<size_t>(state.range(0)), N = static_cast<size_t>(state.range(1)),
             K = static_cast<size_t>(state.range(2));
  const auto ta = static_cast<Trans>(state.range(3)), tb = static_cast<Trans>(state.range(4));
  std::vector<float> a(M * K, 0.5f), b(K * N, 0.25f), c(M * N);
  for ([[maybe_unused]] auto unused : state) {
    Gemm(ta, tb, M, N, K, a.data(), ta == Trans::kYes ? M : K, b.data(), tb == Trans::kYes ? K : N,
         0.0f, c.data(), N);
    benchmark::DoNotOptimize(c.data());
  }
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * static_cast<double>(M * N * K),
                                                benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(BM_Gemm)
    ->ArgNames({"M", "N", "K", "tA", "tB"})
    ->Args({500, 256, 424, 0, 0})   // first layer, serving
    ->Args({500, 128, 256, 0, 0})   // second layer
    ->Args({500, 100, 16, 0, 1})    // one head's scores
    ->Args({500, 16, 100, 0, 0})    // one head's outputs
    ->Args({512, 256, 840, 0, 0})   // first layer, training
    ->Args({840, 256, 512, 1, 0})   // its weight gradient
    ->Args({512, 840, 256, 0, 1});  // its input gradient

void BM_Attend(benchmark::State& state) {
  const Table& k = TableOf(static_cast<Level>(state.range(0)));
  const size_t H = 4, L = 50, D = 64;
  std::vector<float> u(H * D, 0.5f), x(L * D, 0.25f), s(H * (L + 1)), c(H * D), dx(L * D);
  for ([[maybe_unused]] auto unused : state) {
    k.attend_scores(u.data(), x.data(), H, L, D, s.data(), L + 1);
    k.attend_context(s.data(), L + 1, x.data(), H, L, D, c.data());
    k.attend_tokens(s.data(), s.data(), L + 1, c.data(), u.data(), H, L, D, dx.data());
    benchmark::DoNotOptimize(dx.data());
    benchmark::ClobberMemory();
  }
  state.SetLabel(std::string(LevelName(static_cast<Level>(state.range(0)))));
}
BENCHMARK(BM_Attend)->Apply([](auto* bench) {
  for (const Level level : AttainableLevels()) bench->Arg(static_cast<int64_t>(level));
});

}  // namespace
}  // namespace heed::kernels
