// The kernels of history.h on vectors, by Google Highway; compiled once for each instruction set, like
// simd.cc. Rows come from the second cache at best (a history of R1 is 77 KB), so each is read as
// few times as the registers allow: four tokens or four vectors of a row meet four heads at a time.
#include "kernels/history_simd.h"

#include <algorithm>
#include <cmath>

// NOLINTBEGIN(readability-identifier-naming): Highway's names
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/history_simd.cc"
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

// Of a tile, as many as 32 or 16 registers hold beside its operands.
#if HWY_TARGET == HWY_AVX3
constexpr size_t kTile = 4;
#else
constexpr size_t kTile = 2;
#endif

void FetchAll(RowFetch* fetch) { Fetch(fetch, fetch->of.tokens * fetch->of.parts); }

// s[h * stride + i] = the sum of sum[h][i].
template <size_t heads>
HWY_INLINE void StoreSums(V (&sum)[heads][kTile], size_t n, float* s, size_t stride) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (heads == 4) {
    // Four vectors to one, whose every quarter holds a part of their four sums; then quarters meet.
    __m512 of_head[4];
    HEED_UNROLL
    for (size_t h = 0; h < 4; ++h) {
      const __m512 a = sum[h][0].raw, b = sum[h][1].raw, c = sum[h][2].raw, d = sum[h][3].raw;
      const __m512d ab =
          _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
      const __m512d cd =
          _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
      of_head[h] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
                                 _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
    }
    const auto meet = [](__m512 a, __m512 b) HWY_ATTR {
      return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    };
    const __m512 all = meet(meet(of_head[0], of_head[1]), meet(of_head[2], of_head[3]));
    const auto keep = static_cast<__mmask8>((1u << n) - 1);
    _mm_mask_storeu_ps(s, keep, _mm512_castps512_ps128(all));
    _mm_mask_storeu_ps(s + stride, keep, _mm512_extractf32x4_ps(all, 1));
    _mm_mask_storeu_ps(s + 2 * stride, keep, _mm512_extractf32x4_ps(all, 2));
    _mm_mask_storeu_ps(s + 3 * stride, keep, _mm512_extractf32x4_ps(all, 3));
    return;
  }
#endif
  for (size_t h = 0; h < heads; ++h) {
    for (size_t i = 0; i < n; ++i) {
      s[h * stride + i] = hn::GetLane(hn::SumOfLanes(kTag, sum[h][i]));
    }
  }
}

// Tokens t .. t + n - 1, n <= kTile; what is past them is computed on the last one and not stored.
template <size_t heads>
HWY_INLINE void ScoreTile(const TokenRows& x, size_t t, size_t n, const float* u, float* s,
                          size_t stride) {
  const size_t D = x.parts * x.width;
  V sum[heads][kTile];
  HEED_UNROLL
  for (size_t h = 0; h < heads; ++h) {
    HEED_UNROLL
    for (size_t i = 0; i < kTile; ++i) sum[h][i] = hn::Zero(kTag);
  }
  const size_t whole = x.width / kLanes * kLanes;
  for (size_t k = 0; k < x.parts; ++k) {
    const float* row[kTile];
    HEED_UNROLL
    for (size_t i = 0; i < kTile; ++i) row[i] = Part(x, t + std::min(i, n - 1), k);
    const float* w = u + k * x.width;
    for (size_t j = 0; j < whole; j += kLanes) {
      V v[kTile];
      HEED_UNROLL
      for (size_t i = 0; i < kTile; ++i) v[i] = Load(row[i] + j);
      HEED_UNROLL
      for (size_t h = 0; h < heads; ++h) {
        const V weight = Load(w + h * D + j);
        HEED_UNROLL
        for (size_t i = 0; i < kTile; ++i) sum[h][i] = hn::MulAdd(v[i], weight, sum[h][i]);
      }
    }
  }
  StoreSums<heads>(sum, n, s, stride);
  if (whole == x.width) return;
  for (size_t h = 0; h < heads; ++h) {
    for (size_t i = 0; i < n; ++i) {
      float rest = 0.0f;
      for (size_t k = 0; k < x.parts; ++k) {
        const float *row = Part(x, t + i, k), *w = u + h * D + k * x.width;
        for (size_t j = whole; j < x.width; ++j) rest += row[j] * w[j];
      }
      s[h * stride + i] += rest;
    }
  }
}

void Scores(const TokenRows& x, const float* u, size_t H, float* s, size_t s_stride,
            RowFetch* fetch) {
  const size_t D = x.parts * x.width;
  for (size_t t = 0; t < x.tokens; t += kTile) {
    const size_t n = std::min(kTile, x.tokens - t);
    Fetch(fetch, 2);
    size_t h = 0;
    for (; h + 4 <= H; h += 4) ScoreTile<4>(x, t, n, u + h * D, s + h * s_stride + t, s_stride);
    for (; h + 2 <= H; h += 2) ScoreTile<2>(x, t, n, u + h * D, s + h * s_stride + t, s_stride);
    for (; h < H; ++h) ScoreTile<1>(x, t, n, u + h * D, s + h * s_stride + t, s_stride);
  }
}

