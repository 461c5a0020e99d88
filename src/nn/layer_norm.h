// Layer normalisation (Ba, Kiros & Hinton 2016): every row brought to mean 0 and variance 1 over
// its own features, then scaled and shifted by learned numbers. Letters: B rows, D features.
//   y = gain (x - mean) / sqrt(variance + epsilon) + bias, variance with divisor D
// Forward is const and thread-safe; Backward adds to gain's and bias's gradients.
#pragma once

#include <string>
#include <vector>

#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

// What the backward pass needs.
struct LayerNormTape {
  Matrix normal;                // [B, D]: (x - mean) / sqrt(variance + epsilon)
  std::vector<float> inverses;  // [B]: 1 / sqrt(variance + epsilon)
};

class LayerNorm {
 public:
  LayerNorm() = default;
  LayerNorm(const std::string& name, size_t width);  // gain 1, bias 0

  // x [B, D] -> y [B, D], which may be x.
  void Forward(ConstMat x, LayerNormTape* tape, Mat y) const;
  // d_y [B, D] -> d_x [B, D], set; d_x may be d_y.
  void Backward(const LayerNormTape& tape, ConstMat d_y, Mat d_x);

  std::vector<Parameter*> Parameters() { return {&gain, &bias}; }

  Parameter gain, bias;  // [1, D]
  float epsilon = 1e-8f;
};

// Rows brought to length 1: y = x / max(|x|, 1e-12); lengths [B] is for the backward pass.
void NormalizeRows(ConstMat x, Mat y, std::vector<float>* lengths);
// d_x = (d_y - (d_y·y) y) / max(|x|, 1e-12), set; d_x may be d_y.
void NormalizeRowsBackward(ConstMat y, const std::vector<float>& lengths, ConstMat d_y, Mat d_x);

}  // namespace heed::nn
