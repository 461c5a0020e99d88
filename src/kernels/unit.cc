#include "kernels/unit.h"

#include <algorithm>
#include <array>
#include <cassert>

#if HEED_SIMD
#include "kernels/unit_simd.h"
#endif

namespace heed::kernels {

namespace reference {
namespace {

float At(const TokenRows& x, size_t t, size_t m) {
  const size_t k = m / x.width;
  return x.tables[k][x.rows[t * x.parts + k] * x.stride + m % x.width];
}

void Times(const TokenRows& x, const float* w, const float* base, size_t N, float* y, RowFetch*) {
  for (size_t t = 0; t < x.tokens; ++t) {
    float* row = y + t * N;
    for (size_t n = 0; n < N; ++n) row[n] = base == nullptr ? 0.0f : base[n];
    for (size_t m = 0; m < x.parts * x.width; ++m) {
      const float a = At(x, t, m);
      for (size_t n = 0; n < N; ++n) row[n] += a * w[m * N + n];
    }
  }
}

void Outer(const TokenRows& x, const float* d, size_t N, float* sums, RowFetch*) {
  for (size_t t = 0; t < x.tokens; ++t) {
    for (size_t m = 0; m < x.parts * x.width; ++m) {
      const float a = At(x, t, m);
      for (size_t n = 0; n < N; ++n) sums[m * N + n] += a * d[t * N + n];
    }
  }
}

void Own(const float* side, const float* product, const float* q, size_t M, size_t N, float* own) {
  for (size_t i = 0; i < M; ++i) {
    for (size_t j = i * N; j < (i + 1) * N; ++j) own[j] = side[j] + q[i] * product[j];
  }
}

void OwnTransposed(const float* side, const float* product, const float* q, size_t M, size_t N,
                   float* own) {
  for (size_t j = 0; j < N; ++j) {
    for (size_t i = 0; i < M; ++i) own[j * M + i] = side[j * M + i] + q[i] * product[j * M + i];
  }
}

void OwnBackward(const float* d_own, const float* product, const float* q, size_t M, size_t N,
                 float* d_side, float* d_product, float* d_q) {
  for (size_t i = 0; i < M; ++i) {
    for (size_t j = i * N; j < (i + 1) * N; ++j) {
      d_side[j] += d_own[j];
      d_product[j] += q[i] * d_own[j];
      d_q[i] += d_own[j] * product[j];
    }
  }
}

void Bend(const float* x, const float* slope, size_t L, size_t N, float* y) {
  for (size_t t = 0; t < L; ++t, x += N, y += N) {
    for (size_t n = 0; n < N; ++n) y[n] = x[n] > 0.0f ? x[n] : slope[n] * x[n];
  }
}

void BendBackward(const float* x, const float* slope, size_t L, size_t N, float* d, float* d_slope,
                  float* d_bias) {
  for (size_t t = 0; t < L; ++t, x += N, d += N) {
    for (size_t n = 0; n < N; ++n) {
      if (!(x[n] > 0.0f)) {
        d_slope[n] += d[n] * x[n];
        d[n] *= slope[n];
      }
      d_bias[n] += d[n];
    }
  }
}

}  // namespace

void Fill(UnitKernels& kernels) {
  kernels = {.times = Times,
             .outer = Outer,
             .own = Own,
             .own_transposed = OwnTransposed,
             .own_backward = OwnBackward,
             .bend = Bend,
             .bend_backward = BendBackward};
}

}  // namespace reference

const UnitKernels& UnitOf(Level level) {
  static const std::array<UnitKernels, kLevels> all = [] {
    std::array<UnitKernels, kLevels> filled{};
    for (const Level one : AttainableLevels()) {
      UnitKernels& kernels = filled[static_cast<size_t>(one)];
      reference::Fill(kernels);
#if HEED_SIMD
      if (one != Level::kScalar) simd::Fill(one, kernels);
#endif
    }
    return filled;
  }();
  const UnitKernels& kernels = all[static_cast<size_t>(level)];
  assert(kernels.times != nullptr && "a level this machine cannot run");
  return kernels;
}

const UnitKernels& ActiveUnit() {
  static const UnitKernels& kernels = UnitOf(ActiveLevel());
  return kernels;
}

}  // namespace heed::kernels
