// A dense weight, its gradient and its optimiser state: what a layer owns and an optimiser updates.
#pragma once

#include <string>

#include "nn/mat.h"

namespace heed::nn {

struct Parameter {
  std::string name;  // unique in a model; the tensor's name in its file
  Matrix value;
  Matrix grad;         // layers add to it; whoever starts a step clears it
  Matrix moment1;      // Adam's mean of gradients
  Matrix moment2;      // Adam's mean of squares, Adagrad's sum of squares
  bool decays = true;  // takes part in L2; biases and scores do not

  Parameter() = default;
  Parameter(std::string parameter_name, size_t rows, size_t cols, bool l2)
      : name(std::move(parameter_name)),
        value(rows, cols),
        grad(rows, cols),
        moment1(rows, cols),
        moment2(rows, cols),
        decays(l2) {}
};

}  // namespace heed::nn
