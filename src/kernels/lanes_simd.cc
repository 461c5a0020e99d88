// The part of kernels/product.h round the products, on vectors: candidates into lanes and back, softmax
// down the lanes, roundings, DIN's panels. Compiled once for each instruction set, like simd.cc.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/product_simd.h"

// NOLINTBEGIN(readability-identifier-naming): Highway's names
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lanes_simd.cc"
// NOLINTEND(readability-identifier-naming)
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/vectors-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX3
// 16 x 16 32-bit elements: pairs, quads, then 128-bit lanes change places.
HWY_INLINE void Transpose16(__m512i* r) {
  __m512i t[16];
  HEED_UNROLL
  for (size_t i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  HEED_UNROLL
  for (size_t i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  HEED_UNROLL
  for (size_t half = 0; half < 16; half += 8) {
    HEED_UNROLL
    for (size_t i = 0; i < 4; ++i) {
      t[half + i] = _mm512_shuffle_i32x4(r[half + i], r[half + i + 4], 0x88);
      t[half + i + 4] = _mm512_shuffle_i32x4(r[half + i], r[half + i + 4], 0xdd);
    }
  }
  HEED_UNROLL
  for (size_t i = 0; i < 8; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

void ToLanes(const uint32_t* in, size_t stride, size_t n, size_t width, uint32_t* out) {
  for (size_t i = 0; i < kPanel; i += 16) {
    const size_t rows = n > i ? std::min<size_t>(16, n - i) : 0;
    for (size_t j = 0; j < width; j += 16) {
      const size_t columns = std::min<size_t>(16, width - j);
      const auto mask = static_cast<__mmask16>((1u << columns) - 1);
      __m512i r[16];
      HEED_UNROLL
      for (size_t x = 0; x < 16; ++x) {
        r[x] = x < rows ? _mm512_maskz_loadu_epi32(mask, in + (i + x) * stride + j)
                        : _mm512_setzero_si512();
      }
      Transpose16(r);
      HEED_UNROLL
      for (size_t x = 0; x < 16; ++x) {
        if (x < columns) _mm512_storeu_si512(out + (j + x) * kPanel + i, r[x]);
      }
    }
  }
}

void FromLanes(const float* in, const float* factor, size_t n, size_t width, float* out,
               size_t stride) {
  for (size_t i = 0; i < n; i += 16) {
    const size_t rows = std::min<size_t>(16, n - i);
    const __m512 times = _mm512_loadu_ps(factor + i);
    for (size_t j = 0; j < width; j += 16) {
      const size_t columns = std::min<size_t>(16, width - j);
      const auto mask = static_cast<__mmask16>((1u << columns) - 1);
      __m512i r[16];
      HEED_UNROLL
      for (size_t x = 0; x < 16; ++x) {
        r[x] = x < columns ? _mm512_castps_si512(
                                 _mm512_mul_ps(times, _mm512_loadu_ps(in + (j + x) * kPanel + i)))
                           : _mm512_setzero_si512();
      }
      Transpose16(r);
      HEED_UNROLL
      for (size_t x = 0; x < 16; ++x) {
        if (x < rows) _mm512_mask_storeu_epi32(out + (i + x) * stride + j, mask, r[x]);
      }
    }
  }
}
#endif

// 2^x for x <= 0; below -126 some number under 1e-37. x = n + f with |f| <= 1/2, and 2^f by the
// polynomial of the least relative error (found by reweighted least squares): degree 5, 7.5e-8; for
// what is rounded to bf16, whose last bit is 4e-3, degree 3, 7.5e-5.
template <bool to_bf16 = false>
HWY_INLINE V Exp2Negative(V x) {
#if HWY_TARGET != HWY_AVX3
  x = hn::Max(x, hn::Set(kTag, -126.0f));
#endif
  const V n = hn::Round(x);
  const V f = hn::Sub(x, n);
  V p;
  if constexpr (to_bf16) {
    p = hn::Set(kTag, 5.51717104e-2f);
    p = hn::MulAdd(p, f, hn::Set(kTag, 2.42611226e-1f));
    p = hn::MulAdd(p, f, hn::Set(kTag, 6.93260988e-1f));
    p = hn::MulAdd(p, f, hn::Set(kTag, 9.99928067e-1f));
  } else {
    p = hn::Set(kTag, 1.327647174e-3f);
    p = hn::MulAdd(p, f, hn::Set(kTag, 9.67554154e-3f));
    p = hn::MulAdd(p, f, hn::Set(kTag, 5.550713276e-2f));
    p = hn::MulAdd(p, f, hn::Set(kTag, 2.402211972e-1f));
    p = hn::MulAdd(p, f, hn::Set(kTag, 6.931469671e-1f));
    p = hn::MulAdd(p, f, hn::Set(kTag, 1.000000072f));
  }
#if HWY_TARGET == HWY_AVX3
  return V{_mm512_maskz_scalef_ps(0xffff, p.raw, n.raw)};  // one instruction, right at any n
#else
  const VI power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(kIntTag, n), hn::Set(kIntTag, 127)));
  return hn::Mul(p, hn::BitCast(kTag, power));
#endif
}

// Two rows of bf16 side by side, rounded to nearest (ties away from zero).
HWY_INLINE VI Pair(V first, V second) {
  const VI half = hn::Set(kIntTag, 0x8000);
  const VI low = hn::ShiftRight<16>(hn::Add(hn::BitCast(kIntTag, first), half));
  const VI high = hn::Add(hn::BitCast(kIntTag, second), half);
  return hn::Or(low, hn::And(high, hn::Set(kIntTag, static_cast<int32_t>(0xffff0000u))));
}

template <bool to_bf16>
HWY_INLINE void SoftmaxInto(float* s, size_t L, const float* bias, float null_score, float* inverse,
                            float* evidence, Bf16* out) {
  auto* pairs = reinterpret_cast<int32_t*>(out);
  const V one = hn::Set(kTag, 1.0f), log2e = hn::Set(kTag, 1.44269504f);
  for (size_t i = 0; i < kPanel; i += kLanes) {
    if (L == 0) {
      hn::StoreU(one, kTag, inverse + i);
      hn::StoreU(hn::Zero(kTag), kTag, evidence + i);
      continue;
    }
    const auto score = [&](size_t l) HWY_ATTR {
      const V x = Load(s + l * kPanel + i);
      return bias == nullptr ? x : hn::Add(x, hn::Set(kTag, bias[l]));
    };
    const V null = hn::Set(kTag, null_score);
    // Two of each, so that one waits less for the other.
    V top = null, top2 = null;
    size_t l = 0;
    for (; l + 2 <= L; l += 2) {
      top = hn::Max(top, score(l));
      top2 = hn::Max(top2, score(l + 1));
    }
    if (l < L) top = hn::Max(top, score(l));
    top = hn::Max(top, top2);
    // Rounded once, and the same for all of a column: it cancels where the sum divides.
    const V shift = hn::Mul(top, log2e);
    const auto weigh = [&](size_t at) HWY_ATTR {
      const V e = Exp2Negative<to_bf16>(hn::MulSub(score(at), log2e, shift));
      if constexpr (!to_bf16) hn::StoreU(e, kTag, s + at * kPanel + i);
      return e;
    };
    const auto keep = [&](size_t at, V first, V second) HWY_ATTR {
      if constexpr (to_bf16) {
        hn::StoreU(Pair(first, second), kIntTag, pairs + at / 2 * kPanel + i);
      }
    };
    V sum = hn::Zero(kTag), sum2 = sum;
    for (l = 0; l + 2 <= L; l += 2) {
      const V first = weigh(l), second = weigh(l + 1);
      keep(l, first, second);
      sum = hn::Add(sum, first);
      sum2 = hn::Add(sum2, second);
    }
    if (l < L) {
      const V last = weigh(l);
      keep(l, last, hn::Zero(kTag));
      sum = hn::Add(sum, last);
    }
    sum = hn::Add(sum, sum2);
    V whole = sum;
    if (null_score != -std::numeric_limits<float>::infinity()) {
      whole = hn::Add(whole, Exp2Negative(hn::MulSub(null, log2e, shift)));
    }
    const V inv = hn::Div(one, whole);
    hn::StoreU(inv, kTag, inverse + i);
    hn::StoreU(hn::Mul(sum, inv), kTag, evidence + i);
  }
}

void SoftmaxLanes(float* s, size_t L, const float* bias, float null_score, float* inverse,
                  float* evidence, Bf16* pairs) {
  if (pairs == nullptr) {
    SoftmaxInto<false>(s, L, bias, null_score, inverse, evidence, nullptr);
  } else {
    SoftmaxInto<true>(s, L, bias, null_score, inverse, evidence, pairs);
  }
}

void ScalePanels(const Panels& w, const float* q, float* out) {
  for (size_t n = 0; n < w.padded_N; n += kPanel) {
    const size_t wide = std::min(kPanel, w.padded_N - n);
    const auto* in = reinterpret_cast<const float*>(w.Panel(n, sizeof(float)));
    for (size_t k = 0; k < w.padded_K; ++k) {
      const V factor = hn::Set(kTag, q[k]);
      for (size_t j = 0; j < wide; j += kLanes) {
        hn::StoreU(hn::Mul(factor, Load(in + j)), kTag, out + j);
      }
      in += wide;
      out += wide;
    }
  }
}

#if HWY_TARGET == HWY_AVX3
void QuantisePanels(const Panels& w, const float* q, float inverse, int8_t* out, float* sums) {
  // Packing puts four of each row side by side within 128 bits; this puts four rows side by side.
  const __m512i quads =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m512i ones = _mm512_set1_epi8(1), ones16 = _mm512_set1_epi16(1);
  for (size_t n = 0; n < w.padded_N; n += kPanel) {
    const size_t wide = std::min(kPanel, w.padded_N - n);
    const auto* in = reinterpret_cast<const float*>(w.Panel(n, sizeof(float)));
    __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t k = 0; k < w.padded_K; k += 4) {
      __m512 factor[4];
      HEED_UNROLL
      for (size_t i = 0; i < 4; ++i) factor[i] = _mm512_set1_ps(q[k + i] * inverse);
      HEED_UNROLL
      for (size_t j = 0; j < 2; ++j) {
        if (16 * j >= wide) break;
        __m512i x[4];
        HEED_UNROLL
        for (size_t i = 0; i < 4; ++i) {
          const __m512 at = _mm512_loadu_ps(in + (k + i) * wide + 16 * j);
          x[i] = _mm512_maskz_cvtps_epi32(0xffff, _mm512_mul_ps(factor[i], at));
        }
        const __m512i bytes = _mm512_shuffle_epi8(
            _mm512_packs_epi16(_mm512_packs_epi32(x[0], x[1]), _mm512_packs_epi32(x[2], x[3])),
            quads);
        sum[j] =
            _mm512_add_epi32(sum[j], _mm512_madd_epi16(_mm512_maddubs_epi16(ones, bytes), ones16));
        _mm512_storeu_si512(out + k * wide + 64 * j, bytes);
      }
    }
    for (size_t j = 0; 16 * j < wide; ++j) {
      _mm512_storeu_ps(sums + n + 16 * j, _mm512_maskz_cvtepi32_ps(0xffff, sum[j]));
    }
    out += w.padded_K * wide;
  }
}

// The sums of four vectors.
HWY_INLINE __m128 FourSums(const __m512* x) {
  const auto pairs = [](__m512 a, __m512 b) HWY_ATTR {
    return _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
  };
  const __m512d ab = pairs(x[0], x[1]), cd = pairs(x[2], x[3]);
  const __m512 quarters = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
                                        _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
  const __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(quarters),
                                      _mm512_maskz_extractf32x8_ps(0xff, quarters, 1));
  return _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}

