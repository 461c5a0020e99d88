// The kernels on vectors, by Google Highway. This file is compiled once for each instruction set:
// foreach_target.h includes it again and again with HWY_NAMESPACE naming the level.
//
// Remainders are plain loops, not masked loads: below AVX-512 Highway's MaskedLoad may read the
// whole vector, past the end of the caller's array.
#include "kernels/simd.h"

#include <cmath>
#include <limits>

// Levels that add nothing for float arithmetic would only double the compile time; SVE's vectors have no
// size that the compiler knows, so that no array can hold them.
// NOLINTBEGIN(readability-identifier-naming): Highway's names
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd.cc"
// NOLINTEND(readability-identifier-naming)
// foreach_target.h must come before highway.h, and the others after it.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/cache_control.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

const hn::ScalableTag<float> kTag;
using V = hn::Vec<decltype(kTag)>;

HWY_INLINE V Load(const float* p) { return hn::LoadU(kTag, p); }
HWY_INLINE void Store(V v, float* p) { hn::StoreU(v, kTag, p); }
HWY_INLINE float Sum(V v) { return hn::GetLane(hn::SumOfLanes(kTag, v)); }

float Dot(const float* a, const float* b, size_t n) {
  const size_t lanes = hn::Lanes(kTag);
  // Four sums hide the latency of the fused multiply-add; with one, each step waits for the last.
  V s0 = hn::Zero(kTag), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = hn::MulAdd(Load(a + i), Load(b + i), s0);
    s1 = hn::MulAdd(Load(a + i + lanes), Load(b + i + lanes), s1);
    s2 = hn::MulAdd(Load(a + i + 2 * lanes), Load(b + i + 2 * lanes), s2);
    s3 = hn::MulAdd(Load(a + i + 3 * lanes), Load(b + i + 3 * lanes), s3);
  }
  for (; i + lanes <= n; i += lanes) s0 = hn::MulAdd(Load(a + i), Load(b + i), s0);
  float sum = Sum(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)));
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

float SumSquares(const float* x, size_t n) { return Dot(x, x, n); }

void Axpy(float alpha, const float* x, float* y, size_t n) {
  const size_t lanes = hn::Lanes(kTag);
  const V a = hn::Set(kTag, alpha);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) Store(hn::MulAdd(a, Load(x + i), Load(y + i)), y + i);
  for (; i < n; ++i) y[i] += alpha * x[i];
}

void Scale(float alpha, float* x, size_t n) {
  const size_t lanes = hn::Lanes(kTag);
  const V a = hn::Set(kTag, alpha);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) Store(hn::Mul(a, Load(x + i)), x + i);
  for (; i < n; ++i) x[i] *= alpha;
}

void Relu(float* x, size_t n) {
  const size_t lanes = hn::Lanes(kTag);
  const V zero = hn::Zero(kTag);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V v = Load(x + i);
    Store(hn::IfThenElseZero(hn::Gt(v, zero), v), x + i);
  }
  for (; i < n; ++i) x[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

void ReluBackward(const float* y, float* dy, size_t n) {
  const size_t lanes = hn::Lanes(kTag);
  const V zero = hn::Zero(kTag);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Store(hn::IfThenElseZero(hn::Gt(Load(y + i), zero), Load(dy + i)), dy + i);
  }
  for (; i < n; ++i) dy[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

float SoftmaxNull(float* s, size_t n, float null_score) {
  const size_t lanes = hn::Lanes(kTag);
  V tops = hn::Set(kTag, null_score);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) tops = hn::Max(tops, Load(s + i));
  float top = hn::GetLane(hn::MaxOfLanes(kTag, tops));
  for (; i < n; ++i) top = s[i] > top ? s[i] : top;
  if (top == -std::numeric_limits<float>::infinity()) {
    for (i = 0; i < n; ++i) s[i] = 0.0f;
    return 0.0f;
  }
  const V shift = hn::Set(kTag, top);
  // Highway's Exp is right down to about -104; below that, and at -inf, the weight is exactly 0.
  const V floor = hn::Set(kTag, -100.0f);
  V sums = hn::Zero(kTag);
  for (i = 0; i + lanes <= n; i += lanes) {
    const V x = hn::Sub(Load(s + i), shift);
    const V e = hn::IfThenElseZero(hn::Gt(x, floor), hn::Exp(kTag, hn::Max(x, floor)));
    sums = hn::Add(sums, e);
    Store(e, s + i);
  }
  const float null = std::exp(null_score - top);
  float sum = null + Sum(sums);
  for (; i < n; ++i) sum += s[i] = std::exp(s[i] - top);
  const float inverse = 1.0f / sum;
  Scale(inverse, s, n);
  return null * inverse;
}

float SoftmaxBackward(const float* w, float null_weight, float* g, float null_grad, size_t n) {
  const size_t lanes = hn::Lanes(kTag);
  const float mean = Dot(w, g, n) + null_weight * null_grad;
  const V m = hn::Set(kTag, mean);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Store(hn::Mul(Load(w + i), hn::Sub(Load(g + i), m)), g + i);
  }
  for (; i < n; ++i) g[i] = w[i] * (g[i] - mean);
  return null_weight * (null_grad - mean);
}

