// The plain meaning of every kernel: one loop a line, the algorithm and nothing else. Used on
// machines without SIMD, in HEED_SIMD=OFF builds, and as the judge of all other levels.
#include <cmath>
#include <limits>

#include "kernels/table.h"

namespace heed::kernels::reference {
namespace {

float Dot(const float* a, const float* b, size_t n) {
  float sum = 0.0f;
  for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

float SumSquares(const float* x, size_t n) { return Dot(x, x, n); }

void Axpy(float alpha, const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] += alpha * x[i];
}

void Scale(float alpha, float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] *= alpha;
}

void Relu(float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

void ReluBackward(const float* y, float* dy, size_t n) {
  for (size_t i = 0; i < n; ++i) dy[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

float SoftmaxNull(float* s, size_t n, float null_score) {
  float top = null_score;
  for (size_t i = 0; i < n; ++i) top = s[i] > top ? s[i] : top;
  if (top == -std::numeric_limits<float>::infinity()) {
    for (size_t i = 0; i < n; ++i) s[i] = 0.0f;
    return 0.0f;
  }
  const float null = std::exp(null_score - top);
  float sum = null;
  for (size_t i = 0; i < n; ++i) sum += s[i] = std::exp(s[i] - top);
  for (size_t i = 0; i < n; ++i) s[i] /= sum;
  return null / sum;
}

float SoftmaxBackward(const float* w, float null_weight, float* g, float null_grad, size_t n) {
  const float mean = Dot(w, g, n) + null_weight * null_grad;
  for (size_t i = 0; i < n; ++i) g[i] = w[i] * (g[i] - mean);
  return null_weight * (null_grad - mean);
}

void Adam(float* w, float* m, float* v, const float* g, size_t n, const AdamStep& step) {
  for (size_t i = 0; i < n; ++i) {
    const float grad = g[i] + step.l2 * w[i];
    m[i] = step.beta1 * m[i] + (1.0f - step.beta1) * grad;
    v[i] = step.beta2 * v[i] + (1.0f - step.beta2) * grad * grad;
    w[i] -= step.step_size * m[i] / (std::sqrt(v[i]) * step.inv_sqrt_bias + step.epsilon);
  }
}

void Adagrad(float* w, float* s, const float* g, size_t n, float rate, float epsilon, float l2) {
  for (size_t i = 0; i < n; ++i) {
    const float grad = g[i] + l2 * w[i];
    s[i] += grad * grad;
    w[i] -= rate * grad / (std::sqrt(s[i]) + epsilon);
  }
}

void Gather(const float* table, size_t stride, const uint32_t* rows, size_t row_step, size_t n,
            size_t width, float* out, size_t out_stride) {
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < width; ++j) {
      out[i * out_stride + j] = table[rows[i * row_step] * stride + j];
    }
  }
}

void ScatterAdd(const float* g, size_t g_stride, const uint32_t* rows, size_t n, size_t width,
                float* sums, size_t stride) {
  for (size_t i = 0; i < n; ++i) Axpy(1.0f, g + i * g_stride, sums + rows[i] * stride, width);
}

void AttendScores(const float* u, const float* x, size_t H, size_t L, size_t D, float* s,
                  size_t s_stride) {
  for (size_t h = 0; h < H; ++h) {
    for (size_t t = 0; t < L; ++t) s[h * s_stride + t] = Dot(u + h * D, x + t * D, D);
  }
}

void AttendContext(const float* w, size_t w_stride, const float* x, size_t H, size_t L, size_t D,
                   float* c) {
  for (size_t i = 0; i < H * D; ++i) c[i] = 0.0f;
  for (size_t h = 0; h < H; ++h) {
    for (size_t t = 0; t < L; ++t) Axpy(w[h * w_stride + t], x + t * D, c + h * D, D);
  }
}

void AttendTokens(const float* w, const float* ds, size_t stride, const float* dc, const float* u,
                  size_t H, size_t L, size_t D, float* dx) {
  for (size_t t = 0; t < L; ++t) {
    for (size_t h = 0; h < H; ++h) {
      Axpy(w[h * stride + t], dc + h * D, dx + t * D, D);
      Axpy(ds[h * stride + t], u + h * D, dx + t * D, D);
    }
  }
}

}  // namespace

void Fill(Table& table) {
  table = {.dot = Dot,
           .sum_squares = SumSquares,
           .axpy = Axpy,
           .scale = Scale,
           .relu = Relu,
           .relu_backward = ReluBackward,
           .softmax_null = SoftmaxNull,
           .softmax_backward = SoftmaxBackward,
           .adam = Adam,
           .adagrad = Adagrad,
           .gather = Gather,
           .scatter_add = ScatterAdd,
           .attend_scores = AttendScores,
           .attend_context = AttendContext,
           .attend_tokens = AttendTokens};
}

}  // namespace heed::kernels::reference