void RowDots(const float* x, size_t stride, size_t M, size_t width, const float* w, float* out,
             size_t out_step) {
  for (size_t m = 0; m < M; m += 4) {
    const float* row[4];
    __m512 sum[4];
    HEED_UNROLL
    for (size_t i = 0; i < 4; ++i) {
      row[i] = x + std::min(m + i, M - 1) * stride;
      sum[i] = _mm512_setzero_ps();
    }
    for (size_t k = 0; k < width; k += 16) {
      const __m512 of_w = _mm512_loadu_ps(w + k);
      HEED_UNROLL
      for (size_t i = 0; i < 4; ++i) {
        sum[i] = _mm512_fmadd_ps(_mm512_loadu_ps(row[i] + k), of_w, sum[i]);
      }
    }
    alignas(16) float sums[4];
    _mm_store_ps(sums, FourSums(sum));
    for (size_t i = 0; i < std::min<size_t>(4, M - m); ++i) out[(m + i) * out_step] = sums[i];
  }
}
#else
void QuantisePanels(const Panels& w, const float* q, float inverse, int8_t* out, float* sums) {
  const VI low = hn::Set(kIntTag, 255);
  auto* quads = reinterpret_cast<int32_t*>(out);
  for (size_t n = 0; n < w.padded_N; n += kPanel) {
    const size_t wide = std::min(kPanel, w.padded_N - n);
    const auto* in = reinterpret_cast<const float*>(w.Panel(n, sizeof(float)));
    for (size_t j = 0; j < wide; j += kLanes) {
      VI sum = hn::Zero(kIntTag);
      for (size_t k = 0; k < w.padded_K; k += 4) {
        const float* at = in + k * wide + j;
        VI x[4];
        HEED_UNROLL
        for (size_t i = 0; i < 4; ++i) {
          x[i] = hn::NearestInt(hn::Mul(hn::Set(kTag, q[k + i] * inverse), Load(at + i * wide)));
        }
        sum = hn::Add(sum, hn::Add(hn::Add(x[0], x[1]), hn::Add(x[2], x[3])));
        const VI lower = hn::Or(hn::And(x[0], low), hn::ShiftLeft<8>(hn::And(x[1], low)));
        const VI upper = hn::Or(hn::ShiftLeft<16>(hn::And(x[2], low)), hn::ShiftLeft<24>(x[3]));
        hn::StoreU(hn::Or(lower, upper), kIntTag, quads + k / 4 * wide + j);
      }
      hn::StoreU(hn::ConvertTo(kTag, sum), kTag, sums + n + j);
    }
    quads += w.padded_K / 4 * wide;
  }
}

