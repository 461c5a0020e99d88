// Products with a matrix that stays: weights are packed once into panels, and each product ends in
// an epilogue (scale, bias, addend, bend, rounding) while its numbers are still in the first cache.
// What serving runs on; training multiplies matrices that change and uses gemm.h.
//
// Letters: M rows, K inputs, N columns. A panel is 32 columns, the last one 16 when that is enough:
// float [K][32], bf16 [K / 2][32][2], int8 [K / 4][32][4], so that one vector holds what one
// broadcast of the other operand meets. K is padded with zeros to 2 and 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/line_allocator.h"
#include "kernels/table.h"

namespace heed::kernels {

enum class Precision : uint8_t { kFp32, kBf16, kInt8 };
std::string_view PrecisionName(Precision precision);  // "fp32", "bf16", "int8"

constexpr size_t kPanel = 32;
constexpr size_t kHalfPanel = 16;

using Bf16 = uint16_t;  // the upper half of a float, rounded to nearest even
Bf16 ToBf16(float x);
float FromBf16(Bf16 x);

// A float as the sum of three numbers of bf16, x = upper + middle + lower: each takes 8 of the 24 bits, so
// nothing is lost. A matrix unit that knows only bf16 multiplies floats by six products,
//   a w ~ u u' + u m' + m u' + u l' + m m' + l u',
// summed in fp32: what is left out is at most 2.01 * 2^-24 |a w|, two of fp32's roundings (Henry, Tang,
// Heinecke 2019; oneMKL calls it float_to_bf16x3). Parts below 2^-126 count as 0; an infinity, or what
// exceeds 3.38e38, may come out as NaN. K is padded with zeros to 32. A row of the left operand is
// [upper K | middle K | lower K], a panel three panels of bf16 likewise.
constexpr size_t kSplitParts = 3;
constexpr size_t SplitK(size_t K) { return (K + 31) / 32 * 32; }
constexpr size_t kLeastSplitColumns = 64;  // fewer would not earn what splitting the rows costs

// A packed matrix by its bare panels.
struct Panels {
  const uint8_t* data = nullptr;
  size_t padded_K = 0, padded_N = 0;
  const Bf16* split = nullptr;  // the same numbers split, where kAmx is attainable and wants them

  // Of the panel that begins with column n; elements of `element` bytes.
  const uint8_t* Panel(size_t n, size_t element) const { return data + n * padded_K * element; }
  const Bf16* SplitPanel(size_t n) const { return split + kSplitParts * n * SplitK(padded_K); }
};

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // From w [K, N], rows `stride` apart.
  PackedMatrix(const float* w, size_t K, size_t N, size_t stride, Precision precision);

  Precision precision() const { return precision_; }
  size_t K() const { return k_; }
  size_t N() const { return n_; }
  size_t padded_K() const { return padded_k_; }
  size_t padded_N() const { return padded_n_; }  // a multiple of 16
  Panels panels() const {
    return {bytes_.data(), padded_k_, padded_n_, split_.empty() ? nullptr : split_.data()};
  }
  // int8: w[k][n] = scale[n] * stored, and the sum of a column's stored numbers.  [padded N]
  const float* scale() const { return scale_.data(); }
  const float* sum() const { return sum_.data(); }
  size_t bytes() const {
    return bytes_.size() + split_.size() * sizeof(Bf16) +
           (scale_.size() + sum_.size()) * sizeof(float);
  }

 private:
  void Split(const float* w, size_t stride);

  Precision precision_ = Precision::kFp32;
  size_t k_ = 0, n_ = 0, padded_k_ = 0, padded_n_ = 0;
  LineVector<uint8_t> bytes_;
  LineVector<Bf16> split_;
  std::vector<float> scale_, sum_;
};

// What happens to y = A W on its way out, in this order. Pointers of columns hold padded N numbers.
struct Epilogue {
  const float* scale = nullptr;  // y *= scale[n]; int8 needs it
  const float* bias = nullptr;   // y += bias[n]
  const float* add = nullptr;    // y += add[m * add_stride + n]
  const Bf16* add_bf16 = nullptr;
  size_t add_stride = 0;
  bool relu = false;
  const float* slope = nullptr;  // y = y > 0 ? y : slope[n] y, instead of relu
  // One of the three: rows `stride` apart, padded N columns are written.
  float* fp32 = nullptr;
  Bf16* bf16 = nullptr;
  uint8_t* u8 = nullptr;  // clamp(round(y * u8_scale[n] + u8_zero), 0, 255)
  size_t stride = 0;
  const float* u8_scale = nullptr;
  float u8_zero = 0.0f;
};

// What happens to a layer's sums of 32 lanes on their way out, by row.
struct LanesEpilogue {
  const float* bias = nullptr;   // [M]
  const float* start = nullptr;  // [M, 32], added, too; may be null
  const float* slope = nullptr;  // [M]: y = y < 0 ? slope[m] y : y; null: as it is
};

