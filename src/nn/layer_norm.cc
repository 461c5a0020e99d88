#include "nn/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/table.h"

namespace heed::nn {
namespace {

constexpr float kShortest = 1e-12f;

}  // namespace

LayerNorm::LayerNorm(const std::string& name, size_t width)
    : gain(name + ".gain", 1, width, false), bias(name + ".bias", 1, width, false) {
  gain.value.Fill(1.0f);
}

void LayerNorm::Forward(ConstMat x, LayerNormTape* tape, Mat y) const {
  const kernels::Table& k = kernels::Active();
  const size_t D = x.cols;
  const float share = 1.0f / static_cast<float>(D);
  const float *g = gain.value.data(), *b = bias.value.data();
  tape->normal.Resize(x.rows, D);
  tape->inverses.resize(x.rows);
  const Floats ones(D, 1.0f);
  for (size_t i = 0; i < x.rows; ++i) {
    float* normal = tape->normal.Row(i);
    const float mean = share * k.dot(x.Row(i), ones.data(), D);
    for (size_t d = 0; d < D; ++d) normal[d] = x.Row(i)[d] - mean;
    const float inverse = 1.0f / std::sqrt(share * k.sum_squares(normal, D) + epsilon);
    tape->inverses[i] = inverse;
    for (size_t d = 0; d < D; ++d) {
      normal[d] *= inverse;
      y.Row(i)[d] = g[d] * normal[d] + b[d];
    }
  }
}

void LayerNorm::Backward(const LayerNormTape& tape, ConstMat d_y, Mat d_x) {
  const kernels::Table& k = kernels::Active();
  const size_t D = d_y.cols;
  const float share = 1.0f / static_cast<float>(D);
  const float* g = gain.value.data();
  float *d_gain = gain.grad.data(), *d_bias = bias.grad.data();
  const Floats ones(D, 1.0f);
  Floats d_normal(D);
  for (size_t i = 0; i < d_y.rows; ++i) {
    const float *normal = tape.normal.Row(i), *d = d_y.Row(i);
    for (size_t j = 0; j < D; ++j) {
      d_gain[j] += d[j] * normal[j];
      d_bias[j] += d[j];
      d_normal[j] = d[j] * g[j];
    }
    // What would move the mean or the variance has no effect and is taken out.
    const float mean = share * k.dot(d_normal.data(), ones.data(), D);
    const float along = share * k.dot(d_normal.data(), normal, D);
    for (size_t j = 0; j < D; ++j) {
      d_x.Row(i)[j] = tape.inverses[i] * (d_normal[j] - mean - along * normal[j]);
    }
  }
}

void NormalizeRows(ConstMat x, Mat y, std::vector<float>* lengths) {
  const kernels::Table& k = kernels::Active();
  lengths->resize(x.rows);
  for (size_t i = 0; i < x.rows; ++i) {
    const float length = std::max(std::sqrt(k.sum_squares(x.Row(i), x.cols)), kShortest);
    (*lengths)[i] = length;
    const float inverse = 1.0f / length;
    for (size_t d = 0; d < x.cols; ++d) y.Row(i)[d] = inverse * x.Row(i)[d];
  }
}

void NormalizeRowsBackward(ConstMat y, const std::vector<float>& lengths, ConstMat d_y, Mat d_x) {
  const kernels::Table& k = kernels::Active();
  for (size_t i = 0; i < y.rows; ++i) {
    const float along = k.dot(d_y.Row(i), y.Row(i), y.cols), inverse = 1.0f / lengths[i];
    for (size_t d = 0; d < y.cols; ++d) {
      d_x.Row(i)[d] = inverse * (d_y.Row(i)[d] - along * y.Row(i)[d]);
    }
  }
}

}  // namespace heed::nn