void Adam(float* w, float* m, float* v, const float* g, size_t n, const AdamStep& step) {
  const size_t lanes = hn::Lanes(kTag);
  const V b1 = hn::Set(kTag, step.beta1), c1 = hn::Set(kTag, 1.0f - step.beta1);
  const V b2 = hn::Set(kTag, step.beta2), c2 = hn::Set(kTag, 1.0f - step.beta2);
  const V rate = hn::Set(kTag, step.step_size), bias = hn::Set(kTag, step.inv_sqrt_bias);
  const V epsilon = hn::Set(kTag, step.epsilon), l2 = hn::Set(kTag, step.l2);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V weight = Load(w + i);
    const V grad = hn::MulAdd(l2, weight, Load(g + i));
    const V m1 = hn::MulAdd(b1, Load(m + i), hn::Mul(c1, grad));
    const V v1 = hn::MulAdd(b2, Load(v + i), hn::Mul(c2, hn::Mul(grad, grad)));
    const V down = hn::MulAdd(hn::Sqrt(v1), bias, epsilon);
    Store(m1, m + i);
    Store(v1, v + i);
    Store(hn::Sub(weight, hn::Div(hn::Mul(rate, m1), down)), w + i);
  }
  for (; i < n; ++i) {
    const float grad = g[i] + step.l2 * w[i];
    m[i] = step.beta1 * m[i] + (1.0f - step.beta1) * grad;
    v[i] = step.beta2 * v[i] + (1.0f - step.beta2) * grad * grad;
    w[i] -= step.step_size * m[i] / (std::sqrt(v[i]) * step.inv_sqrt_bias + step.epsilon);
  }
}

void Adagrad(float* w, float* s, const float* g, size_t n, float rate, float epsilon, float l2) {
  const size_t lanes = hn::Lanes(kTag);
  const V r = hn::Set(kTag, rate), e = hn::Set(kTag, epsilon), decay = hn::Set(kTag, l2);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V weight = Load(w + i);
    const V grad = hn::MulAdd(decay, weight, Load(g + i));
    const V sum = hn::MulAdd(grad, grad, Load(s + i));
    Store(sum, s + i);
    Store(hn::Sub(weight, hn::Div(hn::Mul(r, grad), hn::Add(hn::Sqrt(sum), e))), w + i);
  }
  for (; i < n; ++i) {
    const float grad = g[i] + l2 * w[i];
    s[i] += grad * grad;
    w[i] -= rate * grad / (std::sqrt(s[i]) + epsilon);
  }
}

constexpr size_t kAhead = 8;  // rows in flight: covers a miss to memory, fits the miss buffers

// Asks for every cache line of a row.
HWY_INLINE void PrefetchRow(const float* row, size_t width) {
  for (size_t j = 0; j < width; j += 16) hwy::Prefetch(row + j);
}

