// The DCN-V2 cross network (Wang et al. 2021): explicit products of inputs, one degree a layer.
// Letters: B rows, I inputs, r rank, K layers.
//   x_{l+1} = x_0 ∘ (x_l W_l + b_l) + x_l          W_l [I, I], or U_l V_l with U [I, r], V [r, I]
// The output is x_K, as wide as the input.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "nn/linear.h"

namespace heed::nn {

struct CrossShape {
  size_t inputs = 0;
  size_t layers = 1;
  size_t rank = 0;  // 0: full matrices
};

struct CrossTape {
  std::vector<Matrix> x;         // [B, I] each: the input of each layer; x[0] is x_0
  std::vector<Matrix> products;  // x_l W_l + b_l
  std::vector<Matrix> narrow;    // [B, r]: x_l U_l, low rank only
  Matrix d_x, d_x0, d_product, d_narrow;
};

class CrossNetwork {
 public:
  CrossNetwork() = default;
  CrossNetwork(const std::string& name, const CrossShape& shape, Random& random);

  // x, y [B, I]; y is set.
  void Forward(ConstMat x, CrossTape* tape, Mat y) const;
  // d_x [B, I] is set.
  void Backward(CrossTape* tape, ConstMat d_y, Mat d_x);

  std::vector<Parameter*> Parameters();
  const CrossShape& shape() const { return shape_; }

  std::vector<Parameter> narrow;  // [I, r] each, low rank only: U
  std::vector<Linear> layers;     // [I, I], or [r, I]: W or V, and b

 private:
  CrossShape shape_;
};

}  // namespace heed::nn
