#include "nn/cross.h"

#include <algorithm>

#include "kernels/gemm.h"
#include "kernels/table.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::Trans;

CrossNetwork::CrossNetwork(const std::string& name, const CrossShape& shape, Random& random)
    : shape_(shape) {
  for (size_t l = 0; l < shape.layers; ++l) {
    const std::string layer = name + "." + std::to_string(l);
    if (shape.rank > 0) {
      narrow.push_back(Linear("", shape.inputs, shape.rank, random).weight);
      narrow.back().name = layer + ".narrow";
    }
    layers.emplace_back(layer, shape.rank > 0 ? shape.rank : shape.inputs, shape.inputs, random);
  }
}

std::vector<Parameter*> CrossNetwork::Parameters() {
  std::vector<Parameter*> all;
  for (Parameter& p : narrow) all.push_back(&p);
  for (Linear& layer : layers) {
    all.push_back(&layer.weight);
    all.push_back(&layer.bias);
  }
  return all;
}

void CrossNetwork::Forward(ConstMat x, CrossTape* tape, Mat y) const {
  const size_t B = x.rows, I = shape_.inputs, K = shape_.layers;
  assert(x.cols == I && y.cols == I && y.rows == B);
  tape->x.resize(K);
  tape->products.resize(K);
  tape->narrow.resize(narrow.size());
  for (size_t i = 0; i < B; ++i) std::copy_n(x.Row(i), I, y.Row(i));
  for (size_t l = 0; l < K; ++l) {
    Matrix &in = tape->x[l], &product = tape->products[l];
    in.Resize(B, I);
    product.Resize(B, I);
    for (size_t i = 0; i < B; ++i) std::copy_n(y.Row(i), I, in.Row(i));
    ConstMat into = in.view();
    if (shape_.rank > 0) {
      tape->narrow[l].Resize(B, shape_.rank);
      MatMul(in.view(), narrow[l].value.view(), tape->narrow[l].view());
      into = tape->narrow[l].view();
    }
    layers[l].Forward(into, product.view());
    for (size_t i = 0; i < B; ++i) {
      const float *x0 = tape->x[0].Row(i), *p = product.Row(i);
      float* out = y.Row(i);
      for (size_t j = 0; j < I; ++j) out[j] += x0[j] * p[j];
    }
  }
}

void CrossNetwork::Backward(CrossTape* tape, ConstMat d_y, Mat d_x) {
  const size_t B = d_y.rows, I = shape_.inputs;
  tape->d_x.Resize(B, I);  // of x_{l+1}, then of x_l
  tape->d_x0.Resize(B, I);
  tape->d_x0.Fill(0.0f);
  tape->d_product.Resize(B, I);
  for (size_t i = 0; i < B; ++i) std::copy_n(d_y.Row(i), I, tape->d_x.Row(i));
  for (size_t l = shape_.layers; l-- > 0;) {
    for (size_t i = 0; i < B; ++i) {
      const float *d = tape->d_x.Row(i), *p = tape->products[l].Row(i), *x0 = tape->x[0].Row(i);
      float *d_x0 = tape->d_x0.Row(i), *d_p = tape->d_product.Row(i);
      for (size_t j = 0; j < I; ++j) {
        d_x0[j] += d[j] * p[j];
        d_p[j] = d[j] * x0[j];
      }
    }
    Mat d_in = tape->d_x.view();  // the residual's share is in it already
    if (shape_.rank == 0) {
      layers[l].Backward(tape->x[l].view(), tape->d_product.view(), &d_in, Into::kAdd);
      continue;
    }
    const size_t r = shape_.rank;
    tape->d_narrow.Resize(B, r);
    Mat d_narrow = tape->d_narrow.view();
    layers[l].Backward(tape->narrow[l].view(), tape->d_product.view(), &d_narrow);
    Gemm(Trans::kYes, Trans::kNo, I, r, B, tape->x[l].data(), I, d_narrow.data, r, 1.0f,
         narrow[l].grad.data(), r);
    Gemm(Trans::kNo, Trans::kYes, B, I, r, d_narrow.data, r, narrow[l].value.data(), r, 1.0f,
         d_in.data, d_in.stride);
  }
  const auto axpy = kernels::Active().axpy;
  for (size_t i = 0; i < B; ++i) {
    std::copy_n(tape->d_x.Row(i), I, d_x.Row(i));
    axpy(1.0f, tape->d_x0.Row(i), d_x.Row(i), I);
  }
}

}  // namespace heed::nn
