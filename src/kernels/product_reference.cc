// The plain meaning of kernels/product.h, element by element.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/product.h"

namespace heed::kernels::reference {
namespace {

size_t Wide(const Panels& w, size_t n) {
  return std::min(kPanel, w.padded_N - n / kPanel * kPanel);
}

// Index of element (k, n) among those of a matrix whose elements lie in groups along K.
size_t At(const Panels& w, size_t group, size_t k, size_t n) {
  const size_t first = n / kPanel * kPanel;
  return first * w.padded_K + (k / group * Wide(w, n) + (n - first)) * group + k % group;
}

uint8_t ToU8(float x, float scale, float zero) {
  return static_cast<uint8_t>(std::clamp(std::nearbyintf(x * scale + zero), 0.0f, 255.0f));
}

void Finish(float y, size_t m, size_t n, const Epilogue& end) {
  if (end.scale != nullptr) y *= end.scale[n];
  if (end.bias != nullptr) y += end.bias[n];
  if (end.add != nullptr) y += end.add[m * end.add_stride + n];
  if (end.add_bf16 != nullptr) y += FromBf16(end.add_bf16[m * end.add_stride + n]);
  if (end.relu) y = std::max(y, 0.0f);
  if (end.slope != nullptr) y = y > 0.0f ? y : end.slope[n] * y;
  if (end.fp32 != nullptr) end.fp32[m * end.stride + n] = y;
  if (end.bf16 != nullptr) end.bf16[m * end.stride + n] = ToBf16(y);
  if (end.u8 != nullptr) end.u8[m * end.stride + n] = ToU8(y, end.u8_scale[n], end.u8_zero);
}

template <size_t group, typename T, typename B, typename ToFloat>
void Product(const T* a, size_t a_stride, size_t M, const Panels& w, const B* panels,
             const Epilogue& end, ToFloat to_float) {
  for (size_t m = 0; m < M; ++m) {
    for (size_t n = 0; n < w.padded_N; ++n) {
      float sum = 0.0f;
      for (size_t k = 0; k < w.padded_K; ++k) {
        sum += to_float(a[m * a_stride + k]) * to_float(panels[At(w, group, k, n)]);
      }
      Finish(sum, m, n, end);
    }
  }
}

void ProductFp32(const float* a, size_t a_stride, size_t M, const Panels& w, const Epilogue& end) {
  Product<1>(a, a_stride, M, w, reinterpret_cast<const float*>(w.data), end,
             [](float x) { return x; });
}
void ProductBf16(const Bf16* a, size_t a_stride, size_t M, const Panels& w, const Epilogue& end) {
  Product<2>(a, a_stride, M, w, reinterpret_cast<const Bf16*>(w.data), end, FromBf16);
}
void ProductInt8(const uint8_t* a, size_t a_stride, size_t M, const Panels& w,
                 const Epilogue& end) {
  Product<4>(a, a_stride, M, w, reinterpret_cast<const int8_t*>(w.data), end,
             [](auto x) { return static_cast<float>(x); });
}

void LanesFp32(const float* a, size_t row_step, size_t k_step, size_t M, size_t K,
               const float* panel, float* out) {
  for (size_t m = 0; m < M; ++m) {
    for (size_t n = 0; n < kPanel; ++n) {
      float sum = 0.0f;
      for (size_t k = 0; k < K; ++k) sum += a[m * row_step + k * k_step] * panel[k * kPanel + n];
      out[m * kPanel + n] = sum;
    }
  }
}
void LanesLayer(const float* a, size_t k_step, size_t M, size_t K, const float* panel,
                const LanesEpilogue& end, float* out) {
  LanesFp32(a, 1, k_step, M, K, panel, out);
  for (size_t m = 0; m < M; ++m) {
    for (size_t i = 0; i < kPanel; ++i) {
      float& y = out[m * kPanel + i];
      y += end.bias[m];
      if (end.start != nullptr) y += end.start[m * kPanel + i];
      if (end.slope != nullptr && y < 0.0f) y *= end.slope[m];
    }
  }
}

void LanesBf16(const Bf16* a, size_t row_step, size_t M, size_t K, const Bf16* panel, float* out) {
  for (size_t m = 0; m < M; ++m) {
    for (size_t n = 0; n < kPanel; ++n) {
      float sum = 0.0f;
      for (size_t k = 0; k < K; ++k) {
        sum += FromBf16(a[m * row_step + k]) * FromBf16(panel[(k / 2 * kPanel + n) * 2 + k % 2]);
      }
      out[m * kPanel + n] = sum;
    }
  }
}

void ToLanes(const uint32_t* in, size_t stride, size_t n, size_t width, uint32_t* out) {
  for (size_t j = 0; j < width; ++j) {
    for (size_t i = 0; i < kPanel; ++i) out[j * kPanel + i] = i < n ? in[i * stride + j] : 0;
  }
}

void FromLanes(const float* in, const float* factor, size_t n, size_t width, float* out,
               size_t stride) {
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < width; ++j) out[i * stride + j] = in[j * kPanel + i] * factor[i];
  }
}

