// GEMM and the attention kernels on the ranker's shapes, one core.
//   cmake --build --preset release --target kernels_bench && build/release/src/kernels/kernels_bench
#include <benchmark/benchmark.h>

#include <string>
#include <utility>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/product.h"
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

// The packed products of serving, beside what one core can do with all registers in use: the peak of
// multiply-add (fp32) or of the pair and quad products.
void BM_Product(benchmark::State& state) {
  const auto level = static_cast<Level>(state.range(0));
  const auto precision = static_cast<Precision>(state.range(1));
  const auto M = static_cast<size_t>(state.range(2)), K = static_cast<size_t>(state.range(3)),
             N = static_cast<size_t>(state.range(4));
  const Products& products = ProductsOf(level);
  const std::vector<float> weights(K * N, 0.25f), bias(N, 0.5f);
  const PackedMatrix w(weights.data(), K, N, N, precision);
  LineVector<float> a(M * K, 0.5f), out(M * N);
  LineVector<Bf16> a_bf16(M * K, ToBf16(0.5f)), out_bf16(M * N);
  LineVector<uint8_t> a_u8(M * K, 3), out_u8(M * N);
  for ([[maybe_unused]] auto unused : state) {
    Epilogue end{.bias = bias.data(), .relu = true, .stride = N, .u8_scale = bias.data()};
    switch (precision) {
      case Precision::kFp32:
        end.fp32 = out.data();
        products.fp32(a.data(), K, M, w.panels(), end);
        break;
      case Precision::kBf16:
        end.bf16 = out_bf16.data();
        products.bf16(a_bf16.data(), K, M, w.panels(), end);
        break;
      case Precision::kInt8:
        end.scale = w.scale();
        end.u8 = out_u8.data();
        products.int8(a_u8.data(), K, M, w.panels(), end);
        break;
    }
    benchmark::ClobberMemory();
  }
  state.SetLabel(std::string(LevelName(level)) + " " + std::string(PrecisionName(precision)));
  state.counters["OP/s"] = benchmark::Counter(2.0 * static_cast<double>(M * N * K),
                                              benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(BM_Product)->Apply([](auto* bench) {
  bench->ArgNames({"level", "precision", "M", "K", "N"});
  for (const Level level : AttainableLevels()) {
    if (level == Level::kScalar) continue;
    for (const int64_t precision : {0, 1, 2}) {
      for (const auto& [K, N] : {std::pair<int64_t, int64_t>{192, 64}, {128, 256}, {256, 128}}) {
        bench->Args({static_cast<int64_t>(level), precision, 500, K, N});
      }
    }
  }
});

void BM_LanesSoftmax(benchmark::State& state) {
  const Products& products = ProductsOf(static_cast<Level>(state.range(0)));
  const size_t L = 100, width = 16;
  const std::vector<float> keys(L * width, 0.5f);
  std::vector<float> lanes(width * kPanel, 0.25f), s(L * kPanel), out(width * kPanel),
      inverse(kPanel), evidence(kPanel);
  for ([[maybe_unused]] auto unused : state) {
    products.lanes_fp32(keys.data(), width, 1, L, width, lanes.data(), s.data());
    if (state.range(1) >= 1) {
      products.softmax_lanes(s.data(), L, nullptr, 0.0f, inverse.data(), evidence.data(), nullptr);
    }
    if (state.range(1) >= 2) {
      products.lanes_fp32(keys.data(), 1, width, width, L, s.data(), out.data());
    }
    benchmark::ClobberMemory();
  }
  state.SetLabel(std::string(LevelName(static_cast<Level>(state.range(0)))));
}
BENCHMARK(BM_LanesSoftmax)->Apply([](auto* bench) {
  bench->ArgNames({"level", "parts"});
  for (const int64_t parts : {0, 1, 2}) {
    bench->Args({static_cast<int64_t>(AttainableLevels().back()), parts});
  }
});

}  // namespace
}  // namespace heed::kernels
