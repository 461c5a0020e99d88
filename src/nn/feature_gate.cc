#include "nn/feature_gate.h"

#include <algorithm>
#include <numeric>

#include "kernels/table.h"
#include "nn/loss.h"

namespace heed::nn {

FeatureGate::FeatureGate(const std::string& name, size_t fields, size_t width, size_t hidden,
                         Random& random)
    : squeeze(name + ".squeeze", fields, hidden, random),
      excite(name + ".excite", hidden, fields, random),
      fields_(fields),
      width_(width) {
  excite.weight.value.Fill(0.0f);
}

std::vector<Parameter*> FeatureGate::Parameters() {
  return {&squeeze.weight, &squeeze.bias, &excite.weight, &excite.bias};
}

void FeatureGate::Forward(ConstMat x, FeatureGateTape* tape, Mat y) const {
  const size_t B = x.rows, F = fields_, d = width_;
  assert(x.cols == F * d && y.cols == x.cols && y.rows == B);
  tape->means.Resize(B, F);
  tape->hidden.Resize(B, squeeze.outputs());
  tape->gate.Resize(B, F);
  for (size_t i = 0; i < B; ++i) {
    for (size_t f = 0; f < F; ++f) {
      const float* field = x.Row(i) + f * d;
      tape->means.Row(i)[f] = std::accumulate(field, field + d, 0.0f) / static_cast<float>(d);
    }
  }
  squeeze.Forward(tape->means.view(), tape->hidden.view());
  ReluForward(tape->hidden.view());
  excite.Forward(tape->hidden.view(), tape->gate.view());
  for (size_t i = 0; i < B; ++i) {
    for (size_t f = 0; f < F; ++f) {
      float& gate = tape->gate.Row(i)[f];
      gate = 2.0f * Sigmoid(gate);
      for (size_t j = f * d; j < (f + 1) * d; ++j) y.Row(i)[j] = gate * x.Row(i)[j];
    }
  }
}

void FeatureGate::Backward(ConstMat x, FeatureGateTape* tape, ConstMat d_y, Mat d_x) {
  const auto dot = kernels::Active().dot;
  const size_t B = x.rows, F = fields_, d = width_;
  tape->d_gate.Resize(B, F);
  tape->d_hidden.Resize(B, squeeze.outputs());
  tape->d_means.Resize(B, F);
  for (size_t i = 0; i < B; ++i) {
    for (size_t f = 0; f < F; ++f) {
      const float gate = tape->gate.Row(i)[f];
      const float d_gate = dot(d_y.Row(i) + f * d, x.Row(i) + f * d, d);
      tape->d_gate.Row(i)[f] = d_gate * gate * (1.0f - 0.5f * gate);
    }
  }
  Mat d_hidden = tape->d_hidden.view(), d_means = tape->d_means.view();
  excite.Backward(tape->hidden.view(), tape->d_gate.view(), &d_hidden);
  ReluBackward(tape->hidden.view(), d_hidden);
  squeeze.Backward(tape->means.view(), d_hidden, &d_means);
  for (size_t i = 0; i < B; ++i) {
    for (size_t f = 0; f < F; ++f) {
      const float gate = tape->gate.Row(i)[f];
      const float share = d_means.Row(i)[f] / static_cast<float>(d);
      for (size_t j = f * d; j < (f + 1) * d; ++j) {
        d_x.Row(i)[j] = gate * d_y.Row(i)[j] + share;
      }
    }
  }
}

}  // namespace heed::nn
