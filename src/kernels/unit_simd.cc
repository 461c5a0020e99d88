// The kernels of unit.h on vectors, by Google Highway; compiled once for each instruction set, like
// simd.cc. A product keeps a tile of rows times columns in registers; of a matrix it meets columns of one
// tile at a time, which for the widths of a unit is 16 to 20 KB: the first cache keeps them while all the
// tokens of a history pass.
#include "kernels/unit_simd.h"

#include <algorithm>
#include <type_traits>

// NOLINTBEGIN(readability-identifier-naming): Highway's names
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/unit_simd.cc"
// NOLINTEND(readability-identifier-naming)
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/history-inl.h"
#include "kernels/vectors-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

static_assert(kUnitPad % kLanes == 0);

// Accumulators of a tile: what 32 or 16 registers hold beside a row of columns and a broadcast.
#if HWY_TARGET == HWY_AVX3
constexpr size_t kTileVectors = 25;
#else
constexpr size_t kTileVectors = 12;
#endif

// Rows of a tile that is `vecs` vectors wide: two products in flight for each of two units need eight.
constexpr size_t RowsOfTile(size_t vecs) { return std::min<size_t>(kTileVectors / vecs, 8); }

// Calls body(column, vecs) for tiles of columns that make up N; none is left with one vector if it can
// be helped.
template <typename Body>
HWY_INLINE void EachColumnTile(size_t N, Body body) {
  size_t left = N / kLanes, column = 0;
  const auto take = [&](auto vecs) HWY_ATTR {
    body(column, vecs);
    column += vecs.value * kLanes;
    left -= vecs.value;
  };
  while (left > 0) {  // NOLINT(bugprone-infinite-loop): take makes it less
#if HWY_TARGET == HWY_AVX3
    if (left == 5) {
      take(std::integral_constant<size_t, 5>());
    } else if (left >= 4 && left != 6) {
      take(std::integral_constant<size_t, 4>());
    } else if (left >= 3) {
      take(std::integral_constant<size_t, 3>());
    } else
#endif
        if (left >= 2) {
      take(std::integral_constant<size_t, 2>());
    } else {
      take(std::integral_constant<size_t, 1>());
    }
  }
}

// Calls body(first, rows) for tiles of at most `most` rows that make up n: whole ones, and then the rest
// in halves.
template <size_t most, typename Body>
HWY_INLINE void EachRowTile(size_t n, Body body) {
  size_t first = 0;
  for (; first + most <= n; first += most) body(first, std::integral_constant<size_t, most>());
  if constexpr (most > 4) {
    for (; first + 4 <= n; first += 4) body(first, std::integral_constant<size_t, 4>());
  }
  if constexpr (most > 2) {
    for (; first + 2 <= n; first += 2) body(first, std::integral_constant<size_t, 2>());
  }
  if constexpr (most > 1) {
    for (; first < n; ++first) body(first, std::integral_constant<size_t, 1>());
  }
}

// Tokens t .. t + rows - 1, part k of them; y holds what came before it, or `base` does.
template <size_t rows, size_t vecs>
HWY_INLINE void TimesTile(const TokenRows& x, size_t t, size_t k, const float* w, const float* base,
                          size_t N, float* y) {
  V sum[rows][vecs];
  const float* row[rows];
  HEED_UNROLL
  for (size_t i = 0; i < rows; ++i) {
    row[i] = Part(x, t + i, k);
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) {
      sum[i][v] = k > 0             ? Load(y + i * N + v * kLanes)
                  : base != nullptr ? Load(base + v * kLanes)
                                    : hn::Zero(kTag);
    }
  }
  for (size_t m = 0; m < x.width; ++m, w += N) {
    V b[vecs];
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) b[v] = Load(w + v * kLanes);
    HEED_UNROLL
    for (size_t i = 0; i < rows; ++i) {
      const V a = hn::Set(kTag, row[i][m]);
      HEED_UNROLL
      for (size_t v = 0; v < vecs; ++v) sum[i][v] = hn::MulAdd(a, b[v], sum[i][v]);
    }
  }
  HEED_UNROLL
  for (size_t i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) hn::StoreU(sum[i][v], kTag, y + i * N + v * kLanes);
  }
}

void Times(const TokenRows& x, const float* w, const float* base, size_t N, float* y,
           RowFetch* fetch) {
  EachColumnTile(N, [&](size_t column, auto vecs) HWY_ATTR {
    for (size_t k = 0; k < x.parts; ++k) {
      const float* own = w + k * x.width * N + column;
      EachRowTile<RowsOfTile(vecs.value)>(x.tokens, [&](size_t t, auto rows) HWY_ATTR {
        Fetch(fetch, 2);
        TimesTile<rows.value, vecs.value>(x, t, k, own, base == nullptr ? base : base + column, N,
                                          y + t * N + column);
      });
    }
  });
}

