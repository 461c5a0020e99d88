#include "kernels/history.h"

#include <array>
#include <cassert>
#include <cmath>

#if HEED_SIMD
#include "kernels/history_simd.h"
#endif

namespace heed::kernels {

namespace reference {
namespace {

const float* Part(const TokenRows& x, size_t t, size_t k) {
  return x.tables[k] + x.rows[t * x.parts + k] * x.stride;
}

void Scores(const TokenRows& x, const float* u, size_t H, float* s, size_t s_stride, RowFetch*) {
  for (size_t h = 0; h < H; ++h) {
    for (size_t t = 0; t < x.tokens; ++t) {
      float sum = 0.0f;
      for (size_t k = 0; k < x.parts; ++k) {
        const float* row = Part(x, t, k);
        const float* w = u + (h * x.parts + k) * x.width;
        for (size_t j = 0; j < x.width; ++j) sum += w[j] * row[j];
      }
      s[h * s_stride + t] = sum;
    }
  }
}

void Context(const TokenRows& x, const float* w, size_t w_stride, size_t H, float* c, RowFetch*) {
  for (size_t h = 0; h < H; ++h) {
    for (size_t k = 0; k < x.parts; ++k) {
      for (size_t j = 0; j < x.width; ++j) {
        float sum = 0.0f;
        for (size_t t = 0; t < x.tokens; ++t) sum += w[h * w_stride + t] * Part(x, t, k)[j];
        c[(h * x.parts + k) * x.width + j] = sum;
      }
    }
  }
}

void Sum(const TokenRows& x, float* out) {
  for (size_t k = 0; k < x.parts; ++k) {
    for (size_t j = 0; j < x.width; ++j) {
      float sum = 0.0f;
      for (size_t t = 0; t < x.tokens; ++t) sum += Part(x, t, k)[j];
      out[k * x.width + j] = sum;
    }
  }
}

void Gradients(const float* w, const float* ds, size_t stride, const float* dc, const float* u,
               const float* base, size_t H, size_t L, size_t D, float* g, RowFetch*) {
  for (size_t t = 0; t < L; ++t) {
    for (size_t j = 0; j < D; ++j) {
      float sum = base == nullptr ? 0.0f : base[j];
      for (size_t h = 0; h < H; ++h) {
        sum += w[h * stride + t] * dc[h * D + j] + ds[h * stride + t] * u[h * D + j];
      }
      g[t * D + j] = sum;
    }
  }
}

double AdagradRows(float* table, float* squares, const uint32_t* rows, size_t row_step,
                   const uint32_t* index, size_t n, size_t width, const float* g, size_t g_stride,
                   float rate, float epsilon, float l2, RowFetch*) {
  double all = 0.0;
  for (size_t i = 0; i < n; ++i) {
    const float* own = g + index[i] * g_stride;
    const size_t row = rows[index[i] * row_step];
    float sum = 0.0f;
    for (size_t j = 0; j < width; ++j) sum += own[j] * own[j];
    all += static_cast<double>(sum);
    if (!std::isfinite(sum)) continue;
    squares[row] += sum / static_cast<float>(width);
    const float r = rate / (std::sqrt(squares[row]) + epsilon);
    float* value = table + row * width;
    for (size_t j = 0; j < width; ++j) value[j] = value[j] * (1.0f - r * l2) - r * own[j];
  }
  return all;
}

void Fetch(RowFetch*) {}

}  // namespace

void Fill(HistoryKernels& kernels) {
  kernels = {.scores = Scores,
             .context = Context,
             .sum = Sum,
             .gradients = Gradients,
             .adagrad_rows = AdagradRows,
             .fetch = Fetch};
}

}  // namespace reference

const HistoryKernels& HistoryOf(Level level) {
  static const std::array<HistoryKernels, kLevels> all = [] {
    std::array<HistoryKernels, kLevels> filled{};
    for (const Level one : AttainableLevels()) {
      HistoryKernels& kernels = filled[static_cast<size_t>(one)];
      reference::Fill(kernels);
#if HEED_SIMD
      if (one != Level::kScalar) simd::Fill(one, kernels);
#endif
    }
    return filled;
  }();
  const HistoryKernels& kernels = all[static_cast<size_t>(level)];
  assert(kernels.scores != nullptr && "a level this machine cannot run");
  return kernels;
}

const HistoryKernels& ActiveHistory() {
  static const HistoryKernels& kernels = HistoryOf(ActiveLevel());
  return kernels;
}

}  // namespace heed::kernels