void Gather(const float* table, size_t stride, const uint32_t* rows, size_t row_step, size_t n,
            size_t width, float* out, size_t out_stride) {
  const size_t lanes = hn::Lanes(kTag);
  for (size_t i = 0; i < n; ++i) {
    if (i + kAhead < n) PrefetchRow(table + rows[(i + kAhead) * row_step] * stride, width);
    const float* HWY_RESTRICT from = table + rows[i * row_step] * stride;
    float* HWY_RESTRICT to = out + i * out_stride;
    size_t j = 0;
    for (; j + lanes <= width; j += lanes) Store(Load(from + j), to + j);
    for (; j < width; ++j) to[j] = from[j];
  }
}

void ScatterAdd(const float* g, size_t g_stride, const uint32_t* rows, size_t n, size_t width,
                float* sums, size_t stride) {
  const size_t lanes = hn::Lanes(kTag);
  for (size_t i = 0; i < n; ++i) {
    if (i + kAhead < n) {
      PrefetchRow(sums + rows[i + kAhead] * stride, width);
      PrefetchRow(g + (i + kAhead) * g_stride, width);
    }
    const float* HWY_RESTRICT from = g + i * g_stride;
    float* HWY_RESTRICT to = sums + rows[i] * stride;
    size_t j = 0;
    for (; j + lanes <= width; j += lanes) Store(hn::Add(Load(to + j), Load(from + j)), to + j);
    for (; j < width; ++j) to[j] += from[j];
  }
}

// Four heads share each load of x; the tail of heads goes through Dot.
void AttendScores(const float* u, const float* x, size_t H, size_t L, size_t D, float* s,
                  size_t s_stride) {
  const size_t lanes = hn::Lanes(kTag);
  size_t h = 0;
  for (; h + 4 <= H; h += 4) {
    const float* HWY_RESTRICT u0 = u + h * D;
    for (size_t t = 0; t < L; ++t) {
      const float* HWY_RESTRICT row = x + t * D;
      V a0 = hn::Zero(kTag), a1 = a0, a2 = a0, a3 = a0;
      size_t d = 0;
      for (; d + lanes <= D; d += lanes) {
        const V v = Load(row + d);
        a0 = hn::MulAdd(v, Load(u0 + d), a0);
        a1 = hn::MulAdd(v, Load(u0 + D + d), a1);
        a2 = hn::MulAdd(v, Load(u0 + 2 * D + d), a2);
        a3 = hn::MulAdd(v, Load(u0 + 3 * D + d), a3);
      }
      float s0 = Sum(a0), s1 = Sum(a1), s2 = Sum(a2), s3 = Sum(a3);
      for (; d < D; ++d) {
        s0 += row[d] * u0[d];
        s1 += row[d] * u0[D + d];
        s2 += row[d] * u0[2 * D + d];
        s3 += row[d] * u0[3 * D + d];
      }
      float* out = s + h * s_stride + t;
      out[0] = s0;
      out[s_stride] = s1;
      out[2 * s_stride] = s2;
      out[3 * s_stride] = s3;
    }
  }
  for (; h < H; ++h) {
    for (size_t t = 0; t < L; ++t) s[h * s_stride + t] = Dot(u + h * D, x + t * D, D);
  }
}

// A strip of columns stays in registers while all tokens pass by.
void AttendContext(const float* w, size_t w_stride, const float* x, size_t H, size_t L, size_t D,
                   float* c) {
  const size_t lanes = hn::Lanes(kTag);
  size_t d = 0;
  for (; d + lanes <= D; d += lanes) {
    size_t h = 0;
    for (; h + 4 <= H; h += 4) {
      const float* HWY_RESTRICT w0 = w + h * w_stride;
      V a0 = hn::Zero(kTag), a1 = a0, a2 = a0, a3 = a0;
      for (size_t t = 0; t < L; ++t) {
        const V v = Load(x + t * D + d);
        a0 = hn::MulAdd(v, hn::Set(kTag, w0[t]), a0);
        a1 = hn::MulAdd(v, hn::Set(kTag, w0[w_stride + t]), a1);
        a2 = hn::MulAdd(v, hn::Set(kTag, w0[2 * w_stride + t]), a2);
        a3 = hn::MulAdd(v, hn::Set(kTag, w0[3 * w_stride + t]), a3);
      }
      Store(a0, c + h * D + d);
      Store(a1, c + (h + 1) * D + d);
      Store(a2, c + (h + 2) * D + d);
      Store(a3, c + (h + 3) * D + d);
    }
    for (; h < H; ++h) {
      V a = hn::Zero(kTag);
      for (size_t t = 0; t < L; ++t) {
        a = hn::MulAdd(Load(x + t * D + d), hn::Set(kTag, w[h * w_stride + t]), a);
      }
      Store(a, c + h * D + d);
    }
  }
  for (; d < D; ++d) {
    for (size_t h = 0; h < H; ++h) {
      float sum = 0.0f;
      for (size_t t = 0; t < L; ++t) sum += w[h * w_stride + t] * x[t * D + d];
      c[h * D + d] = sum;
    }
  }
}

