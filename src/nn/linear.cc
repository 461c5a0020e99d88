#include "nn/linear.h"

#include <cmath>

#include "kernels/gemm.h"
#include "kernels/table.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::Trans;

namespace {

float Beta(Into into) { return into == Into::kAdd ? 1.0f : 0.0f; }

// w_grad += x^T dy
void AddOuter(ConstMat x, ConstMat dy, Mat w_grad) {
  Gemm(Trans::kYes, Trans::kNo, x.cols, dy.cols, x.rows, x.data, x.stride, dy.data, dy.stride, 1.0f,
       w_grad.data, w_grad.stride);
}

// d_x = dy W^T
void BackThrough(ConstMat dy, ConstMat w, Mat d_x, Into into) {
  Gemm(Trans::kNo, Trans::kYes, dy.rows, w.rows, dy.cols, dy.data, dy.stride, w.data, w.stride,
       Beta(into), d_x.data, d_x.stride);
}

void AddRowSum(ConstMat dy, float* sum) {
  const auto axpy = kernels::Active().axpy;
  for (size_t i = 0; i < dy.rows; ++i) axpy(1.0f, dy.Row(i), sum, dy.cols);
}

}  // namespace

void MatMul(ConstMat x, ConstMat w, Mat y, Into into) {
  assert(x.cols == w.rows && y.rows == x.rows && y.cols == w.cols);
  Gemm(Trans::kNo, Trans::kNo, x.rows, w.cols, x.cols, x.data, x.stride, w.data, w.stride,
       Beta(into), y.data, y.stride);
}

Linear::Linear(const std::string& name, size_t inputs, size_t outputs, Random& random)
    : weight(name + ".weight", inputs, outputs, true), bias(name + ".bias", 1, outputs, false) {
  const double limit = std::sqrt(6.0 / static_cast<double>(inputs + outputs));
  for (size_t i = 0; i < weight.value.size(); ++i) {
    weight.value.data()[i] = static_cast<float>(random.Uniform(-limit, limit));
  }
}

void Linear::Forward(ConstMat x, Mat y) const {
  for (size_t i = 0; i < y.rows; ++i) {
    std::memcpy(y.Row(i), bias.value.data(), y.cols * sizeof(float));
  }
  MatMul(x, weight.value.view(), y, Into::kAdd);
}

void Linear::Backward(ConstMat x, ConstMat dy, Mat* d_x, Into into) {
  AddOuter(x, dy, weight.grad.view());
  AddRowSum(dy, bias.grad.data());
  if (d_x != nullptr) BackThrough(dy, weight.value.view(), *d_x, into);
}

void Linear::ForwardSplit(ConstMat shared, ConstMat own, const std::vector<uint32_t>& shared_of,
                          Mat products, Mat y) const {
  const ConstMat w = weight.value.view();
  for (size_t r = 0; r < products.rows; ++r) {
    std::memcpy(products.Row(r), bias.value.data(), products.cols * sizeof(float));
  }
  MatMul(shared, w.Rows(0, shared.cols), products, Into::kAdd);
  for (size_t n = 0; n < y.rows; ++n) {
    std::memcpy(y.Row(n), products.Row(shared_of[n]), y.cols * sizeof(float));
  }
  MatMul(own, w.Rows(shared.cols, own.cols), y, Into::kAdd);
}

void Linear::BackwardSplit(ConstMat shared, ConstMat own, const std::vector<uint32_t>& shared_of,
                           ConstMat dy, Mat d_products, Mat d_shared, Mat d_own, Into into) {
  const auto axpy = kernels::Active().axpy;
  for (size_t r = 0; r < d_products.rows; ++r) {
    std::fill(d_products.Row(r), d_products.Row(r) + d_products.cols, 0.0f);
  }
  for (size_t n = 0; n < dy.rows; ++n) {
    axpy(1.0f, dy.Row(n), d_products.Row(shared_of[n]), dy.cols);
  }
  const ConstMat w = weight.value.view();
  const Mat g = weight.grad.view();
  AddRowSum(d_products, bias.grad.data());
  AddOuter(shared, d_products, g.Rows(0, shared.cols));
  AddOuter(own, dy, g.Rows(shared.cols, own.cols));
  BackThrough(d_products, w.Rows(0, shared.cols), d_shared, into);
  BackThrough(dy, w.Rows(shared.cols, own.cols), d_own, into);
}

void ReluForward(Mat x) {
  const auto relu = kernels::Active().relu;
  for (size_t i = 0; i < x.rows; ++i) relu(x.Row(i), x.cols);
}

void ReluBackward(ConstMat y, Mat dy) {
  const auto back = kernels::Active().relu_backward;
  for (size_t i = 0; i < dy.rows; ++i) back(y.Row(i), dy.Row(i), dy.cols);
}

void DropoutForward(float p, Random& random, Mat x, Mat mask) {
  const float keep = 1.0f / (1.0f - p);
  // Two 32-bit draws from each 64-bit one.
  const auto limit = static_cast<uint64_t>(static_cast<double>(p) * 4294967296.0);
  for (size_t i = 0; i < x.rows; ++i) {
    float* values = x.Row(i);
    float* factors = mask.Row(i);
    for (size_t j = 0; j < x.cols; j += 2) {
      const uint64_t draw = random.Next();
      factors[j] = (draw & 0xFFFFFFFFu) < limit ? 0.0f : keep;
      if (j + 1 < x.cols) factors[j + 1] = (draw >> 32) < limit ? 0.0f : keep;
    }
    for (size_t j = 0; j < x.cols; ++j) values[j] *= factors[j];
  }
}

void DropoutBackward(ConstMat mask, Mat dy) {
  for (size_t i = 0; i < dy.rows; ++i) {
    const float* factors = mask.Row(i);
    float* values = dy.Row(i);
    for (size_t j = 0; j < dy.cols; ++j) values[j] *= factors[j];
  }
}

}  // namespace heed::nn
