#include "nn/compact_rows.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

namespace heed::nn {

using kernels::Bf16;
using kernels::Precision;

CompactRows::CompactRows(Precision precision, size_t width, size_t tail)
    : precision_(precision), width_(width), tail_(tail) {
  assert(precision != Precision::kFp32 && tail <= width);
  const bool int8 = precision == Precision::kInt8;
  scale_bytes_ = int8 ? sizeof(float) : 0;
  const size_t body = (width - tail) * (int8 ? sizeof(int8_t) : sizeof(Bf16));
  row_bytes_ = scale_bytes_ + tail * sizeof(float) + (body + 3) / 4 * 4;
}

void CompactRows::Set(size_t row, const float* values) {
  const size_t body = width_ - tail_;
  std::byte* to = bytes_.data() + row * row_bytes_;
  std::memcpy(to + scale_bytes_, values + body, tail_ * sizeof(float));
  std::byte* numbers = to + scale_bytes_ + tail_ * sizeof(float);
  const kernels::Products& products = kernels::ActiveProducts();
  if (precision_ == Precision::kBf16) {
    products.to_bf16(values, body, reinterpret_cast<Bf16*>(numbers));
    return;
  }
  bool finite = true;
  for (size_t i = 0; i < body; ++i) finite = finite && std::isfinite(values[i]);
  float scale = products.top(values, body) / 127.0f;
  float inverse = 1.0f / scale;
  // Beyond what a float holds the inverse of, numbers count as 0, as they do in serving anyway.
  if (!finite || !std::isfinite(inverse)) inverse = 0.0f;
  if (!finite) scale = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(to, &scale, sizeof scale);
  for (size_t i = 0; i < body; ++i) {
    const float q = finite ? std::nearbyint(values[i] * inverse) : 0.0f;
    numbers[i] = static_cast<std::byte>(static_cast<int8_t>(std::clamp(q, -127.0f, 127.0f)));
  }
}

void CompactRows::Read(const std::byte* row, size_t column, size_t n, float* out) const {
  if (n == 0) return;  // `out` may be null then
  const size_t body = width_ - tail_;
  const std::byte* numbers = row + scale_bytes_ + tail_ * sizeof(float);
  if (column >= body) {
    assert(column + n <= width_);
    std::memcpy(out, row + scale_bytes_ + (column - body) * sizeof(float), n * sizeof(float));
    return;
  }
  assert(column + n <= body);
  const kernels::Products& products = kernels::ActiveProducts();
  if (precision_ == Precision::kBf16) {
    products.from_bf16(reinterpret_cast<const Bf16*>(numbers) + column, n, out);
    return;
  }
  float scale = 0.0f;
  std::memcpy(&scale, row, sizeof scale);
  products.from_int8(reinterpret_cast<const int8_t*>(numbers) + column, n, scale, out);
}

}  // namespace heed::nn