void AttendTokens(const float* w, const float* ds, size_t stride, const float* dc, const float* u,
                  size_t H, size_t L, size_t D, float* dx) {
  const size_t lanes = hn::Lanes(kTag);
  for (size_t t = 0; t < L; ++t) {
    float* HWY_RESTRICT row = dx + t * D;
    size_t d = 0;
    for (; d + lanes <= D; d += lanes) {
      // Two sums, so that the products with dc and with u do not wait for each other.
      V a = Load(row + d), b = hn::Zero(kTag);
      for (size_t h = 0; h < H; ++h) {
        a = hn::MulAdd(hn::Set(kTag, w[h * stride + t]), Load(dc + h * D + d), a);
        b = hn::MulAdd(hn::Set(kTag, ds[h * stride + t]), Load(u + h * D + d), b);
      }
      Store(hn::Add(a, b), row + d);
    }
    for (; d < D; ++d) {
      float sum = row[d];
      for (size_t h = 0; h < H; ++h) {
        sum += w[h * stride + t] * dc[h * D + d] + ds[h * stride + t] * u[h * D + d];
      }
      row[d] = sum;
    }
  }
}

void FillTable(Table& table) {
  table.dot = Dot;
  table.sum_squares = SumSquares;
  table.axpy = Axpy;
  table.scale = Scale;
  table.relu = Relu;
  table.relu_backward = ReluBackward;
  table.softmax_null = SoftmaxNull;
  table.softmax_backward = SoftmaxBackward;
  table.adam = Adam;
  table.adagrad = Adagrad;
  table.gather = Gather;
  table.scatter_add = ScatterAdd;
  table.attend_scores = AttendScores;
  table.attend_context = AttendContext;
  table.attend_tokens = AttendTokens;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/product_simd.h"

namespace heed::kernels::simd {
namespace {

HWY_EXPORT(FillTable);

// Highway's targets, best first, and the name we give them.
struct Target {
  Level level;
  int64_t mask;
};
constexpr Target kTargets[] = {{Level::kNeon, HWY_NEON},       {Level::kSse4, HWY_SSE4},
                               {Level::kAvx2, HWY_AVX2},       {Level::kAvx512, HWY_AVX3},
                               {Level::kAvx512Bf16, HWY_AVX3}, {Level::kAmx, HWY_AVX3}};

}  // namespace

std::vector<Level> Levels() {
  // HWY_TARGETS: what was compiled. SupportedTargets: what the processor runs.
  const int64_t usable = hwy::SupportedTargets() & HWY_TARGETS;
  std::vector<Level> levels;
  for (const Target& target : kTargets) {
    if (target.level == Level::kAvx512Bf16 && !HasAvx512Tiles()) continue;
    if (target.level == Level::kAmx && !HasAmx()) continue;
    if ((usable & target.mask) != 0) levels.push_back(target.level);
  }
  return levels;
}

void AtTarget(Level level, const std::function<void()>& then) {
  for (const Target& target : kTargets) {
    if (target.level != level) continue;
    hwy::SetSupportedTargetsForTest(target.mask);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    then();
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

void Fill(Level level, Table& table) {
  AtTarget(level, [&] { HWY_DYNAMIC_DISPATCH(FillTable)(table); });
}

}  // namespace heed::kernels::simd
#endif  // HWY_ONCE
