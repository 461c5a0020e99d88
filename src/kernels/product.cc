#include "kernels/product.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>

#include "kernels/product_simd.h"

namespace heed::kernels {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"fp32", "bf16", "int8"};

constexpr size_t RoundUp(size_t n, size_t step) { return (n + step - 1) / step * step; }

}  // namespace

std::string_view PrecisionName(Precision precision) {
  return kNames[static_cast<size_t>(precision)];
}

Bf16 ToBf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Bf16>((bits >> 16) | 0x40u);  // NaN
  return static_cast<Bf16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float FromBf16(Bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x) << 16); }

PackedMatrix::PackedMatrix(const float* w, size_t K, size_t N, size_t stride, Precision precision)
    : precision_(precision), k_(K), n_(N), padded_n_(RoundUp(N, kHalfPanel)) {
  const size_t group = precision == Precision::kFp32 ? 1 : precision == Precision::kBf16 ? 2 : 4;
  const size_t element = 4 / group;
  padded_k_ = RoundUp(K, group);
  bytes_.assign(padded_n_ * padded_k_ * element, 0);
  if (precision == Precision::kInt8) {
    scale_.assign(padded_n_, 0.0f);
    sum_.assign(padded_n_, 0.0f);
  }
  for (size_t n = 0; n < N; ++n) {
    float inverse = 0.0f;
    if (precision == Precision::kInt8) {
      float top = 0.0f;
      for (size_t k = 0; k < K; ++k) top = std::max(top, std::abs(w[k * stride + n]));
      scale_[n] = top / 127.0f;
      inverse = top > 0.0f ? 127.0f / top : 0.0f;
    }
    const size_t first = n / kPanel * kPanel, wide = std::min(kPanel, padded_n_ - first);
    uint8_t* panel = bytes_.data() + first * padded_k_ * element;
    for (size_t k = 0; k < K; ++k) {
      const float value = w[k * stride + n];
      uint8_t* to = panel + ((k / group * wide + (n - first)) * group + k % group) * element;
      switch (precision) {
        case Precision::kFp32: *reinterpret_cast<float*>(to) = value; break;
        case Precision::kBf16: *reinterpret_cast<Bf16*>(to) = ToBf16(value); break;
        case Precision::kInt8: {
          const auto rounded = static_cast<int8_t>(std::lrintf(value * inverse));
          *reinterpret_cast<int8_t*>(to) = rounded;
          sum_[n] += static_cast<float>(rounded);
          break;
        }
      }
    }
  }
  if (precision == Precision::kFp32 && padded_n_ >= kLeastSplitColumns &&
      AttainableLevels().back() == Level::kAmx) {
    Split(w, stride);
  }
}

void PackedMatrix::Split(const float* w, size_t stride) {
  const size_t padded = SplitK(k_);
  split_.assign(kSplitParts * padded_n_ * padded, 0);
  for (size_t n = 0; n < n_; ++n) {
    const size_t first = n / kPanel * kPanel, wide = std::min(kPanel, padded_n_ - first);
    for (size_t k = 0; k < k_; ++k) {
      Bf16* to =
          split_.data() + kSplitParts * first * padded + (k / 2 * wide + n - first) * 2 + k % 2;
      float rest = w[k * stride + n];
      for (size_t part = 0; part < kSplitParts; ++part, to += padded * wide) {
        *to = ToBf16(rest);
        rest -= FromBf16(*to);
      }
    }
  }
}

const Products& ProductsOf(Level level) {
  static const std::array<Products, kLevels> all = [] {
    std::array<Products, kLevels> filled{};
    for (const Level one : AttainableLevels()) {
      Products& products = filled[static_cast<size_t>(one)];
      reference::Fill(products);
#if HEED_SIMD
      if (one != Level::kScalar) simd::Fill(one, products);
#endif
    }
    return filled;
  }();
  const Products& products = all[static_cast<size_t>(level)];
  assert(products.fp32 != nullptr && "a level this machine cannot run");
  return products;
}

const Products& ActiveProducts() {
  static const Products& products = ProductsOf(ActiveLevel());
  return products;
}

bool FastBf16() {
#if HEED_SIMD
  return ActiveLevel() == Level::kAmx ||
         (ActiveLevel() == Level::kAvx512Bf16 && simd::Bf16TilesAreFast());
#else
  return false;
#endif
}

#if HEED_SIMD
MatrixUnitScope::MatrixUnitScope() {
  if (simd::HasAmx()) simd::Amx().hold();
}
MatrixUnitScope::~MatrixUnitScope() {
  if (simd::HasAmx()) simd::Amx().let_go();
}
#else
MatrixUnitScope::MatrixUnitScope() = default;
MatrixUnitScope::~MatrixUnitScope() = default;
#endif

}  // namespace heed::kernels