void SoftmaxLanes(float* s, size_t L, const float* bias, float null_score, float* inverse,
                  float* evidence, Bf16* pairs) {
  const auto score = [&](size_t l, size_t i) {
    return s[l * kPanel + i] + (bias == nullptr ? 0.0f : bias[l]);
  };
  for (size_t i = 0; i < kPanel; ++i) {
    float top = null_score;
    for (size_t l = 0; l < L; ++l) top = std::max(top, score(l, i));
    float sum = 0.0f;
    for (size_t l = 0; l < L; ++l) sum += s[l * kPanel + i] = std::exp(score(l, i) - top);
    inverse[i] = L == 0 ? 1.0f : 1.0f / (sum + std::exp(null_score - top));
    evidence[i] = sum * inverse[i];
    if (pairs == nullptr) continue;
    for (size_t l = 0; l < (L + 1) / 2 * 2; ++l) {
      pairs[(l / 2 * kPanel + i) * 2 + l % 2] = l < L ? ToBf16(s[l * kPanel + i]) : Bf16{0};
    }
  }
}

void ScalePanels(const Panels& w, const float* q, float* out) {
  const auto* in = reinterpret_cast<const float*>(w.data);
  for (size_t k = 0; k < w.padded_K; ++k) {
    for (size_t n = 0; n < w.padded_N; ++n) {
      const size_t at = At(w, 1, k, n);
      out[at] = in[at] * q[k];
    }
  }
}

void QuantisePanels(const Panels& w, const float* q, float inverse, int8_t* out, float* sums) {
  const auto* in = reinterpret_cast<const float*>(w.data);
  std::fill_n(sums, w.padded_N, 0.0f);
  for (size_t k = 0; k < w.padded_K; ++k) {
    for (size_t n = 0; n < w.padded_N; ++n) {
      const float rounded = std::nearbyintf(in[At(w, 1, k, n)] * (q[k] * inverse));
      out[At(w, 4, k, n)] = static_cast<int8_t>(rounded);
      sums[n] += rounded;
    }
  }
}

void RowDots(const float* x, size_t stride, size_t M, size_t width, const float* w, float* out,
             size_t out_step) {
  for (size_t m = 0; m < M; ++m) {
    float sum = 0.0f;
    for (size_t k = 0; k < width; ++k) sum += x[m * stride + k] * w[k];
    out[m * out_step] = sum;
  }
}

void Dice(float* x, size_t stride, size_t M, size_t width, const float* slope, const float* scale,
          const float* shift) {
  for (size_t m = 0; m < M; ++m) {
    for (size_t n = 0; n < width; ++n) {
      float& y = x[m * stride + n];
      const float p = 1.0f / (1.0f + std::exp(-(y * scale[n] + shift[n])));
      y *= slope[n] + (1.0f - slope[n]) * p;
    }
  }
}

void ManyToU8(const float* x, size_t stride, size_t M, size_t width, const float* scale, float zero,
              uint8_t* out, size_t out_stride) {
  for (size_t m = 0; m < M; ++m) {
    for (size_t n = 0; n < width; ++n) {
      out[m * out_stride + n] = ToU8(x[m * stride + n], scale[n], zero);
    }
  }
}
void ManyToBf16(const float* x, size_t n, Bf16* out) {
  for (size_t i = 0; i < n; ++i) out[i] = ToBf16(x[i]);
}
void ManyFromBf16(const Bf16* x, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = FromBf16(x[i]);
}
void ManyFromInt8(const int8_t* x, size_t n, float scale, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i]) * scale;
}

float Top(const float* x, size_t n) {
  float top = 0.0f;
  for (size_t i = 0; i < n; ++i) top = std::max(top, std::abs(x[i]));
  return top;
}

}  // namespace

void Fill(Products& products) {
  products.fp32 = ProductFp32;
  products.bf16 = ProductBf16;
  products.int8 = ProductInt8;
  products.lanes_fp32 = LanesFp32;
  products.lanes_layer = LanesLayer;
  products.lanes_bf16 = LanesBf16;
  products.to_lanes = ToLanes;
  products.from_lanes = FromLanes;
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

}  // namespace heed::kernels::reference
