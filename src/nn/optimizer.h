// Adam (Kingma & Ba 2015) and Adagrad (Duchi et al. 2011) for dense parameters. Tables apply the
// same rules to touched rows (nn/embedding.h).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.h"
#include "nn/parameter.h"

namespace heed::nn {

enum class Rule : uint8_t { kAdam, kAdagrad };

struct Update {
  Rule rule = Rule::kAdam;
  float rate = 1e-3f;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float l2 = 0.0f;        // adds l2 * w to the gradient: a penalty of l2/2 |w|^2
  bool all_rows = false;  // of a table: those without a gradient, too, as if it were dense
  uint64_t step = 1;      // counts from 1; Adam's bias correction
};

// Adam's constants at `update.step`.
kernels::AdamStep AdamStepOf(const Update& update);

// value -= update of grad. Does not clear grad.
void Apply(const Update& update, Parameter& parameter);

// Sum of squares of all gradients, in double; not finite when any gradient is not.
double GradientSquares(const std::vector<Parameter*>& parameters);

}  // namespace heed::nn
