// A temperature for attention that the context sets: the scores of head h are divided by
//   tau_h = softplus(w_h · context + b_h) + 0.05
// before the softmax, null slot included. Below 1 the weights gather on few items, above 1 they
// spread. w starts at 0 and b where tau = 1, so an untrained temperature changes nothing.
// Letters: B rows of context, C its width, H heads. Its output, 1 / tau, is what
// AttentionInput::inverse_temperature takes.
#pragma once

#include <string>
#include <vector>

#include "nn/linear.h"

namespace heed::nn {

class Temperature {
 public:
  static constexpr float kFloor = 0.05f;

  Temperature() = default;
  Temperature(const std::string& name, size_t context_width, size_t heads);

  // context [B, C] -> inverse [B, H], set.
  void Forward(ConstMat context, Mat inverse) const;
  // Of one row; takes no memory.
  void ForwardRow(const float* context, float* inverse) const;
  // d_inverse [B, H] becomes the gradient of the linear part, in place; adds to d_context [B, C].
  void Backward(ConstMat context, ConstMat inverse, Mat d_inverse, Mat d_context);

  std::vector<Parameter*> Parameters() { return {&linear.weight, &linear.bias}; }

  Linear linear;  // [C, H]
};

}  // namespace heed::nn
