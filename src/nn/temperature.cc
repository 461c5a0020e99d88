#include "nn/temperature.h"

#include <algorithm>
#include <cmath>

namespace heed::nn {

Temperature::Temperature(const std::string& name, size_t context_width, size_t heads) {
  Random none(0);
  linear = Linear(name, context_width, heads, none);
  linear.weight.value.Fill(0.0f);
  linear.bias.value.Fill(std::log(std::expm1(1.0f - kFloor)));
}

namespace {

void Invert(float* z, size_t heads) {
  for (size_t h = 0; h < heads; ++h) {
    const float softplus = std::max(z[h], 0.0f) + std::log1p(std::exp(-std::abs(z[h])));
    z[h] = 1.0f / (softplus + Temperature::kFloor);
  }
}

}  // namespace

void Temperature::Forward(ConstMat context, Mat inverse) const {
  linear.Forward(context, inverse);
  for (size_t i = 0; i < inverse.rows; ++i) Invert(inverse.Row(i), inverse.cols);
}

void Temperature::ForwardRow(const float* context, float* inverse) const {
  const size_t H = linear.outputs();
  std::copy_n(linear.bias.value.data(), H, inverse);
  for (size_t c = 0; c < linear.inputs(); ++c) {
    for (size_t h = 0; h < H; ++h) inverse[h] += context[c] * linear.weight.value.Row(c)[h];
  }
  Invert(inverse, H);
}

void Temperature::Backward(ConstMat context, ConstMat inverse, Mat d_inverse, Mat d_context) {
  for (size_t i = 0; i < inverse.rows; ++i) {
    for (size_t h = 0; h < inverse.cols; ++h) {
      // 1/tau' = -tau'/tau^2, and softplus' = sigmoid(z) = 1 - e^-softplus.
      const float u = inverse.Row(i)[h];
      d_inverse.Row(i)[h] *= u * u * std::expm1(kFloor - 1.0f / u);
    }
  }
  linear.Backward(context, d_inverse, &d_context, Into::kAdd);
}

}  // namespace heed::nn
