// A squeeze-and-excitation gate over fields (Hu et al. 2018; over the fields of a click model: Huang
// et al. 2019, FiBiNET). It scales whole fields up or down. It is a gate and not an attention: its
// factors lie in (0, 2), one a field, and do not share a sum.
// Letters: B rows, F fields, d numbers a field, h hidden units.
//   s_f = mean of field f's numbers                        (squeeze)
//   g = 2 sigmoid(relu(s W1 + b1) W2 + b2)                 (excite; W2 starts at 0, so g at 1)
//   y_f = g_f x_f
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "nn/linear.h"

namespace heed::nn {

struct FeatureGateTape {
  Matrix means;   // [B, F]
  Matrix hidden;  // [B, h]
  Matrix gate;    // [B, F]
  Matrix d_gate, d_hidden, d_means;
};

class FeatureGate {
 public:
  FeatureGate() = default;
  FeatureGate(const std::string& name, size_t fields, size_t width, size_t hidden, Random& random);

  // x, y [B, F d]; y is set.
  void Forward(ConstMat x, FeatureGateTape* tape, Mat y) const;
  // d_x [B, F d] is set.
  void Backward(ConstMat x, FeatureGateTape* tape, ConstMat d_y, Mat d_x);

  std::vector<Parameter*> Parameters();

  Linear squeeze, excite;

 private:
  size_t fields_ = 0, width_ = 0;
};

}  // namespace heed::nn