// Columns j .. j + vecs * kLanes of part k; all tokens pass by while they stay in registers.
template <size_t heads, size_t vecs>
HWY_INLINE void ContextStrip(const TokenRows& x, size_t k, size_t j, const float* w,
                             size_t w_stride, float* c, RowFetch* fetch) {
  const size_t D = x.parts * x.width;
  V sum[heads][vecs];
  HEED_UNROLL
  for (size_t h = 0; h < heads; ++h) {
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) sum[h][v] = hn::Zero(kTag);
  }
  const float* table = x.tables[k] + j;
  const uint32_t* rows = x.rows + k;
  for (size_t t = 0; t < x.tokens; ++t) {
    if (t % 4 == 0) Fetch(fetch, 1);
    const float* row = table + rows[t * x.parts] * x.stride;
    V part[vecs];
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) part[v] = Load(row + v * kLanes);
    HEED_UNROLL
    for (size_t h = 0; h < heads; ++h) {
      const V weight = hn::Set(kTag, w[h * w_stride + t]);
      HEED_UNROLL
      for (size_t v = 0; v < vecs; ++v) sum[h][v] = hn::MulAdd(part[v], weight, sum[h][v]);
    }
  }
  HEED_UNROLL
  for (size_t h = 0; h < heads; ++h) {
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) {
      hn::StoreU(sum[h][v], kTag, c + h * D + k * x.width + j + v * kLanes);
    }
  }
}

template <size_t heads>
HWY_INLINE void ContextOf(const TokenRows& x, const float* w, size_t w_stride, float* c,
                          RowFetch* fetch) {
  const size_t D = x.parts * x.width;
  for (size_t k = 0; k < x.parts; ++k) {
    size_t j = 0;
    for (; j + kTile * kLanes <= x.width; j += kTile * kLanes) {
      ContextStrip<heads, kTile>(x, k, j, w, w_stride, c, fetch);
    }
    for (; j + kLanes <= x.width; j += kLanes)
      ContextStrip<heads, 1>(x, k, j, w, w_stride, c, fetch);
    for (; j < x.width; ++j) {
      for (size_t h = 0; h < heads; ++h) {
        float sum = 0.0f;
        for (size_t t = 0; t < x.tokens; ++t) sum += w[h * w_stride + t] * Part(x, t, k)[j];
        c[h * D + k * x.width + j] = sum;
      }
    }
  }
}

void Context(const TokenRows& x, const float* w, size_t w_stride, size_t H, float* c,
             RowFetch* fetch) {
  const size_t D = x.parts * x.width;
  size_t h = 0;
  for (; h + 4 <= H; h += 4) ContextOf<4>(x, w + h * w_stride, w_stride, c + h * D, fetch);
  for (; h < H; ++h) ContextOf<1>(x, w + h * w_stride, w_stride, c + h * D, fetch);
}

void Sum(const TokenRows& x, float* out) {
  for (size_t k = 0; k < x.parts; ++k) {
    float* HWY_RESTRICT to = out + k * x.width;
    std::fill(to, to + x.width, 0.0f);
    for (size_t t = 0; t < x.tokens; ++t) {
      const float* HWY_RESTRICT row = Part(x, t, k);
      size_t j = 0;
      for (; j + kLanes <= x.width; j += kLanes) {
        hn::StoreU(hn::Add(Load(to + j), Load(row + j)), kTag, to + j);
      }
      for (; j < x.width; ++j) to[j] += row[j];
    }
  }
}

// `tokens` tokens from t, vecs vectors of columns from j.
template <size_t tokens, size_t vecs>
HWY_INLINE void GradientTile(const float* w, const float* ds, size_t stride, const float* dc,
                             const float* u, const float* base, size_t H, size_t D, float* g) {
  V sum[tokens][vecs];
  HEED_UNROLL
  for (size_t i = 0; i < tokens; ++i) {
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) {
      sum[i][v] = base == nullptr ? hn::Zero(kTag) : Load(base + v * kLanes);
    }
  }
  for (size_t h = 0; h < H; ++h) {
    const auto add = [&](const float* factor, const float* of) HWY_ATTR {
      V x[vecs];
      HEED_UNROLL
      for (size_t v = 0; v < vecs; ++v) x[v] = Load(of + v * kLanes);
      HEED_UNROLL
      for (size_t i = 0; i < tokens; ++i) {
        const V f = hn::Set(kTag, factor[i]);
        HEED_UNROLL
        for (size_t v = 0; v < vecs; ++v) sum[i][v] = hn::MulAdd(f, x[v], sum[i][v]);
      }
    };
    add(w + h * stride, dc + h * D);
    add(ds + h * stride, u + h * D);
  }
  HEED_UNROLL
  for (size_t i = 0; i < tokens; ++i) {
    HEED_UNROLL
    for (size_t v = 0; v < vecs; ++v) hn::StoreU(sum[i][v], kTag, g + i * D + v * kLanes);
  }
}