void RowDots(const float* x, size_t stride, size_t M, size_t width, const float* w, float* out,
             size_t out_step) {
  for (size_t m = 0; m < M; ++m) {
    V sum = hn::Zero(kTag);
    for (size_t k = 0; k < width; k += kLanes) {
      sum = hn::MulAdd(Load(x + m * stride + k), Load(w + k), sum);
    }
    out[m * out_step] = hn::GetLane(hn::SumOfLanes(kTag, sum));
  }
}
#endif

void Dice(float* x, size_t stride, size_t M, size_t width, const float* slope, const float* scale,
          const float* shift) {
  const V one = hn::Set(kTag, 1.0f), log2e = hn::Set(kTag, 1.44269504f);
  for (size_t m = 0; m < M; ++m) {
    for (size_t n = 0; n < width; n += kLanes) {
      const V y = Load(x + m * stride + n);
      const V z = hn::MulAdd(y, Load(scale + n), Load(shift + n));
      // sigmoid(-|z|) = e / (1 + e), and 1 minus it for the other sign.
      const V e = Exp2Negative(hn::Mul(hn::Neg(hn::Abs(z)), log2e));
      const V small = hn::Div(e, hn::Add(one, e));
      const V p = hn::IfThenElse(hn::Gt(z, hn::Zero(kTag)), hn::Sub(one, small), small);
      const V s = Load(slope + n);
      hn::StoreU(hn::Mul(y, hn::MulAdd(hn::Sub(one, s), p, s)), kTag, x + m * stride + n);
    }
  }
}