// Numbers m .. m + rows - 1 of part k.
template <size_t rows, size_t vecs>
HWY_INLINE void OuterTile(const TokenRows& x, size_t k, size_t m, const float* d, size_t N,
                          float* sums) {
  V sum[rows][vecs];
  HEED_UNROLL
  for (size_t i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) sum[i][v] = Load(sums + i * N + v * kLanes);
  }
  const float* table = x.tables[k] + m;
  const uint32_t* row_of = x.rows + k;
  for (size_t t = 0; t < x.tokens; ++t, d += N) {
    const float* row = table + row_of[t * x.parts] * x.stride;
    V b[vecs];
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) b[v] = Load(d + v * kLanes);
    HEED_UNROLL
    for (size_t i = 0; i < rows; ++i) {
      const V a = hn::Set(kTag, row[i]);
      HEED_UNROLL
      for (size_t v = 0; v < vecs; ++v) sum[i][v] = hn::MulAdd(a, b[v], sum[i][v]);
    }
  }
  HEED_UNROLL
  for (size_t i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) hn::StoreU(sum[i][v], kTag, sums + i * N + v * kLanes);
  }
}

void Outer(const TokenRows& x, const float* d, size_t N, float* sums, RowFetch* fetch) {
  EachColumnTile(N, [&](size_t column, auto vecs) HWY_ATTR {
    for (size_t k = 0; k < x.parts; ++k) {
      EachRowTile<RowsOfTile(vecs.value)>(x.width, [&](size_t m, auto rows) HWY_ATTR {
        Fetch(fetch, 2);
        OuterTile<rows.value, vecs.value>(x, k, m, d + column, N,
                                          sums + (k * x.width + m) * N + column);
      });
    }
  });
}

void Own(const float* side, const float* product, const float* q, size_t M, size_t N, float* own) {
  for (size_t i = 0; i < M; ++i) {
    const V factor = hn::Set(kTag, q[i]);
    for (size_t j = i * N; j < (i + 1) * N; j += kLanes) {
      hn::StoreU(hn::MulAdd(factor, Load(product + j), Load(side + j)), kTag, own + j);
    }
  }
}

void OwnTransposed(const float* side, const float* product, const float* q, size_t M, size_t N,
                   float* own) {
  for (size_t j = 0; j < N; ++j, side += M, product += M, own += M) {
    for (size_t i = 0; i < M; i += kLanes) {
      hn::StoreU(hn::MulAdd(Load(q + i), Load(product + i), Load(side + i)), kTag, own + i);
    }
  }
}

void OwnBackward(const float* d_own, const float* product, const float* q, size_t M, size_t N,
                 float* d_side, float* d_product, float* d_q) {
  for (size_t i = 0; i < M; ++i) {
    const V factor = hn::Set(kTag, q[i]);
    V sum = hn::Zero(kTag);
    for (size_t j = i * N; j < (i + 1) * N; j += kLanes) {
      const V d = Load(d_own + j);
      hn::StoreU(hn::Add(Load(d_side + j), d), kTag, d_side + j);
      hn::StoreU(hn::MulAdd(factor, d, Load(d_product + j)), kTag, d_product + j);
      sum = hn::MulAdd(d, Load(product + j), sum);
    }
    d_q[i] += hn::GetLane(hn::SumOfLanes(kTag, sum));
  }
}

void Bend(const float* x, const float* slope, size_t L, size_t N, float* y) {
  const V zero = hn::Zero(kTag);
  for (size_t t = 0; t < L; ++t, x += N, y += N) {
    for (size_t n = 0; n < N; n += kLanes) {
      const V v = Load(x + n);
      hn::StoreU(hn::IfThenElse(hn::Gt(v, zero), v, hn::Mul(Load(slope + n), v)), kTag, y + n);
    }
  }
}

void BendBackward(const float* x, const float* slope, size_t L, size_t N, float* d, float* d_slope,
                  float* d_bias) {
  const V zero = hn::Zero(kTag);
  for (size_t n = 0; n < N; n += kLanes) {
    const V a = Load(slope + n);
    V slopes = Load(d_slope + n), biases = Load(d_bias + n);
    for (size_t t = 0; t < L; ++t) {
      const V v = Load(x + t * N + n), g = Load(d + t * N + n);
      const auto straight = hn::Gt(v, zero);
      slopes = hn::Add(slopes, hn::IfThenZeroElse(straight, hn::Mul(g, v)));
      const V bent = hn::IfThenElse(straight, g, hn::Mul(a, g));
      biases = hn::Add(biases, bent);
      hn::StoreU(bent, kTag, d + t * N + n);
    }
    hn::StoreU(slopes, kTag, d_slope + n);
    hn::StoreU(biases, kTag, d_bias + n);
  }
}

void FillUnit(UnitKernels& kernels) {
  kernels = {.times = Times,
             .outer = Outer,
             .own = Own,
             .own_transposed = OwnTransposed,
             .own_backward = OwnBackward,
             .bend = Bend,
             .bend_backward = BendBackward};
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/simd.h"

namespace heed::kernels::simd {
namespace {
HWY_EXPORT(FillUnit);
}  // namespace

void Fill(Level level, UnitKernels& kernels) {
  AtTarget(level, [&] { HWY_DYNAMIC_DISPATCH(FillUnit)(kernels); });
}

}  // namespace heed::kernels::simd
#endif  // HWY_ONCE