template <size_t tokens>
HWY_INLINE void GradientRows(const float* w, const float* ds, size_t stride, const float* dc,
                             const float* u, const float* base, size_t H, size_t D, float* g,
                             RowFetch* fetch) {
  const auto at = [&](size_t j) { return base == nullptr ? nullptr : base + j; };
  size_t j = 0;
  for (; j + kTile * kLanes <= D; j += kTile * kLanes) {
    Fetch(fetch, 1);
    GradientTile<tokens, kTile>(w, ds, stride, dc + j, u + j, at(j), H, D, g + j);
  }
  for (; j + kLanes <= D; j += kLanes) {
    GradientTile<tokens, 1>(w, ds, stride, dc + j, u + j, at(j), H, D, g + j);
  }
  for (; j < D; ++j) {
    for (size_t i = 0; i < tokens; ++i) {
      float sum = base == nullptr ? 0.0f : base[j];
      for (size_t h = 0; h < H; ++h) {
        sum += w[h * stride + i] * dc[h * D + j] + ds[h * stride + i] * u[h * D + j];
      }
      g[i * D + j] = sum;
    }
  }
}

void Gradients(const float* w, const float* ds, size_t stride, const float* dc, const float* u,
               const float* base, size_t H, size_t L, size_t D, float* g, RowFetch* fetch) {
  size_t t = 0;
  for (; t + kTile <= L; t += kTile) {
    GradientRows<kTile>(w + t, ds + t, stride, dc, u, base, H, D, g + t * D, fetch);
  }
  for (; t < L; ++t) GradientRows<1>(w + t, ds + t, stride, dc, u, base, H, D, g + t * D, fetch);
}

double AdagradRows(float* table, float* squares, const uint32_t* rows, size_t row_step,
                   const uint32_t* index, size_t n, size_t width, const float* g, size_t g_stride,
                   float rate, float epsilon, float l2, RowFetch* fetch) {
  double all = 0.0;
  const float share = 1.0f / static_cast<float>(width);
  for (size_t i = 0; i < n; ++i) {
    if (i % 2 == 0) Fetch(fetch, 1);
    const float* HWY_RESTRICT own = g + index[i] * g_stride;
    V sums = hn::Zero(kTag), sums2 = sums;
    size_t j = 0;
    for (; j + 2 * kLanes <= width; j += 2 * kLanes) {
      const V a = Load(own + j), b = Load(own + j + kLanes);
      sums = hn::MulAdd(a, a, sums);
      sums2 = hn::MulAdd(b, b, sums2);
    }
    for (; j + kLanes <= width; j += kLanes) {
      const V a = Load(own + j);
      sums = hn::MulAdd(a, a, sums);
    }
    float sum = hn::GetLane(hn::SumOfLanes(kTag, hn::Add(sums, sums2)));
    for (; j < width; ++j) sum += own[j] * own[j];
    all += static_cast<double>(sum);
    if (!std::isfinite(sum)) continue;
    const size_t row = rows[index[i] * row_step];
    const float square = squares[row] + sum * share;
    squares[row] = square;
    const float r = rate / (std::sqrt(square) + epsilon);
    const V step = hn::Set(kTag, -r), keep = hn::Set(kTag, 1.0f - r * l2);
    float* HWY_RESTRICT value = table + row * width;
    for (j = 0; j + kLanes <= width; j += kLanes) {
      hn::StoreU(hn::MulAdd(step, Load(own + j), hn::Mul(keep, Load(value + j))), kTag, value + j);
    }
    for (; j < width; ++j) value[j] = value[j] * (1.0f - r * l2) - r * own[j];
  }
  return all;
}

void FillHistory(HistoryKernels& kernels) {
  kernels = {.scores = Scores,
             .context = Context,
             .sum = Sum,
             .gradients = Gradients,
             .adagrad_rows = AdagradRows,
             .fetch = FetchAll};
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/simd.h"

namespace heed::kernels::simd {
namespace {
HWY_EXPORT(FillHistory);
}  // namespace

void Fill(Level level, HistoryKernels& kernels) {
  AtTarget(level, [&] { HWY_DYNAMIC_DISPATCH(FillHistory)(kernels); });
}

}  // namespace heed::kernels::simd
#endif  // HWY_ONCE