void ManyToU8(const float* x, size_t stride, size_t M, size_t width, const float* scale, float zero,
              uint8_t* out, size_t out_stride) {
  const V z = hn::Set(kTag, zero);
  for (size_t m = 0; m < M; ++m) {
    const float* from = x + m * stride;
    uint8_t* to = out + m * out_stride;
    size_t i = 0;
    for (; i + kLanes <= width; i += kLanes)
      StoreByte(hn::MulAdd(Load(from + i), Load(scale + i), z), to + i);
    for (; i < width; ++i) {
      const float rounded = __builtin_nearbyintf(from[i] * scale[i] + zero);
      to[i] = static_cast<uint8_t>(std::clamp(rounded, 0.0f, 255.0f));
    }
  }
}

void ManyToBf16(const float* x, size_t n, Bf16* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) StoreBf16(Load(x + i), out + i);
  for (; i < n; ++i) out[i] = ToBf16(x[i]);
}

void ManyFromBf16(const Bf16* x, size_t n, float* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(LoadBf16(x + i), kTag, out + i);
  for (; i < n; ++i) out[i] = FromBf16(x[i]);
}

void ManyFromInt8(const int8_t* x, size_t n, float scale, float* out) {
  const hn::Rebind<int8_t, decltype(kTag)> signed_bytes;
  const V factor = hn::Set(kTag, scale);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const VI wide = hn::PromoteTo(kIntTag, hn::LoadU(signed_bytes, x + i));
    hn::StoreU(hn::Mul(hn::ConvertTo(kTag, wide), factor), kTag, out + i);
  }
  for (; i < n; ++i) out[i] = static_cast<float>(x[i]) * scale;
}

float Top(const float* x, size_t n) {
  V tops = hn::Zero(kTag);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) tops = hn::Max(tops, hn::Abs(Load(x + i)));
  float top = hn::GetLane(hn::MaxOfLanes(kTag, tops));
  for (; i < n; ++i) top = std::max(top, std::abs(x[i]));
  return top;
}

void FillElementwise(Products& products) {
#if HWY_TARGET == HWY_AVX3
  products.to_lanes = ToLanes;
  products.from_lanes = FromLanes;
#endif
  products.softmax_lanes = SoftmaxLanes;
  products.scale_panels = ScalePanels;
  products.quantise_panels = QuantisePanels;
  products.row_dots = RowDots;
  products.dice = Dice;
  products.to_u8 = ManyToU8;
  products.to_bf16 = ManyToBf16;
  products.from_bf16 = ManyFromBf16;
  products.from_int8 = ManyFromInt8;
  products.top = Top;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels::simd {
namespace {
HWY_EXPORT(FillElementwise);
}  // namespace

void FillAtTarget(Products& products) { HWY_DYNAMIC_DISPATCH(FillElementwise)(products); }

}  // namespace heed::kernels::simd
#endif  // HWY_ONCE
