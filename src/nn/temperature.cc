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

void Temperature::Forward(ConstMat context, Mat inverse) const {
  linear.Forward(context, inverse);
  for (size_t i = 0; i < inverse.rows; ++i) {
    for (size_t h = 0; h < inverse.cols; ++h) {
      float& z = inverse.Row(i)[h];
      const float softplus = std::max(z, 0.0f) + std::log1p(std::exp(-std::abs(z)));
      z = 1.0f / (softplus + kFloor);
    }
  }
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