// The left operand's element is float, Bf16 or uint8_t as the matrix's precision says; its rows are
// `a_stride` elements apart and hold padded K of them (what meets the padding must be finite).
struct Products {
  // At kAmx by split numbers, where w has them and M is 16 at least.
  void (*fp32)(const float* a, size_t a_stride, size_t M, const Panels& w, const Epilogue& end);
  void (*bf16)(const Bf16* a, size_t a_stride, size_t M, const Panels& w, const Epilogue& end);
  void (*int8)(const uint8_t* a, size_t a_stride, size_t M, const Panels& w, const Epilogue& end);

  // Attention of 32 candidates side by side, one a lane.
  // out [M, 32] = a panel, with panel [K, 32] and element (m, k) of a at a[m * row_step + k * k_step].
  void (*lanes_fp32)(const float* a, size_t row_step, size_t k_step, size_t M, size_t K,
                     const float* panel, float* out);
  // A layer of 32 candidates side by side: out [M, 32] = the transpose of a, [K, M] with rows k_step apart, times
  // a panel [K, 32], and the epilogue.
  void (*lanes_layer)(const float* a, size_t k_step, size_t M, size_t K, const float* panel,
                      const LanesEpilogue& end, float* out);
  // The same of pairs: panel [K / 2][32][2], element (m, k) at a[m * row_step + k], K even.
  void (*lanes_bf16)(const Bf16* a, size_t row_step, size_t M, size_t K, const Bf16* panel,
                     float* out);
  // out[j * 32 + i] = in[i * stride + j] for i < n <= 32, j < width; zeros for the other i. 32-bit
  // elements: floats, or pairs of bf16.
  void (*to_lanes)(const uint32_t* in, size_t stride, size_t n, size_t width, uint32_t* out);
  // The way back, times factor[i]: out[i * stride + j] = in[j * 32 + i] * factor[i].
  void (*from_lanes)(const float* in, const float* factor, size_t n, size_t width, float* out,
                     size_t stride);
  // Softmax down each of 32 columns, left undivided: s[l][i] = exp(s[l][i] + bias[l] - top[i]);
  // inverse[i] = 1 / (sum_l s[l][i] + exp(null_score - top[i])), evidence[i] = sum_l s[l][i] inverse[i].
  // null_score = -inf: no null slot; no bias: zeros. L = 0 gives inverse 1, evidence 0 either way.
  // Relative error of the exponential below 1e-6. With `pairs` the results go there instead, rounded to
  // bf16: [ceil(L / 2)][32][2], an odd last row beside zeros; s is then left in any state.
  void (*softmax_lanes)(float* s, size_t L, const float* bias, float null_score, float* inverse,
                        float* evidence, Bf16* pairs);
  // A candidate's own first layer of DIN's activation unit, diag(q) W: row k of the fp32 panels w
  // times q[k], again as fp32 panels.
  void (*scale_panels)(const Panels& w, const float* q, float* out);
  // The same in int8: out = round(q[k] w[k][n] * inverse) as int8 panels (padded K a multiple of
  // 4), sums[n] of the rounded numbers. |q[k] w[k][n] * inverse| must not exceed 127.
  void (*quantise_panels)(const Panels& w, const float* q, float inverse, int8_t* out, float* sums);
  // out[m * out_step] = sum_k x[m * stride + k] w[k], k < width, a multiple of 16.
  void (*row_dots)(const float* x, size_t stride, size_t M, size_t width, const float* w,
                   float* out, size_t out_step);
  // Dice (nn/activation.h) in place: x = x (slope + (1 - slope) sigmoid(x scale + shift)), by column;
  // width is a multiple of 16.
  void (*dice)(float* x, size_t stride, size_t M, size_t width, const float* slope,
               const float* scale, const float* shift);

  // Numbers on their way to the next layer: out[m][n] = clamp(round(x[m][n] scale[n] + zero), 0, 255)
  void (*to_u8)(const float* x, size_t stride, size_t M, size_t width, const float* scale,
                float zero, uint8_t* out, size_t out_stride);
  void (*to_bf16)(const float* x, size_t n, Bf16* out);
  void (*from_bf16)(const Bf16* x, size_t n, float* out);
  void (*from_int8)(const int8_t* x, size_t n, float scale, float* out);  // x[i] * scale
  // max |x[i]|
  float (*top)(const float* x, size_t n);
};

// At the level in use (table.h), or at any attainable one.
const Products& ActiveProducts();
const Products& ProductsOf(Level level);

// Whether products of bf16 pairs outrun those of floats at the level in use: as vectors they take half
// the time on AMD's processors and twice the time on Intel's, which leave bf16 to the matrix unit.
bool FastBf16();

// While one lives, this thread's matrix unit stays configured from one product to the next: setting it up
// takes 100 ns, as long as 20 of its instructions. Nothing but Products may use the unit meanwhile,
// and the scope should be short: a unit in use slows down every switch between threads.
class MatrixUnitScope {
 public:
  MatrixUnitScope();
  ~MatrixUnitScope();
  MatrixUnitScope(const MatrixUnitScope&) = delete;
  MatrixUnitScope& operator=(const MatrixUnitScope&) = delete;
};

namespace reference {
void Fill(Products& products);
}  // namespace reference

}  // namespace heed::kernels
