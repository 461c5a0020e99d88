// The menu of vector kernels: one function pointer each, with its contract, filled once for each
// instruction set. kernels/reference.cc is the meaning; the other levels must agree with it up to
// rounding (kernels_test.cc holds them to that).
//
// Rules for every kernel: no alignment needed, nothing is read or written outside the stated
// lengths, a length of 0 is fine, outputs do not overlap inputs unless said. Sums are taken in a
// fixed order per level, so one level gives the same bits on every run; two levels may differ in
// the last ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace heed::kernels {

// kNeon: 64-bit ARM's. kAvx512Bf16: AVX-512 with its products of bf16 pairs and of 8-bit quads
// (AVX512_BF16, AVX512_VNNI: Cooper Lake, Sapphire Rapids, Zen 4 and later). kAmx: these by the matrix
// unit besides (Sapphire Rapids and later, where the system grants it).
enum class Level : uint8_t { kScalar, kNeon, kSse4, kAvx2, kAvx512, kAvx512Bf16, kAmx };
constexpr size_t kLevels = 7;

// "scalar", "neon", "sse4", "avx2", "avx512", "avx512bf16", "amx"
std::string_view LevelName(Level level);

struct AdamStep {       // Kingma & Ba 2015, with the bias corrections folded in by the caller
  float step_size;      // rate / (1 - beta1^t)
  float inv_sqrt_bias;  // 1 / sqrt(1 - beta2^t)
  float beta1, beta2, epsilon;
  float l2;  // adds l2 * w to the gradient
};

struct Table {
  // sum_i a[i] b[i]
  float (*dot)(const float* a, const float* b, size_t n);
  // sum_i x[i]^2
  float (*sum_squares)(const float* x, size_t n);
  // y[i] += alpha x[i]
  void (*axpy)(float alpha, const float* x, float* y, size_t n);
  // x[i] *= alpha
  void (*scale)(float alpha, float* x, size_t n);
  // x[i] = max(x[i], 0); NaN becomes 0
  void (*relu)(float* x, size_t n);
  // dy[i] = y[i] > 0 ? dy[i] : 0, with y the output of relu
  void (*relu_backward)(const float* y, float* dy, size_t n);
  // Softmax with one extra slot of score `null_score`: s becomes the n weights, the returned value
  // is the null slot's; together they sum to 1. The maximum is subtracted first, so any finite
  // score is safe. A score of -inf is a mask and gets weight exactly 0; null_score = -inf turns the
  // slot off; when everything is -inf (or n = 0 without the slot) all weights are 0.
  float (*softmax_null)(float* s, size_t n, float null_score);
  // ds[i] = w[i] (g[i] - e), in place over g, where e = sum_j w[j] g[j] + null_weight * null_grad;
  // returns the null slot's ds. The backward pass of softmax_null.
  float (*softmax_backward)(const float* w, float null_weight, float* g, float null_grad, size_t n);
  // One Adam step over n weights with moments m, v and gradient g.
  void (*adam)(float* w, float* m, float* v, const float* g, size_t n, const AdamStep& step);
  // s[i] += g[i]^2; w[i] -= rate g[i] / (sqrt(s[i]) + epsilon), with g = g + l2 w. (Duchi 2011)
  void (*adagrad)(float* w, float* s, const float* g, size_t n, float rate, float epsilon,
                  float l2);

  // Rows of a table to rows of a matrix: out[i * out_stride + j] = table[rows[i * row_step] * stride
  // + j], i < n, j < width. Fetches ahead: tables are larger than any cache.
  void (*gather)(const float* table, size_t stride, const uint32_t* rows, size_t row_step, size_t n,
                 size_t width, float* out, size_t out_stride);
  // The way back: sums[rows[i] * stride + j] += g[i * g_stride + j], in the order of i.
  void (*scatter_add)(const float* g, size_t g_stride, const uint32_t* rows, size_t n, size_t width,
                      float* sums, size_t stride);

  // The three small products of attention in absorbed form, where H is a handful of heads:
  // s[h * s_stride + t] = sum_d u[h * D + d] x[t * D + d]
  void (*attend_scores)(const float* u, const float* x, size_t H, size_t L, size_t D, float* s,
                        size_t s_stride);
  // c[h * D + d] = sum_t w[h * w_stride + t] x[t * D + d]
  void (*attend_context)(const float* w, size_t w_stride, const float* x, size_t H, size_t L,
                         size_t D, float* c);
  // dx[t * D + d] += sum_h w[h * stride + t] dc[h * D + d] + ds[h * stride + t] u[h * D + d]
  void (*attend_tokens)(const float* w, const float* ds, size_t stride, const float* dc,
                        const float* u, size_t H, size_t L, size_t D, float* dx);
};

// The kernels in use, chosen once: the best the processor has, or what the environment variable
// HEED_SIMD=scalar|neon|sse4|avx2|avx512|avx512bf16|amx asks for (the best below it when the processor
// lacks it; an unknown word is logged and ignored). The CMake option HEED_SIMD=OFF leaves only the
// reference.
const Table& Active();
Level ActiveLevel();

// Every level this build and processor can run, lowest first; for tests and benchmarks.
std::vector<Level> AttainableLevels();
const Table& TableOf(Level level);  // `level` must be attainable

namespace reference {
void Fill(Table& table);
}  // namespace reference

}  // namespace heed::kernels
